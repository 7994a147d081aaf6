"""What linear layers and convolutions over one side cost, dense and sparse: the grids of runtimes/cost_tables.

    python benchmarks/cost_grids.py [--json runtimes/cost_tables/x86_64.json] [--only CsrGemm] [--seconds 0.02]
    python benchmarks/cost_grids.py --counted cortex-a76 [--json runtimes/cost_tables/arm64.json] [--only CsrGemm]

Each point of the grid is a network of that layer alone, dense in stock ONNX Runtime and sparse with the kernels, in
turns, one thread: the least of the times. What a session takes besides its nodes follows from networks of the layer
three times beside each other, where three weights fit into a second-level cache; with larger ones, that of those.
--counted: instructions on an emulated Arm processor instead of times (benchmarks/count_many.py), at fewer densities.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from count_many import count_many
from onnx import TensorProto, helper, numpy_helper

import exporters
import runtimes

DENSITIES = (0.05, 0.1, 0.2, 0.3, 0.5)
COUNTED_DENSITIES = (0.05, 0.2, 0.5)
_AT_ONCE = 10
"""Points whose models are made and counted together."""
GRIDS: dict[str, dict[str, tuple[int, ...]]] = {
    "CsrGemm": {"rows": (1, 16, 64, 256), "inputs": (32, 128, 512, 2048), "outputs": (8, 32, 128, 512, 2048)},
    "CsrConv1d": {
        "length": (16, 64, 256, 1024),
        "inputs": (16, 64, 256),
        "outputs": (16, 64, 256),
        "window": (1, 3, 9),
    },
}
_SMALL = 64 * 1024
"""Weights of a layer, up to which three of them fit into a second-level cache together."""


def network(op: str, sizes: dict[str, int], density: float, copies: int) -> tuple[onnx.ModelProto, tuple[int, ...]]:
    """The layer ``copies`` times, each with weights of its own, reading the same input; and that input's shape."""
    rng = np.random.default_rng(0)
    nodes, outputs, constants = [], [], []
    if op == "CsrGemm":
        rows, inputs, width = sizes["rows"], sizes["inputs"], sizes["outputs"]
        source: tuple[int, ...] = (1, inputs) if rows == 1 else (1, rows, inputs)
        shape, result = (inputs, width), (*source[:-1], width)
    else:
        window, inputs, width = sizes["window"], sizes["inputs"], sizes["outputs"]
        source = (1, inputs, sizes["length"])
        shape, result = (width, inputs, window), (1, width, sizes["length"])
    for index in range(copies):
        weight = rng.standard_normal(shape, np.float32)
        weight[rng.random(shape) >= density] = 0
        constants += [
            numpy_helper.from_array(weight, f"w{index}"),
            numpy_helper.from_array(np.ones(width, np.float32), f"b{index}"),
        ]
        outputs.append(helper.make_tensor_value_info(f"y{index}", TensorProto.FLOAT, result))
        names = ["x", f"w{index}", f"b{index}"]
        if op == "CsrConv1d":
            nodes.append(helper.make_node("Conv", names, [f"y{index}"], f"n{index}", pads=[(window - 1) // 2] * 2))
        elif len(source) == 2:
            nodes.append(helper.make_node("Gemm", names, [f"y{index}"], f"n{index}"))
        else:
            nodes.append(helper.make_node("MatMul", names[:2], [f"m{index}"], f"n{index}"))
            nodes.append(helper.make_node("Add", [f"m{index}", names[2]], [f"y{index}"], f"a{index}"))
    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, source)
    graph = helper.make_graph(nodes, "g", [info], outputs, constants)
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)]), source


def bound(session: Any, x: np.ndarray) -> Callable[[], None]:
    """A run whose arrays lie where they are."""
    binding = session.io_binding()
    binding.bind_cpu_input("x", x)
    for output in session.get_outputs():
        binding.bind_output(output.name)
    return lambda: session.run_with_iobinding(binding)


def least_us(calls: Sequence[Callable[[], None]], seconds: float) -> list[float]:
    """The least time of each call, in turns."""
    best = [float("inf")] * len(calls)
    end, turns = time.perf_counter() + seconds * len(calls), 0
    while turns < 9 or time.perf_counter() < end:
        for index, call in enumerate(calls):
            call()
            start = time.thread_time_ns()  # of this thread alone, which does all of the work, whatever else runs
            call()
            best[index] = min(best[index], (time.thread_time_ns() - start) / 1e3)
        turns += 1
    return best


def models(
    op: str, sizes: dict[str, int], densities: Sequence[float], counts: Sequence[int]
) -> list[tuple[onnx.ModelProto, tuple[int, ...], bool]]:
    """For each number of copies the dense network and the sparse ones, with their input's shape and which they are."""
    found = []
    for copies in counts:
        for density in (None, *densities):
            model, shape = network(op, sizes, density or densities[0], copies)
            if density is not None:
                model = exporters.to_sparse(model, lambda _: exporters.Decision(sparse=True, reason="measured")).model
            found.append((model, shape, density is not None))
    return found


def copies_of(sizes: dict[str, int]) -> tuple[int, ...]:
    """How many layers each network has."""
    weights = sizes["inputs"] * sizes["outputs"] * sizes.get("window", 1)
    return (1, 3) if weights <= _SMALL else (1,)


def each_of(costs: np.ndarray, session: list[float]) -> np.ndarray:
    """What one layer costs, of networks of one and of three or of one. session: of those before."""
    if len(costs) > 1:
        each = (costs[1] - costs[0]) / 2
        session.append(float(np.median(costs[0] - each)))
        return each
    return costs[0] - float(np.median(session))


def point(op: str, sizes: dict[str, int], seconds: float, session_us: list[float]) -> list[float]:
    """Microseconds of a layer: dense, then ours at each density. session_us: of those before, what a session takes."""
    counts = copies_of(sizes)
    calls = []
    for model, shape, sparse in models(op, sizes, DENSITIES, counts):
        x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
        calls.append(bound((runtimes.session if sparse else runtimes.dense_session)(model.SerializeToString()), x))
    best = np.array(least_us(calls, seconds)).reshape(len(counts), -1)
    return [round(float(one), 2) for one in np.maximum(each_of(best, session_us), 0.2)]


def counted_points(op: str, every: Sequence[dict[str, int]], cpu: str) -> list[list[float]]:
    """Instructions of layers of these sizes, dense and in our op at each of COUNTED_DENSITIES."""
    points, session = list[list[float]](), list[float]()
    for first in range(0, len(every), _AT_ONCE):
        some = every[first : first + _AT_ONCE]
        counts = [copies_of(sizes) for sizes in some]
        made = [models(op, sizes, COUNTED_DENSITIES, count) for sizes, count in zip(some, counts, strict=True)]
        found = iter(count_many(itertools.chain.from_iterable(made), cpu))
        for sizes, count, own in zip(some, counts, made, strict=True):
            costs = np.array(list(itertools.islice(found, len(own))), np.float64).reshape(len(count), -1)
            points.append([float(round(one)) for one in np.maximum(each_of(costs, session), 1)])
            print(op, *sizes.values(), *points[-1], flush=True)
    return points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="the table whose grids are replaced")
    parser.add_argument("--only", choices=sorted(GRIDS))
    parser.add_argument("--seconds", type=float, default=0.02, help="for each network")
    parser.add_argument("--counted", metavar="CPU", help="count instructions on this emulated processor")
    arguments = parser.parse_args()
    grids = {}
    for op in [arguments.only] if arguments.only else GRIDS:
        axes, points, session_us = GRIDS[op], list[list[float]](), list[float]()
        every = [dict(zip(axes, sizes, strict=True)) for sizes in itertools.product(*axes.values())]
        if arguments.counted:
            points = counted_points(op, every, arguments.counted)
        for sizes in [] if arguments.counted else every:
            points.append(point(op, sizes, arguments.seconds, session_us))
            print(op, *sizes.values(), *points[-1], flush=True)
        densities = COUNTED_DENSITIES if arguments.counted else DENSITIES
        grids[op] = {"axes": axes, "densities": densities, "points": points}
    if arguments.json:
        write(arguments.json, grids)


def write(path: Path, grids: dict[str, Any]) -> None:
    """Put the grids into a table, one line a point."""
    text = path.read_text(encoding="utf-8")
    table = json.loads(text)
    kept = {**table.get("grids", {}), **grids}
    begin = text.index('  "grids": {') if "grids" in table else text.index('  "points": [')
    end = text.index('  "points": [', text.index("\n  },\n", begin)) if "grids" in table else begin
    parts = []
    for op, grid in sorted(kept.items()):
        rows = ",\n".join("        " + json.dumps(row) for row in grid["points"])
        head = f'      "axes": {json.dumps(grid["axes"])},\n      "densities": {json.dumps(grid["densities"])}'
        parts.append(f'    "{op}": {{\n{head},\n      "points": [\n{rows}\n      ]\n    }}')
    path.write_text(text[:begin] + '  "grids": {\n' + ",\n".join(parts) + "\n  },\n" + text[end:], encoding="utf-8")


if __name__ == "__main__":
    main()
