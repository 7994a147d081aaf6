"""How much faster are int8 networks than ONNX Runtime's float32 and int8? Part of runtime.py for ``--dtype int8``."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from footprint import resident_bytes
from int8_networks import Int8Trio, int8_trio
from networks import input_shape
from rich.table import Table

import device_bench
import exporters
import runtimes
from device_bench.judging.stats import median_ratio, quantile, spread
from device_bench.sampling.interleave import interleave

ROWS = (("1x4", 0.0), *(("1x4", share) for share in (0.5, 0.65, 0.75, 0.85, 0.9)), ("2x4", 0.75))
_CREATIONS = 5


def measure_int8(
    name: str,
    structure: str,
    sparsity: float,
    threads: int,
    isa: str,
    samples: int,
    target: str,
    *,
    memory: bool,
    processor_time: bool,
) -> dict[str, Any]:
    """One row: medians of float32, of ONNX Runtime's int8 and of ours, in turns, and ratios with their intervals.

    processor_time: of the calling thread, in which work beside it does not count; for one thread alone. differ: outputs
    that are not those of ONNX Runtime's int8, bit for bit.
    """
    trio = int8_trio(name, structure, sparsity, target)
    models = {
        "float32": exporters.to_bytes(trio.float32),
        "int8": exporters.to_bytes(trio.onnxruntime),
        "ours": exporters.to_bytes(trio.ours.model),
    }
    sessions = {
        "float32": runtimes.dense_session(models["float32"], threads=threads),
        "int8": runtimes.dense_session(models["int8"], threads=threads),
        "ours": runtimes.session(models["ours"], threads=threads, isa=isa),
    }
    feed = {"input": np.random.default_rng(0).standard_normal((1, *input_shape(name))).astype(np.float32)}
    outputs = {key: session.run(None, feed)[0] for key, session in sessions.items()}
    runs = {key: (lambda session=session: session.run(None, feed)) for key, session in sessions.items()}
    if processor_time:
        ms = _processor_ms(runs, samples)
    else:
        series = interleave(runs, device_bench.BenchPlan(samples=samples, threads=threads))
        ms = {key: np.asarray(one.samples_ns) / 1e6 for key, one in series.items()}
    row: dict[str, Any] = {
        "network": name,
        "structure": structure if sparsity else "dense",
        "sparsity": sparsity,
        "threads": threads,
        "isa": isa,
        "samples": samples,
        "clock": "processor time" if processor_time else "wall",
        "layers": _formats(trio),
        "differ": int(np.count_nonzero(outputs["ours"] != outputs["int8"])),
        "outputs": outputs["ours"].size,
    }
    for key, own in ms.items():
        row[f"{key}_ms"], row[f"{key}_ms_min"] = quantile(own, 0.5), float(own.min())
        row[f"{key}_spread"] = spread(own)
    for key in ("float32", "int8"):
        ratio = median_ratio(ms[key], ms["ours"], paired=True)
        row[f"to_{key}"] = {"ratio": ratio.estimate, "low": ratio.low, "high": ratio.high}
    return row | _footprint(models, (1, *input_shape(name)), memory=memory)


def _processor_ms(runs: Mapping[str, Callable[[], object]], samples: int) -> dict[str, np.ndarray]:
    """Milliseconds of the thread's processor time, each after an untimed run of the same session, in turns."""
    taken: dict[str, list[int]] = {key: [] for key in runs}
    for turn in range(samples):
        for key in list(runs)[:: 1 if turn % 2 else -1]:
            runs[key]()
            begin = time.thread_time_ns()
            runs[key]()
            taken[key].append(time.thread_time_ns() - begin)
    return {key: np.asarray(own) / 1e6 for key, own in taken.items()}


def _formats(trio: Int8Trio) -> dict[str, int]:
    found: dict[str, int] = {}
    for layer in trio.ours.layers:
        kind = layer.format if layer.op.startswith("Q") else "ONNX Runtime"
        found[kind] = found.get(kind, 0) + 1
    return found


def _footprint(models: dict[str, bytes], shape: tuple[int, ...], *, memory: bool) -> dict[str, Any]:
    """Bytes of the files, least time to make a session from each in turns, resident memory of new processes."""
    make: dict[str, Callable[[bytes], object]] = {"int8": runtimes.dense_session, "ours": runtimes.session}
    found: dict[str, Any] = {f"{key}_bytes": len(models[key]) for key in make}
    taken: dict[str, list[float]] = {key: [] for key in make}
    for _ in range(_CREATIONS):
        for key, opened in make.items():
            begin = time.perf_counter()
            opened(models[key])
            taken[key].append((time.perf_counter() - begin) * 1e3)
    found |= {f"{key}_create_ms": min(own) for key, own in taken.items()}
    if memory:
        with tempfile.TemporaryDirectory() as folder:
            for key, kind in (("int8", "dense"), ("ours", "sparse")):
                path = Path(folder) / f"{key}.onnx"
                path.write_bytes(models[key])
                found[f"{key}_resident_bytes"] = resident_bytes(kind, path, shape)
    return found


def int8_table(rows: list[dict[str, Any]], processor: str) -> Table:
    """The rows for a reader."""
    table = Table(title=f"Whole network in int8, batch 1, {processor}; baselines of ONNX Runtime in the same run")
    for heading in ("network", "zeros", "sparsity", "threads", "isa", "ms", "± %", "float32 ms", "int8 ms"):
        table.add_column(heading, justify="left" if heading in ("network", "zeros", "isa") else "right")
    headings = ("x float32", "x int8 (95 % interval)", "differ", "create ms", "ORT int8's", "MB", "ORT int8's")
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows:
        to = row["to_int8"]
        held = (row.get(key) for key in ("ours_resident_bytes", "int8_resident_bytes"))
        resident = ["" if size is None else f"{size / 1e6:.1f}" for size in held]
        table.add_row(
            row["network"], row["structure"], f"{row['sparsity']:.0%}", str(row["threads"]), row["isa"],
            f"{row['ours_ms']:.3f}", f"{100 * row['ours_spread']:.0f}", f"{row['float32_ms']:.3f}",
            f"{row['int8_ms']:.3f}", f"{row['to_float32']['ratio']:.2f}",
            f"{to['ratio']:.2f} ({to['low']:.2f} to {to['high']:.2f})", f"{row['differ']}/{row['outputs']}",
            f"{row['ours_create_ms']:.1f}", f"{row['int8_create_ms']:.1f}", *resident,
        )  # fmt: skip
    return table
