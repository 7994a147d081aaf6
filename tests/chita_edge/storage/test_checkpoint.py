import errno
import os
from pathlib import Path

import pytest
import torch

from chita_edge.storage.checkpoint import Checkpoint
from chita_edge.storage.errors import ScratchSpaceError, StateError

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
    with pytest.raises(StateError, match="belongs to another network"):
        Checkpoint(tmp_path / "state", "you").read()


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = Checkpoint(tmp_path / "state", "me")
    checkpoint.write(TENSORS, NUMBERS)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(ScratchSpaceError, match="No space left"):
        patch.setattr(os, "fsync", full)
        checkpoint.write({"a": torch.zeros(1)}, {})
    found = checkpoint.read()
    assert found is not None
    assert found[1] == NUMBERS
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
