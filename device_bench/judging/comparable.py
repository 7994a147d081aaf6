"""Were two results taken alike? Finds the recorded circumstance that alone may explain a difference, and names it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from device_bench.results import Benchmark, Context, MachineState

_MACHINE: Final = ("device", "cpu", "isa", "num_cpus", "threads")
_FINEST_CLOCK: Final = 0.01  # readings of one clock differ by this much by themselves
_COARSEST_CLOCK: Final = 0.05
_STATE_CLOCK: Final = 0.10  # the fastest core's clock, read now and then: it need not be the core that ran the model


def difference(base: Context, new: Context, old: Benchmark, fresh: Benchmark, band: float) -> str | None:
    """The first circumstance that both sides recorded and that differs, as a sentence without its period, or None.

    These are the machine, threads, cores, governor, battery, input sizes, and the clock beside the samples: half the
    clock is twice the time, so clocks may differ by the allowed regression ``band``, at least 1 % and at most 5 %.
    """
    for what in _MACHINE:
        here, there = getattr(base, what), getattr(new, what)
        if here is not None and there is not None and here != there:
            return f"another machine: the {what} was {here} for the base and {there} for the new side"
    if base.affinity and new.affinity and base.affinity != new.affinity:
        cores = tuple(_ranges(affinity) for affinity in (base.affinity, new.affinity))
        return f"other cores: the base ran on cores {cores[0]} and the new side on {cores[1]}"
    if base.governor and new.governor and base.governor != new.governor:
        return f"another clock governor: it was {base.governor} for the base and {new.governor} for the new side"
    if old.input_shapes and fresh.input_shapes and old.input_shapes != fresh.input_shapes:
        sizes = tuple(_shapes(benchmark) for benchmark in (old, fresh))
        return f"another input: it was {sizes[0]} for the base and {sizes[1]} for the new side"
    return _clocks(base, new, old, fresh, band)


def _clocks(base: Context, new: Context, old: Benchmark, fresh: Benchmark, band: float) -> str | None:
    if old.frequencies_mhz and fresh.frequencies_mhz:
        here, there = (float(np.median(benchmark.frequencies_mhz)) for benchmark in (old, fresh))
        allowed = min(max(band, _FINEST_CLOCK), _COARSEST_CLOCK)
    else:
        here, there = _fastest(base), _fastest(new)
        allowed = _STATE_CLOCK
    if min(here, there) > 0.0:
        if abs(math.log(there / here)) <= math.log1p(allowed):
            return None
        return f"another clock: its median was {here:.0f} MHz for the base and {there:.0f} MHz for the new side"
    powered = tuple(context.before.on_battery if context.before else None for context in (base, new))
    if None not in powered and powered[0] != powered[1]:
        sources = tuple("its battery" if battery else "mains" for battery in powered)
        return f"another clock, maybe: the base ran on {sources[0]} and the new side on {sources[1]}"
    return None


def _fastest(context: Context) -> float:
    """The clock in MHz of the fastest core, median over the run's readings; 0 where there are none."""
    states: list[MachineState] = [timed.state for timed in context.meanwhile]
    states += [state for state in (context.before, context.after) if state is not None]
    found = [max(state.frequencies_mhz) for state in states if state.frequencies_mhz]
    return float(np.median(found)) if found else 0.0


def _shapes(benchmark: Benchmark) -> str:
    return ", ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in benchmark.input_shapes.items())


def _ranges(cores: tuple[int, ...]) -> str:
    """Core numbers as people write them: (0, 1, 2, 5) → "0-2,5"."""
    parts: list[list[int]] = []
    for core in sorted(cores):
        if parts and core == parts[-1][-1] + 1:
            parts[-1].append(core)
        else:
            parts.append([core])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
