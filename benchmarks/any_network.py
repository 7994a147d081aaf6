"""What becomes of any network at its own choice: layers found and made sparse, error, ratio to ONNX Runtime's dense.

    python benchmarks/any_network.py [--only WORD ...] [--samples 60] [--json FILE]
    python benchmarks/any_network.py --counted cortex-a76 [--only WORD ...]

The networks of the box, the light models that the package onnx ships (their constant weights replaced by random ones),
and networks of kinds that users bring (tests/support/strangers.py); 80 % of each weight is 0, but not of depthwise
layers and of those that read the input. Each is exported as `chita-edge export` does it for x86_64. Error: largest
difference from the dense file's outputs, relative to their largest. Ratio: median over rounds of dense / sparse time,
one thread, batch 1, both in one process in turns, with its 95 % interval; times are the thread's own (CPU time), so
that what else runs on the machine is not counted. FILE is written after each network; networks that are in it are not
measured again. --counted: each network of one float32 input as exported for arm64, in instructions counted on an
emulated Arm processor (benchmarks/count_many.py).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from count_many import Counted, count_many
from onnx import TensorProto, numpy_helper
from rich.console import Console
from rich.table import Table

import exporters
import runtimes
from chita_edge.deploy.decide import cheapest_on
from chita_edge.models import MODELS
from device_bench.judging.stats import median_ratio, quantile, spread
from device_bench.sampling.context import cpu_name

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
from strangers import STRANGERS, stranger

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
SPARSITY, LEAST_CHANNELS = 0.8, 4
Feeds = dict[str, np.ndarray[Any, Any]]
Network = tuple[str, Callable[[], tuple[onnx.ModelProto, Feeds]]]


def networks() -> Iterator[Network]:
    """Names, and functions that make the dense file and one sample for it."""
    for name, entry in MODELS.items():
        yield name, lambda entry=entry: _exported(entry.architecture().eval(), (torch.randn(1, *entry.input_shape),))
    for path in sorted(LIGHT.glob("*.onnx")):
        yield path.stem, lambda path=path: _light(path)
    for name in STRANGERS:
        yield name, lambda name=name: _exported(*_single(*stranger(name)))


def _single(
    network: torch.nn.Module, inputs: tuple[torch.Tensor, ...]
) -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    return network, tuple(one[:1] for one in inputs)


def _exported(network: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[onnx.ModelProto, Feeds]:
    dense = with_zeros(exporters.to_onnx(network, inputs if len(inputs) > 1 else inputs[0]))
    feeds = {value.name: one.numpy() for value, one in zip(dense.graph.input, inputs, strict=True)}
    return dense, feeds


def _light(path: Path) -> tuple[onnx.ModelProto, Feeds]:
    """The model with each ConstantOfShape of a constant shape as an initializer of random numbers."""
    model = onnx.load(path)
    rng = np.random.default_rng(0)
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape" or node.input[0] not in held:
            kept.append(node)
            continue
        shape = numpy_helper.to_array(held[node.input[0]])
        array = rng.standard_normal(shape).astype(np.float32)
        if len(shape) < 2:  # scales and variances are positive
            array = rng.uniform(0.5, 1.0, shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, 4)
    shape = [dim.dim_value or 1 for dim in inputs[0].type.tensor_type.shape.dim]
    return with_zeros(model), {inputs[0].name: rng.standard_normal(shape).astype(np.float32)}


def with_zeros(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with weights that are mostly 0, scaled so that activations neither vanish nor grow."""
    rng = np.random.default_rng(0)
    transposed = {node.input[1] for node in model.graph.node if node.op_type in ("MatMul", "ConvTranspose")}
    transposed |= {
        node.input[1]
        for node in model.graph.node
        if node.op_type == "Gemm" and not any(one.name == "transB" and one.i for one in node.attribute)
    }
    tables = {node.input[0] for node in model.graph.node if node.op_type == "Gather"}
    for tensor in model.graph.initializer:
        if len(tensor.dims) < 2 or tensor.data_type != TensorProto.FLOAT or tensor.name in tables:
            continue
        weight = rng.standard_normal(tuple(tensor.dims)).astype(np.float32)
        inputs = tensor.dims[0] if tensor.name in transposed else tensor.dims[1]
        if inputs > LEAST_CHANNELS:
            weight[rng.random(weight.shape) < SPARSITY] = 0
        fan = max(1.0, np.count_nonzero(weight) / (weight.size / (inputs * max(1, int(np.prod(tensor.dims[2:]))))))
        tensor.CopyFrom(numpy_helper.from_array(weight * np.float32(1.4 / fan**0.5), tensor.name))
    return model


def measure(name: str, make: Callable[[], tuple[onnx.ModelProto, Feeds]], samples: int) -> dict[str, Any]:
    """One row."""
    torch.manual_seed(0)
    dense, feeds = make()
    target = runtimes.get_target("x86_64")
    start = time.perf_counter()
    sparse = exporters.to_sparse(dense, cheapest_on(target), cache_bytes=target.cache)
    seconds = time.perf_counter() - start
    sessions = {
        "dense": runtimes.dense_session(exporters.to_bytes(dense)),
        "sparse": runtimes.session(exporters.to_bytes(sparse.model)),
    }
    outputs = {key: session.run(None, feeds) for key, session in sessions.items()}
    pairs = zip(outputs["sparse"], outputs["dense"], strict=True)
    ms = {key: np.array(values) for key, values in _times(sessions, feeds, samples).items()}
    ratio = median_ratio(ms["dense"], ms["sparse"], paired=True)
    return {
        "network": name,
        "layers": len(sparse.layers),
        "sparse_layers": sum(row.format not in ("dense", "depthwise") for row in sparse.layers),
        "reasons": sorted({row.reason.split(";")[-1].strip() for row in sparse.layers if row.format == "dense"}),
        "error": max(exporters.relative_difference(got, want) for got, want in pairs),
        "ort_dense_ms": quantile(ms["dense"], 0.5),
        "ms": quantile(ms["sparse"], 0.5),
        "ratio": ratio.estimate,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
        "spread": spread(ms["sparse"]),
        "ort_dense_spread": spread(ms["dense"]),
        "export_seconds": seconds,
        "samples": samples,
    }


def counted(words: list[str], cpu: str) -> Iterator[tuple[str, int, int]]:
    """Names, and instructions of the dense file and of the sparse one."""
    target, names, models = runtimes.get_target("arm64"), list[str](), list[Counted]()
    for name, make in networks():
        torch.manual_seed(0)
        dense, feeds = make() if any(word in name for word in words) else (None, {})
        shapes = [array.shape for array in feeds.values() if array.dtype == np.float32]
        if dense is None or len(shapes) != 1 or len(feeds) != 1:
            continue
        sparse = exporters.to_sparse(dense, cheapest_on(target), cache_bytes=target.cache).model
        names.append(name)
        models += [(dense, shapes[0], False), (sparse, shapes[0], True)]
    counts = iter(count_many(models, cpu))
    yield from zip(names, counts, counts, strict=True)


def _times(sessions: dict[str, Any], feeds: Feeds, samples: int) -> dict[str, list[float]]:
    """Milliseconds of the thread for each session, in turns; short runs are repeated within a sample."""
    found: dict[str, list[float]] = {key: [] for key in sessions}
    start = time.thread_time_ns()
    for session in sessions.values():
        session.run(None, feeds)
    inner = max(1, int(2e6 / max(1, time.thread_time_ns() - start)))
    for number in range(samples):
        for key in list(sessions)[:: 1 if number % 2 else -1]:
            sessions[key].run(None, feeds)
            start = time.thread_time_ns()
            for _ in range(inner):
                sessions[key].run(None, feeds)
            found[key].append((time.thread_time_ns() - start) / 1e6 / inner)
    return found


def table_of(rows: list[dict[str, Any]]) -> Table:
    """The rows for a reader."""
    table = Table(title=f"Any network at 80 % zeros, exported at its own choice; {cpu_name()}, 1 thread, batch 1")
    table.add_column("network")
    for heading in ("sparse / layers", "error", "dense ms", "± %", "ms", "± %", "ratio (95 % interval)"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row["network"],
            f"{row['sparse_layers']} / {row['layers']}",
            f"{row['error']:.0e}",
            f"{row['ort_dense_ms']:.3f}",
            f"{100 * row['ort_dense_spread']:.0f}",
            f"{row['ms']:.3f}",
            f"{100 * row['spread']:.0f}",
            f"{row['ratio']:.2f} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})",
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="networks whose name holds one of these")
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--counted", metavar="CPU", help="count instructions on this emulated processor")
    arguments = parser.parse_args()
    if arguments.counted:
        for name, dense, ours in counted(arguments.only or [""], arguments.counted):
            print(f"{name}: {dense} dense, {ours} sparse, {dense / ours:.2f}")
        return
    console = Console(width=130)
    known = rows_of(arguments.json)
    rows: list[dict[str, Any]] = []
    for name, make in networks():
        if arguments.only and not any(word in name for word in arguments.only):
            continue
        rows.append(known.get(name) or measure(name, make, arguments.samples))
        console.print(f"{name}: {rows[-1]['ratio']:.2f}, error {rows[-1]['error']:.0e}", style="dim")
        if arguments.json:
            write(arguments.json, {**known, **{row["network"]: row for row in rows}})
    console.print(table_of(rows))


def rows_of(path: Path | None) -> dict[str, dict[str, Any]]:
    """By network, the rows that a file has of this processor and ONNX Runtime."""
    if path is None or not path.exists():
        return {}
    document = json.loads(path.read_text(encoding="utf-8"))
    if (document["processor"], document["onnxruntime"]) != (cpu_name(), runtimes_version()):
        raise SystemExit(f"{path} was measured on {document['processor']}; name another file")
    return {row["network"]: row for row in document["rows"]}


def write(path: Path, rows: dict[str, dict[str, Any]]) -> None:
    """The file, in one piece."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {"processor": cpu_name(), "sparsity": SPARSITY, "onnxruntime": runtimes_version()}
    document = {**head, "rows": list(rows.values())}
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def runtimes_version() -> str:
    """ONNX Runtime's version."""
    import onnxruntime

    return str(onnxruntime.__version__)


if __name__ == "__main__":
    main()
