"""A small problem whose rows are spread over processes. A module of its own, as the processes import it by its name."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from resumable_pruning import join
from safetensors.torch import save_file

from chita_edge.calibration import GradientMatrix, ranks_from_environment
from chita_edge.calibration.distributed.sharded_columns import lead, serve
from chita_edge.pruning import Constraint, Layer, Problem, get_pattern, get_solver
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


PIECES = [Work(first, first + 5, process) for first in range(0, 70, 5)]


def one_rank(out: Path, port: int, rank: int, size: int) -> None:
    torch.set_num_threads(1)
    join(port, rank, size)
    with ranks_from_environment() as ranks:
        shares = [ranks.share(N, 1, number) for number in range(size)]
        if not ranks.leads:
            serve(matrix(shares[rank]), ranks, shares)
            return
        with lead(matrix(shares[0]), ranks, shares, window_bytes=4 * N * 20) as gradients:
            found = figures(gradients)
            found["processes"] = torch.cat([result["process"] for result in each(gradients.blocks["b"], PIECES)])
        save_file({name: tensor.contiguous() for name, tensor in found.items()}, out)
