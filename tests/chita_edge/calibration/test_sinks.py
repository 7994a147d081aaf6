from __future__ import annotations

import resource
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from full_disk import write_beyond_limit
from resumable_pruning import finish, in_own_process

from chita_edge.calibration import ScratchSpaceError, StateError
from chita_edge.calibration.sinks import AnonymousSink, FolderSink, GradientSink, MemorySink

SIZES = {"a": 4, "b": 6}
BATCHES = (slice(0, 2), slice(2, 4), slice(4, 5))


def matrix() -> torch.Tensor:
    return torch.randn(10, 5, generator=torch.Generator().manual_seed(0))


def fill(sink: GradientSink, numbers: tuple[int, ...] = (0, 1, 2)) -> None:
    for number in numbers:
        if not sink.holds(number):
            with sink.batch(number) as write:
                write("a", matrix()[:4, BATCHES[number]].T)
                write("b", matrix()[4:, BATCHES[number]].T)


def sinks(folder: Path, dtype: torch.dtype = torch.float32) -> dict[str, GradientSink]:
    return {
        "memory": MemorySink(SIZES, BATCHES),
        "anonymous": AnonymousSink(SIZES, BATCHES, folder, dtype),
        "folder": FolderSink(SIZES, BATCHES, folder / "kept", dtype, "ours"),
    }


@pytest.mark.parametrize("kind", ["memory", "anonymous", "folder"])
def test_gives_back_what_it_took(kind: str, tmp_path: Path) -> None:
    sink = sinks(tmp_path)[kind]
    fill(sink)
    found = sink.finish()
    assert found.samples == 5
    assert found.size == 10
    assert found.on_disk == (kind != "memory")
    assert torch.equal(found.blocks["a"][:4], matrix()[:4])
    assert torch.equal(found.blocks["b"][:6], matrix()[4:])


@pytest.mark.parametrize("kind", ["anonymous", "folder"])
def test_bfloat16_halves_the_disk_and_rounds(kind: str, tmp_path: Path) -> None:
    sink = sinks(tmp_path, torch.bfloat16)[kind]
    fill(sink)
    assert torch.equal(sink.finish().blocks["b"][:6], matrix()[4:].bfloat16().float())


def test_a_folder_keeps_whole_batches_and_removes_begun_ones(tmp_path: Path) -> None:
    fill(FolderSink(SIZES, BATCHES, tmp_path, torch.float32, "ours"), (0, 1))
    (tmp_path / ".batch-00002.safetensors.01234567.partial").write_bytes(b"begun")
    sink = FolderSink(SIZES, BATCHES, tmp_path, torch.float32, "ours")
    assert [sink.holds(number) for number in range(3)] == [True, True, False]
    fill(sink)
    assert not list(tmp_path.glob(".*")), "what a killed writer left is gone"
    assert torch.equal(sink.finish().blocks["a"][:4], matrix()[:4])


def test_a_batch_in_anothers_place_is_refused(tmp_path: Path) -> None:
    fill(FolderSink(SIZES, BATCHES, tmp_path, torch.float32, "ours"))
    shutil.copy(tmp_path / "batch-00000.safetensors", tmp_path / "batch-00001.safetensors")
    sink = FolderSink(SIZES, BATCHES, tmp_path, torch.float32, "ours")
    assert sink.holds(0)
    with pytest.raises(StateError, match="batch-00001"):
        sink.holds(1)


@pytest.mark.parametrize("kind", ["anonymous", "folder"])
def test_too_little_space_is_said_before_anything_is_computed(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=199))
    with pytest.raises(ScratchSpaceError, match=r"need 0\.0 GB, and the folder .* has 0\.0 GB free"):
        if kind == "anonymous":
            AnonymousSink(SIZES, BATCHES, tmp_path, torch.float32)
        else:
            FolderSink(SIZES, BATCHES, tmp_path, torch.float32, "ours")


def test_a_write_that_fails_half_way_is_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    """The system refuses the second half of a write, as it does when the disk is full."""
    folder, said = tmp_path / "scratch", tmp_path / "said"
    folder.mkdir()
    assert finish([in_own_process(write_beyond_limit, folder, said)]) == [0]
    assert said.read_text().count("(File too large). Free disk space") == 2
    assert not [path for path in folder.rglob("*") if path.is_file()]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 20_000
