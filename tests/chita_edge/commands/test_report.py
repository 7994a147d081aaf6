import json
from collections.abc import Callable
from pathlib import Path

import onnx
import own_networks
from command_line import Run

from chita_edge.bundle import verify_bundle


def test_runs_become_history(bundle: Path, saved: Callable[..., str], chita_edge: Run) -> None:
    first, second = saved("phone.json", 1, dense=9.0, sparse=4.0), saved("board.json", 2, dense=9.0, sparse=3.0)
    done = chita_edge("report", "bundle", first, second)
    assert done.returncode == 0, done.stderr
    told = "phone.json: taken as bench/phone.json\nboard.json: taken as bench/board.json\nbundle/report.html\n"
    assert done.stdout == told
    page = (bundle / "report.html").read_text()
    assert "phone" in page
    assert "board" in page
    verify_bundle(bundle)
    again = chita_edge("report", "bundle", first).stdout
    assert again == "phone.json: was there already as bench/phone.json\nbundle/report.html\n"
    taken = {"file": "phone.json", "kept_as": "bench/phone.json", "was_there": True}
    as_json = json.loads(chita_edge("report", "bundle", first, "--json").stdout)
    assert as_json == {
        "bundle": "bundle",
        "report": "bundle/report.html",
        "taken": [taken],
        "runs": ["board", "phone"],
    }


def test_what_is_no_bundle_and_what_is_no_run(bundle: Path, tmp_path: Path, chita_edge: Run) -> None:
    (tmp_path / "bad.json").write_text("{}")
    for arguments, code, sentence in (
        (["nowhere"], 2, "nowhere is not a folder"),
        (["bundle", "none.json"], 1, "none.json cannot be read"),
        (["bundle", "bad.json"], 1, "bad.json is not a results file"),
        ([], 2, "Missing argument"),
    ):
        done = chita_edge("report", *arguments)
        assert done.returncode == code
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr
    assert not (bundle / "report.html").exists()
    (bundle / "model.onnx").write_bytes(b"x")
    assert chita_edge("report", "bundle").returncode == 6


def test_a_page_of_a_graph_and_of_code(tmp_path: Path, chita_edge: Run) -> None:
    onnx.save(own_networks.as_onnx(sides=(8, 8)), tmp_path / "net.onnx")
    (tmp_path / "code.py").write_text(own_networks.CODE)
    for model, page, more in (
        ("net.onnx", "net-arm64.html", ()),
        ("code.py:Net", "Net-arm64.html", ("--input", "image=1x3x8x8", "--model-arg", "width=8")),
    ):
        done = chita_edge("report", model, "--target", "arm64", *more)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{page}\n"
        assert "32×" in (tmp_path / page).read_text()
    told = json.loads(chita_edge("report", "net.onnx", "--target", "arm64", "--force", "--json").stdout)
    assert [layer["shape"] for layer in told["layers"]] == [[16, 3, 3, 3], [32, 16, 1, 1], [4, 32]]


def test_options_of_networks_are_refused_for_a_bundle(bundle: Path, chita_edge: Run) -> None:
    done = chita_edge("report", "bundle", "--target", "arm64")
    assert (done.returncode, "--target is of networks" in done.stderr) == (2, True)
    assert not (bundle / "report.html").exists()
