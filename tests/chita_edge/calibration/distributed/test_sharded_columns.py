"""Rows of A spread over processes on this machine, against one process that holds them all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from resumable_pruning import finish, free_port, in_own_process, run, start
from safetensors.torch import load_file
from sharded_problem import PIECES, figures, matrix, one_rank

from chita_edge.calibration import CalibrationError, Ranks


@pytest.mark.parametrize("size", [2, 4])
def test_products_and_masks_are_those_of_one_process(size: int, tmp_path: Path) -> None:
    out, port = tmp_path / "out", free_port()
    assert finish(in_own_process(one_rank, out, port, rank, size) for rank in range(size)) == [0] * size
    found = load_file(out)
    for name, expected in figures(matrix()).items():
        if name.startswith("mask/"):
            assert torch.equal(found[name], expected), name
        else:
            torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}")
    assert len(found["processes"]) == len(PIECES)
    assert len(set(found["processes"].tolist())) == size, "all take part"


@pytest.mark.parametrize(("size", "on_disk"), [(2, False), (4, True)])
def test_a_network_is_pruned_to_the_same_masks(size: int, on_disk: bool, tmp_path: Path) -> None:
    state, port = tmp_path / "state" if on_disk else None, free_port()
    outs = [tmp_path / f"out-{rank}" for rank in range(size)]
    assert finish(start(out, state, group=(port, rank, size)) for rank, out in enumerate(outs)) == [0] * size
    assert len({out.read_bytes() for out in outs}) == 1, "all ranks return the same"
    run(tmp_path / "alone")
    alone, together = load_file(tmp_path / "alone"), load_file(outs[0])
    for name in (name for name in alone if name.startswith("mask/")):
        assert torch.equal(alone[name], together[name])


@pytest.mark.parametrize("moment", ["solve:3", "reconstruct:3"])
def test_killed_ranks_go_on_from_their_state_folder(moment: str, tmp_path: Path) -> None:
    state, outs, port = tmp_path / "state", [tmp_path / f"out-{rank}" for rank in range(2)], free_port()
    begun = [start(out, state, None if rank else moment, group=(port, rank, 2)) for rank, out in enumerate(outs)]
    assert finish(begun, 30) == [-9, 0]
    assert "RankError: " in outs[1].read_text()
    assert {path.name for path in state.iterdir()} == {"rank-0-of-2", "rank-1-of-2"}
    port = free_port()
    assert finish(start(out, state, group=(port, rank, 2)) for rank, out in enumerate(outs)) == [0, 0]
    run(tmp_path / "alone")
    alone, together = load_file(tmp_path / "alone"), load_file(outs[0])
    assert all(torch.equal(together[name], alone[name]) for name in alone if name.startswith("mask/"))


def test_shares_are_whole_batches_where_there_are_enough() -> None:
    shares = [Ranks(rank, 3).share(100, 10) for rank in range(3)]
    assert shares == [slice(0, 30), slice(30, 60), slice(60, 100)]
    assert [Ranks(rank, 3).share(5, 10) for rank in range(3)] == [slice(0, 1), slice(1, 3), slice(3, 5)]
    with pytest.raises(CalibrationError, match="2 samples cannot be spread over 3 processes"):
        Ranks(0, 3).share(2, 1)
