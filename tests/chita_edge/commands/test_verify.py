import json
from pathlib import Path

from command_line import Run


def test_a_bundle_as_it_was_built(bundle: Path, chita_edge: Run) -> None:
    done = chita_edge("verify", "bundle")
    assert done.returncode == 0
    assert "2 files are as they were built" in done.stdout
    assert json.loads(chita_edge("verify", "bundle", "--json").stdout) == {"bundle": "bundle", "ok": True, "files": 2}


def test_a_changed_an_added_and_a_missing_file(bundle: Path, chita_edge: Run) -> None:
    original = (bundle / "model.onnx").read_bytes()
    (bundle / "model.onnx").write_bytes(b"Sparse")
    changed = chita_edge("verify", "bundle", "--json")
    (bundle / "model.onnx").unlink()
    missing = chita_edge("verify", "bundle")
    (bundle / "model.onnx").write_bytes(original)
    (bundle / "more.txt").write_text("more")
    added = chita_edge("verify", "bundle")
    for done, name in ((changed, "model.onnx"), (missing, "model.onnx"), (added, "more.txt")):
        assert done.returncode == 6
        assert name in done.stderr
        assert done.stdout == ""
