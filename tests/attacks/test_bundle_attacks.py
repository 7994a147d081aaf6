"""Hostile bundles: each ends in one sentence that names the file, and nothing outside the bundle is read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chita_edge.bundle import verify_bundle, write_bundle
from chita_edge.errors import BundleTamperedError, UsageError

FILES = {"model.onnx": b"sparse" * 100, "lib/linux/aarch64/libchita_edge.so": b"\x7fELF" + bytes(50)}
MEASURED = {"bench/local.json": b'{"benchmarks": []}\n', "report.html": b"<p>4 ms</p>"}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", FILES, {"model": "mobilenet"}, measurements=MEASURED)


def refused(bundle: Path, match: str = ".") -> None:
    with pytest.raises(BundleTamperedError, match=match) as caught:
        verify_bundle(bundle)
    assert caught.value.exit_code == 6
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("path", [*FILES, *MEASURED, "manifest.json", "bench/index.json"])
def test_every_flipped_byte_of_every_file_is_found(bundle: Path, path: str) -> None:
    good = (bundle / path).read_bytes()
    for at in range(0, len(good), max(1, len(good) // 40)):
        for bit in (0x01, 0x80):
            bad = bytearray(good)
            bad[at] ^= bit
            (bundle / path).write_bytes(bad)
            with pytest.raises(BundleTamperedError):
                verify_bundle(bundle)
    (bundle / path).write_bytes(good)
    verify_bundle(bundle)


@pytest.mark.parametrize("path", [*FILES, *MEASURED, "manifest.json", "bench/index.json"])
def test_missing_cut_and_grown_files(bundle: Path, path: str) -> None:
    good = (bundle / path).read_bytes()
    for data in (b"", good[:-1], good[: len(good) // 2], good + b" "):
        (bundle / path).write_bytes(data)
        refused(bundle, path if path not in ("manifest.json", "bench/index.json") else ".")
    (bundle / path).unlink()
    refused(bundle, f"{path}.*missing")


@pytest.mark.parametrize("path", ["extra.txt", "lib/evil.so", ".hidden", "bench/new.json", "empty-folder/", "lib/x/"])
def test_added(bundle: Path, path: str) -> None:
    if path.endswith("/"):
        (bundle / path).mkdir()
    else:
        (bundle / path).write_bytes(b"")
    refused(bundle, f"{path.rstrip('/')}.*added")


@pytest.mark.parametrize("path", ["model.onnx", "manifest.json", "bench/local.json", "lib"])
@pytest.mark.parametrize("absolute", [True, False])
def test_symbolic_links_even_to_the_right_bytes(bundle: Path, path: str, absolute: bool) -> None:
    outside = bundle.parent / "outside"
    (bundle / path).rename(outside)
    (bundle / path).symlink_to(outside if absolute else os.path.relpath(outside, (bundle / path).parent))
    refused(bundle, f"{path}.*link")


def test_dangling_link_and_link_to_itself(bundle: Path) -> None:
    (bundle / "model.onnx").unlink()
    (bundle / "model.onnx").symlink_to("model.onnx")
    refused(bundle, "model.onnx.*link")


@pytest.mark.parametrize("path", ["model.onnx", "manifest.json", "report.html"])
def test_hard_links(bundle: Path, path: str) -> None:
    os.link(bundle / path, bundle.parent / "second-name")
    refused(bundle, f"{path}.*hard link")


@pytest.mark.parametrize("path", ["model.onnx", "manifest.json", "report.html"])
def test_special_files_do_not_hang(bundle: Path, path: str) -> None:
    (bundle / path).unlink()
    os.mkfifo(bundle / path)
    refused(bundle, f"{path}.*not a regular file")


def test_a_folder_where_a_file_should_be(bundle: Path) -> None:
    (bundle / "model.onnx").unlink()
    (bundle / "model.onnx").mkdir()
    refused(bundle, "model.onnx")


def resealed(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a list as an attacker would who knows the format: with its own sum made right again."""
    document = json.loads(path.read_text())
    change(document)
    document.pop("own_sha256", None)

    def dump() -> bytes:
        return (json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode(
            "utf-8", "surrogatepass"
        )

    document["own_sha256"] = hashlib.sha256(dump()).hexdigest()
    path.write_bytes(dump())


def rewritten(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    resealed(bundle / "manifest.json", change)


SHA = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/etc/hostname", "absolute"),
        ("../outside", "leaves the bundle"),
        ("lib/../../outside", "leaves the bundle"),
        ("..", "leaves the bundle"),
        ("a\\..\\b", "backslash"),
        ("a\0b", "control character"),
        ("a\nb", "control character"),
        ("C:evil", "colon"),
        ("./model.onnx", "empty part"),
        ("lib//x", "empty part"),
        ("lib/", "empty part"),
        ("", "is empty"),
        ("e\u0301", "normal form"),
        ("\ud800", "not valid JSON"),
        ("a" * 300, "longer than"),
        ("MODEL.onnx", "one file on some disks"),
        ("model.onnx/inside", "one file on some disks"),
        ("report.html", "one file on some disks"),
        ("manifest.json", "may not list itself"),
        ("Manifest.json", "may not list itself"),
        ("bench/index.json", "may not list itself"),
    ],
)
def test_listed_paths_that_leave_or_collide(bundle: Path, path: str, why: str) -> None:
    (bundle.parent / "outside").write_bytes(b"")
    rewritten(bundle, lambda document: document["files"].update({path: {"sha256": SHA, "size": 0}}))
    manifest_sha256 = hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()
    resealed(bundle / "bench/index.json", lambda index: index.update(manifest_sha256=manifest_sha256))
    refused(bundle, why)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(schema_version=2),
        lambda d: d.update(schema_version=True),
        lambda d: d.update(schema_version="1"),
        lambda d: d.pop("schema_version"),
        lambda d: d.update(kind="something else"),
        lambda d: d.pop("kind"),
        lambda d: d.update(files=[]),
        lambda d: d.pop("files"),
        lambda d: d.update(measurements="/etc/hostname"),
        lambda d: d.update(measurements=None),
        lambda d: d.update(measurements=["bench/index.json"]),
        lambda d: d["files"]["model.onnx"].update(size=-1),
        lambda d: d["files"]["model.onnx"].update(size=True),
        lambda d: d["files"]["model.onnx"].update(size=1e300),
        lambda d: d["files"]["model.onnx"].update(size=10**30),
        lambda d: d["files"]["model.onnx"].update(sha256="A" * 64),
        lambda d: d["files"]["model.onnx"].update(sha256=None),
        lambda d: d["files"].update({"model.onnx": None}),
        lambda d: d["files"].pop("model.onnx"),
        lambda d: d["files"].update({f"f{i}": {"sha256": SHA, "size": 0} for i in range(10_001)}),
        lambda d: d.update(model="another"),
    ],
)
def test_manifests_that_lie(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    rewritten(bundle, change)
    refused(bundle)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe{}",
        b"[" * 200_000,
        b'{"kind": "chita-edge bundle", "kind": "chita-edge bundle", "schema_version": 1, "files": {}}',
        b'{"kind": "chita-edge bundle", "schema_version": 1, "files": {}, "x": NaN}',
        b'{"kind": "chita-edge bundle", "schema_version": 1, "files": {}, "x": ' + b"9" * 5000 + b"}",
        b" " * ((8 << 20) + 1),
    ],
    ids=["empty", "null", "array", "cut", "utf16", "deep", "twice", "nan", "long-number", "huge"],
)
def test_manifests_that_are_no_manifest(bundle: Path, data: bytes) -> None:
    (bundle / "manifest.json").write_bytes(data)
    refused(bundle, "manifest.json")


def test_accuracy_cannot_be_edited_even_without_measurements(tmp_path: Path) -> None:
    closed = write_bundle(tmp_path / "closed", FILES, {"accuracy": 0.91})
    text = (closed / "manifest.json").read_text()
    (closed / "manifest.json").write_text(text.replace("0.91", "0.99"))
    refused(closed, "manifest.json was changed")
    (closed / "manifest.json").write_text(text.replace("  ", "\t"))
    refused(closed, "manifest.json was changed")


def test_a_sparse_huge_manifest_is_not_read_whole(bundle: Path) -> None:
    os.truncate(bundle / "manifest.json", 1 << 40)
    refused(bundle, "manifest.json is larger")


def test_measurements_of_another_product(bundle: Path) -> None:
    other = write_bundle(bundle.parent / "other", {"model.onnx": b"slower"}, {}, measurements=MEASURED)
    (bundle / "bench/index.json").write_bytes((other / "bench/index.json").read_bytes())
    refused(bundle, "belongs to another")


def test_a_folder_that_is_not_there_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        verify_bundle(tmp_path / "nowhere")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=300))
def test_no_bytes_in_place_of_the_manifest_end_in_another_error(bundle: Path, data: bytes) -> None:
    good = (bundle / "manifest.json").read_bytes()
    try:
        (bundle / "manifest.json").write_bytes(data)
        refused(bundle)
    finally:
        (bundle / "manifest.json").write_bytes(good)
