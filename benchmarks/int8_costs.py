"""What int8 layers cost in each form: makes the rates of runtimes/cost_tables/*.int8.json.

    python benchmarks/int8_costs.py x86_64 [--json runtimes/cost_tables/x86_64.int8.json] [--bursts 7]
    python benchmarks/int8_costs.py arm64 [--json runtimes/cost_tables/arm64.int8.json]

Each kernel alone, on one thread, in turns; processor time, the least of the bursts, microseconds. A layer is taken to
cost its stored multiply-adds, its outputs and the inputs that are copied for windows larger than 1x1 and for steps of
more than one times a rate each, and what any call takes: rates from 0 up by least squares of relative errors. What
they miss is printed. Weights and blocks are random. ONNX Runtime's own int8 has rates of its own, from the same dense
layers by its profile (benchmarks/onnxruntime_int8.py). arm64: instructions on an emulated Cortex-A76
(benchmarks/int8_arm.py).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from int8_arm import as_argument, instructions, layer_program
from layers import Layer, pool
from onnxruntime_int8 import macs_of, model_of, node_microseconds
from scipy.optimize import nnls

from device_bench.sampling.context import cpu_name
from runtimes import host_isa, library
from runtimes.bindings import Kernels
from runtimes.int8_costs import NOTHING, Gathered, depthwise_inputs, gathered_inputs
from runtimes.quantized import Blocks, Grid, QKernels, QPlan, packed_bytes
from runtimes.structures import Geometry

FORMS = ("dense", "1x4", "2x4", "depthwise")
LAYERS = (  # outputs, channels, window, stride, side of the input
    (64, 32, 1, 1, 56), (128, 64, 1, 1, 28), (128, 128, 1, 1, 28), (256, 256, 1, 1, 14), (512, 512, 1, 1, 14),
    (64, 128, 1, 1, 24), (512, 256, 1, 1, 7), (96, 24, 1, 1, 56), (24, 144, 1, 1, 28), (16, 16, 3, 1, 32),
    (32, 32, 3, 1, 16), (64, 64, 3, 1, 8), (64, 64, 3, 1, 28), (128, 64, 3, 2, 28), (32, 16, 3, 2, 32),
    (64, 32, 3, 2, 16), (128, 64, 1, 2, 28), (32, 3, 3, 2, 112), (64, 3, 7, 2, 112),
)  # fmt: skip
DEPTHWISE = ((32, 3, 1, 56), (64, 3, 2, 56), (128, 3, 1, 28), (512, 3, 1, 14), (96, 5, 1, 28), (64, 3, 1, 12))
DENSITIES = (0.5, 0.35, 0.25, 0.1)
COUNTED_FORMS = (
    ("dense", 0, 0),
    *((form, rows, zeros) for form, rows in (("1x4", 1), ("2x4", 2)) for zeros in (50, 85)),
)
COUNTED_CPU = "cortex-a76"
X, Y = Grid(0.02, 128), Grid(0.05, 3)
RNG = np.random.default_rng(0)


@dataclass(frozen=True)
class Timed:
    """One layer: its form, stored multiply-adds, outputs, inputs that are copied, and a call of it."""

    form: str
    macs: int
    outputs: int
    gathered: Gathered
    call: Callable[[], None]


def geometry(outputs: int, channels: int, window: int, stride: int) -> Geometry:
    return Geometry(outputs, channels, window, window, stride, stride, *(window // 2,) * 4, 1, 1)


def weights(shape: tuple[int, ...], rows: int, density: float) -> Any:
    """Random weights; ``rows`` 1 or 2: in blocks of which so many are there, 0: dense."""
    full = RNG.integers(-127, 128, shape).astype(np.int8)
    full[full == 0] = 1
    if not rows:
        return full
    blocks = RNG.random((-(-shape[0] // rows), -(-shape[1] // 4), *shape[2:])) < density
    kept = blocks.repeat(rows, 0)[: shape[0]].repeat(4, 1)[:, : shape[1]]
    return Blocks.of(full * kept, rows)


def bound(plan: QPlan, form: str, macs: int, x_shape: tuple[int, ...], gathered: Gathered = NOTHING) -> Timed:
    y_shape = plan.out_shape(x_shape)
    x, y = (np.zeros(packed_bytes(shape) + 64, np.uint8) for shape in (x_shape, y_shape))
    x, y = (part[-part.ctypes.data % 64 :] for part in (x, y))
    x[:] = RNG.integers(0, 256, x.shape)
    return Timed(form, macs, math.prod(y_shape), gathered, plan.bind(x, y, x_shape))


def layers(kernels: Kernels) -> list[Timed]:
    ops, found = QKernels(kernels), []
    for outputs, channels, window, stride, side in LAYERS:
        shape, x_shape = (outputs, channels, window, window), (1, channels, side, side)
        scale, bias = np.full(outputs, 0.01, np.float32), np.zeros(outputs, np.int32)
        for form, rows, density in [
            ("dense", 0, 1.0), *((form, rows, d) for form, rows in (("1x4", 1), ("2x4", 2)) for d in DENSITIES)
        ]:  # fmt: skip
            made = weights(shape, rows, density)
            plan = ops.conv("q_conv", made, scale, bias, geometry(outputs, channels, window, stride), X, Y)
            pixels = math.prod(plan.out_shape(x_shape)[2:])
            stored = made.values.size if rows else math.prod(shape)
            gathered = gathered_inputs(channels, (window,) * 2, (stride,) * 2, pixels)
            found.append(bound(plan, form, stored * pixels, x_shape, gathered))
    for channels, window, stride, side in DEPTHWISE:
        x_shape = (1, channels, side, side)
        scale, bias = np.full(channels, 0.01, np.float32), np.zeros(channels, np.int32)
        made = weights((channels, window, window), 0, 1.0)
        plan = ops.conv("q_depthwise_conv", made, scale, bias, geometry(channels, 1, window, stride), X, Y)
        made_outputs = math.prod(plan.out_shape(x_shape))
        inputs = depthwise_inputs(made_outputs, (stride,) * 2)
        found.append(bound(plan, "depthwise", made_outputs * window**2, x_shape, inputs))
    return found


def measured(calls: list[Callable[[], None]], bursts: int) -> np.ndarray:
    """Microseconds of processor time of each call: the least mean of several bursts, taken in turns."""
    repeats = []
    for call in calls:
        call()
        start = time.process_time()
        for _ in range(5):
            call()
        repeats.append(max(5, math.ceil(5 * 2e-3 / max(time.process_time() - start, 1e-6))))
    best = np.full(len(calls), np.inf)
    for _ in range(bursts):
        for number, (call, count) in enumerate(zip(calls, repeats, strict=True)):
            start = time.process_time()
            for _ in range(count):
                call()
            best[number] = min(best[number], (time.process_time() - start) / count * 1e6)
    return best


def elements(kernels: Kernels, bursts: int) -> float:
    """Microseconds for one value of a sum."""
    ops, shape = QKernels(kernels), (1, 128, 56, 56)
    plan = ops.add(X, X, Y)
    a, b, y = (np.zeros(packed_bytes(shape) + 64, np.uint8) for _ in range(3))
    a, b, y = (part[-part.ctypes.data % 64 :] for part in (a, b, y))
    return float(measured([plan.bind(a, y, shape, b)], bursts)[0]) / math.prod(shape)


def overhead(kernels: Kernels, bursts: int) -> float:
    """Microseconds of calling a kernel from here, by one that does next to nothing; a node in a network has none."""
    plan = QKernels(kernels).table(np.arange(256, dtype=np.uint8))
    x, y = (np.zeros(packed_bytes((1, 4, 4, 4)) + 64, np.uint8) for _ in range(2))
    x, y = (part[-part.ctypes.data % 64 :] for part in (x, y))
    return float(measured([plan.bind(x, y, (1, 4, 4, 4))], bursts)[0])


def rates(found: list[Timed], times: np.ndarray) -> dict[str, Any]:
    columns = [*FORMS, "output", "gathered", "split", "stage"]
    system = np.zeros((len(found), len(columns)))
    for row, one in enumerate(found):
        system[row, columns.index(one.form)] = one.macs
        system[row, columns.index("output")] = one.outputs
        system[row, columns.index("gathered")] = one.gathered.taps
        system[row, columns.index("split")] = one.gathered.split
        system[row, columns.index("stage")] = 1
    scale = system.max(0)
    solved = nnls(system / scale / times[:, None], np.ones(len(found)))[0] / scale
    errors = system @ solved / times - 1
    for one, taken, error in zip(found, times, errors, strict=True):
        print(f"{one.form:>9} {one.macs:>11,} MACs {one.outputs:>8,} outputs {taken:11,.1f}, predicted {error:+.0%}")
    print(f"median error {np.median(np.abs(errors)):.0%}, 90th percentile {np.quantile(np.abs(errors), 0.9):.0%}")
    named = dict(zip(columns, solved.tolist(), strict=True))
    return {"products": {form: named.pop(form) for form in FORMS}, **named}


def onnxruntime_rates(bursts: int) -> dict[str, float]:
    """Of ONNX Runtime's QLinearConv: of a multiply-add without and with groups, of an output and of a node."""
    shapes = [(*layer, 1) for layer in LAYERS]
    shapes += [(channels, channels, window, stride, side, channels) for channels, window, stride, side in DEPTHWISE]
    sides = [(1, shape[1], shape[4], shape[4]) for shape in shapes]
    times = np.array(node_microseconds([model_of(*shape) for shape in shapes], sides, bursts))
    names = ("dense", "depthwise", "output", "stage")
    system = np.zeros((len(shapes), len(names)))
    for row, shape in enumerate(shapes):
        macs, outputs = macs_of(*shape)
        system[row] = macs * (shape[5] == 1), macs * (shape[5] > 1), outputs, 1
    scale = system.max(0)
    solved = nnls(system / scale / times[:, None], np.ones(len(times)))[0] / scale
    errors = np.abs(system @ solved / times - 1)
    print(f"ONNX Runtime: median error {np.median(errors):.0%}, 90th percentile {np.quantile(errors, 0.9):.0%}")
    return dict(zip(names, solved.tolist(), strict=True))


def counted_table() -> dict[str, Any]:
    """Rates in instructions, from counts of each layer's kernel alone."""
    found, counts = list[Timed](), list[int]()
    with layer_program() as program:
        for outputs, channels, window, stride, side in LAYERS:
            layer = Layer("csr_conv", channels, outputs, window, stride, side)
            pixels = layer.out_side**2
            gathered = gathered_inputs(channels, (window,) * 2, (stride,) * 2, pixels)
            for form, rows, zeros in COUNTED_FORMS:
                counts.append(instructions(program, COUNTED_CPU, [as_argument(layer, 1, rows, zeros)]))
                macs = layer.dense_macs * (100 - zeros) // 100
                found.append(Timed(form, macs, outputs * pixels, gathered, lambda: None))
        for channels, window, stride, side in DEPTHWISE:
            layer = Layer("depthwise_conv", channels, channels, window, stride, side)
            counts.append(instructions(program, COUNTED_CPU, [as_argument(layer, 1, 0, 0)]))
            made, inputs = channels * layer.out_side**2, depthwise_inputs(channels * layer.out_side**2, (stride,) * 2)
            found.append(Timed("depthwise", layer.dense_macs, made, inputs, lambda: None))
        mean = pool(128, 28)
        element = instructions(program, COUNTED_CPU, [as_argument(mean, 1, 0, 0)]) / mean.dense_macs
    table = {"unit": "instructions", **rates(found, np.array(counts, float)), "element": element}
    return rounded(table) | {"what": f"fitted to instructions counted on an emulated {COUNTED_CPU}"}


def rounded(table: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers to three digits: more than the fit tells."""
    made = {}
    for name, value in table.items():
        nested = isinstance(value, Mapping)
        made[name] = rounded(value) if nested else float(f"{value:.3g}") if isinstance(value, float) else value
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=["arm64", "x86_64"])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--bursts", type=int, default=7)
    arguments = parser.parse_args()
    if arguments.target == "arm64":
        write(counted_table(), arguments.json)
        return
    kernels = Kernels(library())
    found = layers(kernels)
    times = np.maximum(measured([one.call for one in found], arguments.bursts) - overhead(kernels, 50), 0.05)
    table = {"unit": "µs", **rates(found, times), "element": elements(kernels, arguments.bursts)}
    table["onnxruntime"] = onnxruntime_rates(arguments.bursts)
    table = rounded(table) | {
        "what": f"fitted to layers measured on {cpu_name()}, {host_isa()}, one thread",
        "onnxruntime_version": onnxruntime.__version__,
    }
    write(table, arguments.json)


def write(table: Mapping[str, Any], path: Path | None) -> None:
    """Print the table, and write it where a file is asked for."""
    print(table)
    if path:
        path.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
