"""A small problem whose rows are spread over processes. A module of its own, as the processes import it by its name."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file

from chita_edge.calibration import GradientMatrix, RankError, Ranks
from chita_edge.calibration.sharded_columns import lead, serve
from chita_edge.pruning import Constraint, Layer, Problem, PruningError, get_pattern, get_solver
from chita_edge.pruning.columns import Work, each

SIZES, N = {"a": (6, 5), "b": (7, 10)}, 11


def matrix(columns: slice = slice(0, N)) -> GradientMatrix:
    rng = torch.Generator().manual_seed(0)
    blocks = {name: torch.randn(a * b, N, generator=rng)[:, columns].contiguous() for name, (a, b) in SIZES.items()}
    return GradientMatrix(blocks, on_disk=False)


def whole_problem(gradients: GradientMatrix) -> tuple[Problem, Constraint]:
    rng = torch.Generator().manual_seed(1)
    layers = tuple(
        Layer(name, torch.randn(shape, generator=rng), gradients.blocks[name]) for name, shape in SIZES.items()
    )
    return Problem(layers, 0.01, 1.0), Constraint(
        get_pattern("unstructured"), tuple(map(torch.Size, SIZES.values())), 40
    )


def figures(gradients: GradientMatrix) -> dict[str, torch.Tensor]:
    """All that a `Columns` can be asked, and what solvers make of it."""
    rng = torch.Generator().manual_seed(2)
    problem, constraint = whole_problem(gradients)
    weights = torch.randn(100, generator=rng)
    chosen = torch.tensor([0, 3, 29, 30, 31, 99])
    block = gradients.blocks["b"]
    found = {
        "objective": torch.tensor(problem.objective(weights)),
        "gradient": problem.gradient(weights),
        "curvature": problem.curvature(),
        "restricted": problem.restrict(chosen).columns,
        "rows": block[10:20].clone(),
        "gram": block @ block.T if isinstance(block, torch.Tensor) else block.gram(0, 70),
    }
    for name in ("obd", "obs", "woodfisher", "cbs", "chita", "chita_bso", "mfac"):
        found[f"mask/{name}"] = get_solver(name).solve(problem, constraint).mask
    return found


def process(columns: torch.Tensor) -> dict[str, torch.Tensor]:
    """Who does this."""
    del columns
    return {"process": torch.tensor([os.getpid()])}


def refuse(columns: torch.Tensor) -> dict[str, torch.Tensor]:
    """What a work that fails does."""
    raise PruningError(f"{len(columns)} coordinates are not to be worked on.")


PIECES = [Work(first, first + 5, process) for first in range(0, 70, 5)]


def one_rank(out: Path, meet: Path, rank: int, size: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{meet}", rank=rank, world_size=size, timeout=timedelta(seconds=100)
    )
    ranks = Ranks(rank, size)
    shares = [ranks.share(N, 1, number) for number in range(size)]
    if ranks.leads:
        with lead(matrix(shares[0]), ranks, shares, window_bytes=4 * N * 20) as gradients:
            found = figures(gradients)
            found["processes"] = torch.cat([result["process"] for result in each(gradients.blocks["b"], PIECES)])
            try:
                list(each(gradients.blocks["b"], [Work(0, 70, refuse)]))
            except RankError as error:
                found["sentence"] = torch.frombuffer(bytearray(str(error).encode()), dtype=torch.uint8)
            save_file({name: tensor.contiguous() for name, tensor in found.items()}, out)
    else:
        serve(matrix(shares[rank]), ranks, shares)
    dist.destroy_process_group()
