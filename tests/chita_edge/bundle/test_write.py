from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from chita_edge.bundle import BundleExistsError, BundleWriteError, add_measurements, verify_bundle, write_bundle
from chita_edge.errors import UsageError

from .conftest import CONTENT, FILES, MEASURED, tree


def test_bundle_holds_what_was_given_and_verifies(bundle: Path) -> None:
    manifest = verify_bundle(bundle)
    on_disk = tree(bundle)
    assert {path: on_disk[path] for path in {**FILES, **MEASURED}} == {**FILES, **MEASURED}
    assert set(on_disk) == {*FILES, *MEASURED, "manifest.json", "bench/index.json"}
    assert manifest.content == CONTENT
    assert {path: entry.sha256 for path, entry in manifest.files.items()} == {
        path: hashlib.sha256(data).hexdigest() for path, data in FILES.items()
    }


def test_only_measured_files_differ_between_two_builds(bundle: Path, tmp_path: Path) -> None:
    again = write_bundle(
        tmp_path / "again", dict(reversed(FILES.items())), CONTENT, measurements={"bench/x.json": b"2"}
    )
    first, second = tree(bundle), tree(again)
    for path in (*FILES, "manifest.json"):
        assert first[path] == second[path]
    assert [p.name for p in again.parent.iterdir()].count("again") == 1


def test_manifest_is_sorted_plain_json_without_measured_files(bundle: Path) -> None:
    text = (bundle / "manifest.json").read_text()
    document = json.loads(text)
    assert text == json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    assert not set(document["files"]) & set(MEASURED)


def test_copies_files_from_disk(tmp_path: Path) -> None:
    source = tmp_path / "big"
    source.write_bytes(bytes(range(256)) * 9000)
    folder = write_bundle(tmp_path / "b", {"model.onnx": source}, {})
    assert (folder / "model.onnx").read_bytes() == source.read_bytes()
    verify_bundle(folder)


def test_files_are_as_public_as_the_umask_allows(bundle: Path) -> None:
    plain = bundle.parent / "plain"
    plain.mkdir()
    assert bundle.stat().st_mode == plain.stat().st_mode
    assert (bundle / "model.onnx").stat().st_mode & 0o111 == 0


def test_refuses_an_existing_folder_before_touching_it(bundle: Path) -> None:
    before = tree(bundle)
    with pytest.raises(BundleExistsError, match="use --force") as caught:
        write_bundle(bundle, {"model.onnx": b"new"}, {})
    assert isinstance(caught.value, UsageError)
    assert tree(bundle) == before


def test_force_replaces_a_bundle_whole(bundle: Path) -> None:
    write_bundle(bundle, {"other.onnx": b"new"}, {}, force=True)
    assert set(tree(bundle)) == {"other.onnx", "manifest.json"}
    assert list(bundle.parent.iterdir()) == [bundle]


def test_force_replaces_a_damaged_bundle_and_an_empty_folder(bundle: Path, tmp_path: Path) -> None:
    (bundle / "model.onnx").write_bytes(b"flipped")
    (bundle / "CARD.md").unlink()
    empty = tmp_path / "empty"
    empty.mkdir()
    for folder in (bundle, empty):
        verify_bundle(write_bundle(folder, FILES, {}, force=True))


def test_force_never_replaces_what_is_not_ours(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = tmp_path / "photos"
    foreign.mkdir()
    (foreign / "a.jpg").write_bytes(b"photo")
    other_manifest = tmp_path / "extension"
    other_manifest.mkdir()
    (other_manifest / "manifest.json").write_text('{"name": "a browser extension", "manifest_version": 3}')
    (bundle / "notes.txt").write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(bundle)
    plain_file = tmp_path / "file"
    plain_file.write_text("x")
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    before = tree(tmp_path)
    for folder in (foreign, other_manifest, bundle, link, plain_file, home, tmp_path):
        with pytest.raises(BundleExistsError):
            write_bundle(folder, FILES, {}, force=True)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../x", "a/../../x", "a\\b", "a\0b", "", "a//b", "./a", "a/.", "c:x", "e\u0301.md", "x" * 241],
)
def test_refuses_paths_that_are_unsafe_somewhere(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="may not stand in a bundle"):
        write_bundle(tmp_path / "b", {path: b""}, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("paths", [("A.md", "a.md"), ("a", "a/b"), ("manifest.json", "x"), ("bench/index.json", "x")])
def test_refuses_paths_that_collide(tmp_path: Path, paths: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="collide"):
        write_bundle(tmp_path / "b", dict.fromkeys(paths, b""), {}, measurements={})


def test_refuses_content_that_takes_the_formats_own_keys(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'files'"):
        write_bundle(tmp_path / "new" / "b", FILES, {"files": {}})
    assert list(tmp_path.iterdir()) == []


def test_adding_measurements_leaves_the_product_alone(bundle: Path) -> None:
    before = tree(bundle)
    add_measurements(bundle, {"bench/ssh.json": b"{}", "report.html": b"<p>2 runs</p>"})
    after = tree(bundle)
    verify_bundle(bundle)
    assert after["report.html"] == b"<p>2 runs</p>"
    assert after["bench/ssh.json"] == b"{}"
    unchanged = set(before) - {"report.html", "bench/index.json"}
    assert {path: after[path] for path in unchanged} == {path: before[path] for path in unchanged}


def test_measurements_cannot_be_added_over_the_product(bundle: Path) -> None:
    before = tree(bundle)
    with pytest.raises(ValueError, match="collide"):
        add_measurements(bundle, {"model.onnx": b"swapped"})
    assert tree(bundle) == before


def test_measurements_are_added_to_a_bundle_that_expects_them_only(tmp_path: Path) -> None:
    closed = write_bundle(tmp_path / "closed", FILES, {})
    with pytest.raises(BundleWriteError, match="without measurements"):
        add_measurements(closed, {"bench/a.json": b"{}"})
    opened = write_bundle(tmp_path / "opened", FILES, {}, measurements={})
    add_measurements(opened, {"bench/a.json": b"{}"})
    verify_bundle(opened)
