"""Plan of a measurement."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from device_bench.errors import PlanError
from device_bench.results import MAX_ROUNDS

DEFAULT_SAMPLES = 60
MOST_PROCESSES = 100


@dataclass(frozen=True)
class ModelUnderTest:
    """One ONNX file to measure; ``sparse`` runs it with the kernel library, otherwise it runs in stock ONNX Runtime.

    ``library`` names a kernel library other than the one of this installation, for devices of another kind.
    ``profiled`` is a file of the same network that is profiled instead, if its nodes say more about the layers.
    ``trusted`` files are opened as they are; others are checked first, see :func:`runtimes.check_file`.
    """

    path: Path
    sparse: bool
    library: Path | None = None
    profiled: Path | None = None
    trusted: bool = False


@dataclass(frozen=True)
class BenchPlan:
    """Plan of a measurement: samples, warm-up, threads, limits.

    ``samples`` are taken of every model, one of each a round; ``duration_s`` goes on until that much time has passed
    as well (sustained load); a run that outgrows its results file keeps every second round, then every fourth, and so
    on. ``order`` is drawn afresh each round (``shuffled``), or turned each round (``abba``).
    Warm-up ends when every model's last runs agree with those before, at the latest after ``warmup_rounds`` or
    ``warmup_s``. ``cores`` are the ones to run on (by number, or those with the highest or lowest clock), all
    allowed ones if None. On devices of another kind ``ort`` gives ONNX Runtime (an AAR, or the library itself), and a
    run is killed after ``time_limit_s``. ``profile`` adds what each node takes, from a session of its own after the
    samples. ``processes`` take ``samples`` each, one process after another, to show what differs between processes; if
    it is None the device says how many. ``input_shapes`` gives sizes to inputs whose files leave them open.
    PlanError if a value makes no sense.
    """

    threads: int = 1
    samples: int = DEFAULT_SAMPLES
    duration_s: float = 0.0
    seed: int = 0
    cores: tuple[int, ...] | Literal["big", "little"] | None = None
    order: Literal["shuffled", "abba"] = "shuffled"
    warmup_rounds: int = 200
    warmup_s: float = 10.0
    time_limit_s: float = 3600.0
    ort: Path | None = None
    profile: bool = False
    processes: int | None = None
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.samples <= MAX_ROUNDS:
            raise PlanError(f"{self.samples} samples cannot be taken; ask for 1 to {MAX_ROUNDS}.")
        if not 1 <= self.threads <= 256:
            raise PlanError(f"{self.threads} threads cannot be used; ask for 1 to 256.")
        if not 0 <= self.duration_s <= 86400:
            raise PlanError(f"A run of {self.duration_s} s cannot be made; ask for 0 s to a day.")
        if self.warmup_rounds < 0 or self.warmup_s < 0 or self.time_limit_s <= 0:
            raise PlanError("Warm-up bounds must not be negative, and the time limit must be above zero.")
        if self.processes is not None and not 1 <= self.processes <= MOST_PROCESSES:
            raise PlanError(f"{self.processes} processes cannot be used; ask for 1 to {MOST_PROCESSES}.")
        for name, shape in self.input_shapes.items():
            if not shape or not all(1 <= size <= 1 << 28 for size in shape):
                raise PlanError(f"The input {name!r:.80} cannot have the shape {shape}; write for example 1x3x320x320.")
        if self.order not in ("shuffled", "abba"):
            raise PlanError(f"The order {self.order!r} is unknown; there are shuffled and abba.")
        cores = (0,) if self.cores in (None, "big", "little") else self.cores
        if isinstance(cores, str) or not cores or not 0 <= min(cores) <= max(cores) < 1024:
            raise PlanError("Name cores from 0 to 1023, or those that are big or little.")


def parse_cores(text: str) -> tuple[int, ...] | Literal["big", "little"]:
    """Read ``big``, ``little`` or a core list such as ``0-3`` or ``0,2,4-5``. PlanError if it is none."""
    if text == "big":
        return "big"
    if text == "little":
        return "little"
    cores: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,4})(?:-(\d{1,4}))?\s*", part)
        if not found or int(found[2] or found[1]) < int(found[1]):
            raise PlanError(f"{text!r:.80} is not a list of cores; write for example 0-3 or 0,2.")
        cores.update(range(int(found[1]), int(found[2] or found[1]) + 1))
    return tuple(sorted(cores))


def parse_duration(text: str) -> float:
    """Read a duration such as ``90s``, ``30m`` or ``1.5h`` as seconds. PlanError if it is not one."""
    found = re.fullmatch(r"\s*(\d{1,6}(?:\.\d{1,3})?)\s*(s|m|h)\s*", text)
    if not found:
        raise PlanError(f"{text!r:.80} is not a duration; write for example 90s, 30m or 1h.")
    return float(found[1]) * {"s": 1.0, "m": 60.0, "h": 3600.0}[found[2]]


def parse_input_shapes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Read sizes of inputs such as ``x=1x3x320x320``, one a text. PlanError if one is none, or names an input twice."""
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        found = re.fullmatch(r"(.+)=\s*(\d{1,9}(?:\s*[x,×]\s*\d{1,9})*)\s*", text)
        if not found:
            raise PlanError(f"{text!r:.80} gives no input a size; write NAME=SHAPE, for example x=1x3x320x320.")
        name = found[1].strip()
        if name in shapes:
            raise PlanError(f"The input {name!r:.80} is given two sizes; give one.")
        shapes[name] = tuple(int(size) for size in re.split(r"[x,×]", found[2]))
    return shapes
