from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from chita_edge.calibration import ScratchSpaceError, StateError
from chita_edge.calibration.chunk_file import HEADER_BYTES, ChunkWriter, check_chunk

SHAPE = (5, 3)


def written(path: Path, dtype: torch.dtype = torch.float32, fingerprint: str = "ours") -> torch.Tensor:
    rows = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    with ChunkWriter(path, SHAPE, dtype, fingerprint) as writer:
        writer.write(rows[:2])
        writer.write(rows[2:])
    return rows.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_is_a_safetensors_file(dtype: torch.dtype, tmp_path: Path) -> None:
    path = tmp_path / "batch.safetensors"
    rows = written(path, dtype)
    assert torch.equal(load_file(path)["gradients"], rows)
    check_chunk(path, SHAPE, dtype, "ours")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("at", [3, 100, HEADER_BYTES, HEADER_BYTES + 4 * 15 - 1])
def test_a_flipped_bit_is_found(at: int, tmp_path: Path) -> None:
    path = tmp_path / "batch.safetensors"
    written(path)
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(StateError, match=r"damaged or holds the gradients of another.*Remove that file"):
        check_chunk(path, SHAPE, torch.float32, "ours")


@pytest.mark.parametrize("length", [0, 10, HEADER_BYTES, HEADER_BYTES + 59, HEADER_BYTES + 61])
def test_another_length_is_found(length: int, tmp_path: Path) -> None:
    path = tmp_path / "batch.safetensors"
    written(path)
    path.write_bytes(path.read_bytes().ljust(length, b"x")[:length])
    with pytest.raises(StateError, match="is not 4156 bytes long"):
        check_chunk(path, SHAPE, torch.float32, "ours")


def test_another_runs_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "batch.safetensors"
    written(path, fingerprint="theirs")
    with pytest.raises(StateError, match="another network"):
        check_chunk(path, SHAPE, torch.float32, "ours")


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), ChunkWriter(tmp_path / "a", SHAPE, torch.float32, "ours") as writer:
        writer.write(torch.zeros(2, 3))
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(ScratchSpaceError, match="cannot hold the gradients"),
        ChunkWriter(tmp_path / "missing" / "a", SHAPE, torch.float32, "ours"),
    ):
        pass
