import errno
import os
from pathlib import Path

import pytest
import torch

from chita_edge.tuning import Checkpoint, CheckpointError

TENSORS = {"a": torch.arange(6.0).view(2, 3).t(), "step": torch.tensor(3.0)}
NUMBERS = {"epochs": 2, "seconds": 0.1 + 0.2}


def test_reads_what_was_written_last(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "state", "me")
    assert checkpoint.read() is None
    checkpoint.write({"other": torch.zeros(1)}, {})
    checkpoint.write(TENSORS, NUMBERS)
    found = checkpoint.read()
    assert found is not None
    assert found[0].keys() == TENSORS.keys()
    assert all(torch.equal(found[0][name], tensor) for name, tensor in TENSORS.items())
    assert found[1] == NUMBERS
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_another_runs_file_is_refused(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "state", "me").write(TENSORS, NUMBERS)
    with pytest.raises(CheckpointError, match="belongs to another network"):
        Checkpoint(tmp_path / "state", "you").read()


def test_every_flipped_bit_and_every_cut_is_found(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "state", "me")
    checkpoint.write(TENSORS, NUMBERS)
    whole = checkpoint.path.read_bytes()
    for at in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        checkpoint.path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"damaged|belongs to"):
            checkpoint.read()
    for keep in (0, 1, 8, len(whole) // 2, len(whole) - 1):
        checkpoint.path.write_bytes(whole[:keep])
        with pytest.raises(CheckpointError, match="is damaged"):
            checkpoint.read()


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = Checkpoint(tmp_path / "state", "me")
    checkpoint.write(TENSORS, NUMBERS)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(CheckpointError, match="No space left"):
        patch.setattr(os, "fsync", full)
        checkpoint.write({"a": torch.zeros(1)}, {})
    found = checkpoint.read()
    assert found is not None
    assert found[1] == NUMBERS
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
