"""Time of each node of a model, read from the trace of ONNX Runtime's profiler."""

from __future__ import annotations

import json
import statistics
from typing import Final

from device_bench.errors import MeasurementError
from device_bench.results import MAX_NODE_NAME, MAX_NODES, OpTime

RUNS: Final = 10
"""Runs of the profiled session; the first one allocates, and the median does not care."""
_SUFFIX = "_kernel_time"
_LONGEST_US: Final = 10**12
_LONGEST_OP: Final = 200


def op_times(trace: object) -> tuple[OpTime, ...]:
    """The nodes of a trace (a list of Chrome trace events) in the order of their first runs; ms, median of the runs.

    The trace may come from a device: MeasurementError if it is not such a list; events of other shapes are passed over.
    """
    if not isinstance(trace, list):
        raise MeasurementError("ONNX Runtime's profile is not a list of events.")
    found: dict[tuple[str, str], list[float]] = {}
    for event in trace:
        if not isinstance(event, dict) or event.get("cat") != "Node":
            continue
        name, dur, details = event.get("name"), event.get("dur"), event.get("args")
        op = details.get("op_name") if isinstance(details, dict) else None
        if not isinstance(name, str) or not isinstance(op, str) or not isinstance(dur, int):
            continue
        node = _plain(name.removesuffix(_SUFFIX))
        if name.endswith(_SUFFIX) and node and _plain(op) and 0 <= dur < _LONGEST_US and len(found) < MAX_NODES:
            found.setdefault((node, _plain(op)[:_LONGEST_OP]), []).append(dur / 1000.0)
    return tuple(OpTime(node=node, op=op, ms=statistics.median(taken)) for (node, op), taken in found.items())


def read_trace(text: str) -> tuple[OpTime, ...]:
    """:func:`op_times` of a trace file's text. MeasurementError if it is not JSON."""
    try:
        return op_times(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise MeasurementError(f"ONNX Runtime's profile cannot be read: {error}") from error


def _plain(text: str) -> str:
    """The text as a results file takes it: printable, not too long."""
    return "".join(character for character in text if character.isprintable())[:MAX_NODE_NAME]
