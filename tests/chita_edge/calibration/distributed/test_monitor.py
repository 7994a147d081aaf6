"""However one process of a group fails, all end, and say why."""

from __future__ import annotations

from pathlib import Path

import pytest
from resumable_pruning import finish, free_port, start

LONGEST_S = 30


@pytest.mark.parametrize(
    ("failing", "moment", "own", "sentence"),
    [
        (0, "gradients:2!RuntimeError", "RuntimeError: can't", "RuntimeError: can't allocate memory"),
        (1, "gradients:2!", "ChitaEdgeError: This", "This is what went wrong."),
        (0, "solve:3!KeyboardInterrupt", "KeyboardInterrupt", "It was interrupted."),
        (1, "reconstruct:2!MemoryError", "MemoryError", "There was not enough memory."),
    ],
)
def test_a_failure_is_everybodys_sentence(failing: int, moment: str, own: str, sentence: str, tmp_path: Path) -> None:
    outs, port = [tmp_path / f"out-{rank}" for rank in range(2)], free_port()
    started = [
        start(out, None, moment if rank == failing else None, group=(port, rank, 2)) for rank, out in enumerate(outs)
    ]
    assert finish(started, LONGEST_S) == [0, 0]
    assert outs[failing].read_text().startswith(own)
    assert outs[1 - failing].read_text() == f"RankError: Rank {failing} of 2: {sentence}"


@pytest.mark.parametrize("failing", [0, 1])
def test_who_computes_for_long_is_interrupted_when_another_is_killed(failing: int, tmp_path: Path) -> None:
    outs, port = [tmp_path / f"out-{rank}" for rank in range(2)], free_port()
    started = [
        start(
            out, None, "gradients:2" if rank == failing else "gradients:2!sleep", (port, rank, 2), quick_s=(2.0, 12.0)
        )
        for rank, out in enumerate(outs)
    ]
    assert sorted(finish(started, LONGEST_S), key=str) == [-9, 0]
    assert f"RankError: Rank {failing} of 2 does not answer any more" in outs[1 - failing].read_text()


def test_who_cannot_be_interrupted_is_ended(tmp_path: Path) -> None:
    outs, port = [tmp_path / f"out-{rank}" for rank in range(2)], free_port()
    started = [
        start(out, None, moment, (port, rank, 2), quick_s=(10.0, 1.0))
        for (rank, out), moment in zip(enumerate(outs), ("gradients:2!wait", "gradients:2!"), strict=True)
    ]
    assert finish(started, LONGEST_S) == [1, 0]
    assert "ChitaEdgeError: This is what went wrong." in outs[1].read_text()
    assert not outs[0].exists()
    assert outs[0].with_suffix(".err").read_text() == "chita-edge: Rank 1 of 2: This is what went wrong.\n"


def test_ranks_that_were_told_something_else_do_not_start(tmp_path: Path) -> None:
    outs, port = [tmp_path / f"out-{rank}" for rank in range(2)], free_port()
    started = [start(out, group=(port, rank, 2), seed=rank) for rank, out in enumerate(outs)]
    assert finish(started, LONGEST_S) == [0, 0]
    for out in outs:
        assert "Rank 1 of 2 was started for another run than rank 0. What differs: option seed." in out.read_text()
