"""Did it become slower? A verdict that does not cry wolf.

A model has regressed only if all of this holds; whatever speaks against it makes the comparison inconclusive.

1. Both sides have at least nine samples and were taken alike: machine, threads, cores, governor, clock, input sizes
   (:mod:`device_bench.judging.comparable`), as far as both recorded them.
2. No process of either side drifts, has two modes or scatters (:mod:`device_bench.judging.health`), and the sides do
   not share two modes between which they changed. In pairs it is the ratios that must not: what slows both sides of a
   pair alike does no harm.
3. The interval of the median ratio lies above ``1 + max_regression`` as a whole. It allows for noise with a long memory
   and, where a side has several processes, for what differs between them (:mod:`device_bench.judging.stats`).
4. So says a rank test of new against ``(1 + max_regression)`` × base: Mann–Whitney, in pairs Wilcoxon's signed ranks.
   Over several models both tests are Holm's: the model with the smallest p-value is held against α/m, the next against
   α/(m − 1), and so on.
5. A second run of the new side says the same. Where there are only files and nothing can be run again, each half of the
   new samples must be slower than each half of the base.

A model is ok if its interval lies below ``1 + max_regression`` as a whole: a regression was excluded, not just unseen.
At 2 % noise and 100 samples a side a slowdown is found reliably from about ``max_regression`` + 3 % up, and one of
exactly ``max_regression`` never: choose it well below what must not pass.

Of a bundle's models the int8 baseline is shown and not judged: it is ONNX Runtime's.

A control is a model that is the same file on both sides (the dense one, as a rule). If it moved by more than the
allowed regression, the machine did, and all that its run says is inconclusive.

Counted instructions have no noise. They are compared as they are, and refused if they do not repeat to 0.1 %.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from device_bench.bundle_models import CONTROL, INT8
from device_bench.errors import PlanError, ResultsError
from device_bench.judging.comparable import difference
from device_bench.judging.health import FEWEST_FOR_SHAPE, changed_modes, examine
from device_bench.judging.stats import Interval, halves, holm, mann_whitney, middle, ratio_of_runs, signed_rank
from device_bench.judging.verdict import ModelVerdict, Verdict
from device_bench.results import NANOSECONDS, Benchmark, Results, load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Again = Callable[[], Results | tuple[Results, Results]]

ALPHA = 0.05
FEWEST = FEWEST_FOR_SHAPE
EXACT = 0.001
_MAX_BAND = 10.0
DEFAULT_BAND = 0.02
"""Finds slowdowns of 5 % on a machine with 2 % noise in at least 95 of 100 comparisons; see docs/latency-gate.md."""
ONE_PROCESS = (
    "One process a side: what differs from one process to the next (memory layout, placement) cannot be seen; "
    "--processes 3 shows it."
)
_KINDS = {"measured": "holds measured times", "instructions": "counts instructions", "estimate": "is an estimate"}


@dataclass(frozen=True)
class _Case:
    """One model to judge: the runs (processes) of both sides in the unit of the base."""

    name: str
    unit: str
    base: tuple[Floats, ...]
    new: tuple[Floats, ...]
    unfit: str | None
    p_value: float = 1.0

    @property
    def samples(self) -> int:
        """Samples of the side that has fewer."""
        return min(sum(run.size for run in side) for side in (self.base, self.new))

    @property
    def processes(self) -> int:
        """Processes of the side that has more."""
        return max(len(self.base), len(self.new))


def run(
    base: str | Path,
    new: str | Path,
    *,
    max_regression: float | str = DEFAULT_BAND,
    paired: bool = False,
    again: Again | None = None,
    control: str | None = None,
) -> Verdict:
    """Compare two results files; see :func:`compare`. ResultsError names the file that cannot be read."""
    return compare(load(base), load(new), max_regression=max_regression, paired=paired, again=again, control=control)


def compare(
    base: Results,
    new: Results,
    *,
    max_regression: float | str = DEFAULT_BAND,
    paired: bool = False,
    again: Again | None = None,
    control: str | None = None,
    seed: int = 0,
) -> Verdict:
    """Judge every model that both results hold.

    ``max_regression`` is a share (0.05) or a percentage ("5%"). ``paired`` says that sample i of both sides was taken
    in the same round. ``again`` measures once more and gives the new side, or (base, new) if both were measured; it is
    called at most once, and only if a regression is about to be found. ``control`` names the model by which to tell
    whether the machine is still the same; it gets no verdict of its own, and is an ordinary model if its file changed.

    Raises ResultsError if the two have no model in common or are not of one kind (measured, counted, estimated),
    PlanError if ``max_regression`` is no share.
    """
    band = parse_share(max_regression)
    kind = base.kind
    if new.kind != kind:
        told = " and ".join(f"the {side} {_KINDS[found]}" for side, found in (("base", kind), ("new side", new.kind)))
        raise ResultsError(f"These cannot be compared: {told}.")
    held = [name for name in base.names if not _is_baseline(name, base)]
    common = [name for name in held if name in new.names]
    if not common:
        raise ResultsError(
            f"The two results have no model in common: {', '.join(base.names)} against {', '.join(new.names)}."
        )
    notes = ["Both sides are estimates, not measurements."] if kind == "estimate" else []
    if kind == "measured":
        cases = [_case(base, new, name, band, paired) for name in common]
        judged = _judge_all(cases, base, band, paired, again, seed)
        if max(case.processes for case in cases) == 1:
            notes.append(ONE_PROCESS)
    else:
        judged = [_judge_exact(base.benchmark(name), new.benchmark(name), band) for name in common]
    if control in common and _same_file(base, new, control):
        judged, told = _under_control(judged, control, band)
        notes.append(told)
    missing = [
        ModelVerdict(name, "inconclusive", "the new results do not hold it") for name in held if name not in common
    ]
    notes += [
        f"{name}: only in the new results, not compared"
        for name in new.names
        if name not in common and not _is_baseline(name, new)
    ]
    return Verdict((*judged, *missing), band, tuple(notes))


def _is_baseline(name: str, results: Results) -> bool:
    """Whether a model is ONNX Runtime's int8 of a bundle's dense one, which is not ours to judge."""
    return name == INT8 and {CONTROL, "sparse"} <= set(results.names)


def parse_share(value: float | str) -> float:
    """Read 0.05, "0.05" or "5%" as 0.05. PlanError unless it is from 0 to 10 (1000 %)."""
    share = float("nan")
    if isinstance(value, str):
        if found := re.fullmatch(r"\s*(\d{1,4}(?:\.\d{1,6})?)\s*(%?)\s*", value):
            share = float(found[1]) / (100.0 if found[2] else 1.0)
    else:
        share = float(value)
    if not 0.0 <= share <= _MAX_BAND:
        raise PlanError(f"{value!r:.40} is no allowed regression; write for example 5% or 0.05.")
    return share


def _judge_all(
    cases: list[_Case], base: Results, band: float, paired: bool, again: Again | None, seed: int
) -> list[ModelVerdict]:
    adjusted = holm([case.p_value for case in cases])
    order = sorted(range(len(cases)), key=lambda index: cases[index].p_value)
    judged: dict[int, ModelVerdict] = {}
    for position, index in enumerate(order):
        level = 1.0 - ALPHA / (len(cases) - position)
        judged[index] = _judge(replace(cases[index], p_value=adjusted[index]), band, paired, level, seed)
    suspects = [index for index, verdict in judged.items() if verdict.outcome == "regression"]
    if suspects and again is not None:
        second = again()
        old, fresh = second if isinstance(second, tuple) else (base, second)
        both = paired and isinstance(second, tuple)
        for index in suspects:
            judged[index] = _confirm(judged[index], old, fresh, band, both, seed)
    elif suspects:
        for index in suspects:
            judged[index] = _halves_agree(judged[index], cases[index], band, paired, seed)
    return [judged[index] for index in range(len(cases))]


def _case(base: Results, new: Results, name: str, band: float, paired: bool) -> _Case:
    old, fresh = base.benchmark(name), new.benchmark(name)
    for unit in (old.time_unit, fresh.time_unit):
        if unit not in NANOSECONDS:
            raise ResultsError(f"{name!r} is in {unit}, which is no time, but its file says that it was measured.")
    scale = NANOSECONDS[fresh.time_unit] / NANOSECONDS[old.time_unit]
    before, after = tuple(map(np.asarray, old.runs)), tuple(np.asarray(run) * scale for run in fresh.runs)
    x, y = np.concatenate(before), np.concatenate(after)
    if paired and [run.size for run in before] != [run.size for run in after]:
        counts = " samples against ".join(" + ".join(str(run.size) for run in side) for side in (before, after))
        raise ResultsError(f"{name!r} has {counts}; pairs need as many on both sides.")
    case = _Case(name, old.time_unit, before, after, None)
    case = replace(case, unfit=_unfit(case, old, fresh, base, new, band, paired))
    if case.samples < FEWEST:
        return case
    p_value = signed_rank(np.log(y / x) - np.log1p(band)) if paired else mann_whitney(y, x * (1.0 + band))
    return replace(case, p_value=p_value)


def _unfit(
    case: _Case, old: Benchmark, fresh: Benchmark, base: Results, new: Results, band: float, paired: bool
) -> str | None:
    """Why no verdict on these two is worth anything, or None."""
    if case.samples < FEWEST:
        return f"few samples: {case.samples} on one side, and at least {FEWEST} are needed on both"
    # Both models of a pair ran in one process: only files that were put together by hand may differ.
    if told := difference(base.context, new.context, old, fresh, band):
        return told
    if paired:
        ratios = Benchmark(
            name=f"the ratio of {old.name}",
            time_unit="ns",
            samples=tuple(np.concatenate([y / x for x, y in zip(case.base, case.new, strict=True)]).tolist()),
            process_samples=old.process_samples,
        )
        found = [("the pairs", finding) for finding in examine(ratios)]
    else:
        found = [("the base", finding) for finding in examine(old, base.context)]
        found += [("the new side", finding) for finding in examine(fresh, new.context)]
    for side, finding in found:
        if finding.unfit:
            return f"{finding.cause} in {side}: {finding.sentence.rstrip('.')}"
    if not paired and (modes := changed_modes(np.concatenate(case.base), np.concatenate(case.new))):
        return (
            f"modes changed sides: there are {modes.fast:.4g} and {modes.slow:.4g} {case.unit}, and the slower one has "
            f"{modes.shares[0]:.0%} of the base and {modes.shares[1]:.0%} of the new side; pin both to the same cores"
        )
    return None


def _judge(case: _Case, band: float, paired: bool, level: float, seed: int) -> ModelVerdict:
    verdict = ModelVerdict(
        case.name,
        "inconclusive",
        case.unfit or "",
        base=middle(case.base),
        new=middle(case.new),
        time_unit=case.unit,
    )
    if case.samples < FEWEST:
        return verdict
    found = ratio_of_runs(case.new, case.base, paired=paired, level=level, seed=seed)
    ratio = found.ratio
    verdict = replace(verdict, ratio=ratio, p_value=case.p_value)
    if case.unfit:
        return verdict
    verdict = replace(verdict, detectable=(1.0 + band) * found.reach - 1.0)
    if ratio.high <= 1.0 + band:
        return replace(verdict, outcome="ok", reason="faster" if ratio.high < 1.0 else "no regression")
    if ratio.low <= 1.0 + band:
        reason = f"the interval spans the allowed {band:.1%}; more samples or a quieter machine would decide"
        return replace(verdict, reason=reason)
    if case.p_value > ALPHA:
        return replace(verdict, reason=f"the medians say slower, the rank test does not (p = {case.p_value:.2g})")
    return replace(verdict, outcome="regression", reason=f"slower by more than the allowed {band:.1%}")


def _confirm(first: ModelVerdict, base: Results, new: Results, band: float, paired: bool, seed: int) -> ModelVerdict:
    """The verdict of the first run in the light of a second one."""
    if first.name not in base.names or first.name not in new.names:
        return replace(first, outcome="inconclusive", reason="the second run does not hold it")
    level = first.ratio.level if first.ratio else 1.0 - ALPHA
    confirmation = _judge(_case(base, new, first.name, band, paired), band, paired, level, seed + 1)
    if confirmation.outcome == "regression":
        return replace(first, reason=f"{first.reason}, and a second run agrees")
    told = f"{confirmation.outcome}, {confirmation.reason}"
    return replace(first, outcome="inconclusive", reason=f"slower at first, but the second run says: {told}")


def _halves_agree(first: ModelVerdict, case: _Case, band: float, paired: bool, seed: int) -> ModelVerdict:
    """The verdict where nothing can be measured again: a surer interval, and each half against each.

    The interval is that of a tenth of the error, and each half of the new side has to be slower than each of the base.
    Halves are those of every process. In pairs each half of the ratios counts.
    """
    level = 1.0 - (1.0 - first.ratio.level) / 10.0 if first.ratio else 1.0 - ALPHA / 10.0
    surer = ratio_of_runs(case.new, case.base, paired=paired, level=level, seed=seed).ratio
    if surer.low <= 1.0 + band:
        reason = f"slower, but a run by itself is not enough: its {level:.2%} interval begins at {surer.low - 1.0:+.1%}"
        return replace(first, outcome="inconclusive", reason=f"{reason}; measure the new side again")
    if paired:
        pairs = halves(tuple(y / x for x, y in zip(case.base, case.new, strict=True)))
        ratios = tuple(float(np.median(half)) for half in pairs)
    else:
        base, new = (tuple(float(np.median(half)) for half in halves(side)) for side in (case.base, case.new))
        ratios = tuple(late / early for late in new for early in base)
    if min(ratios) > 1.0 + band:
        return replace(first, reason=f"{first.reason}, in both halves of the run")
    told = f"{min(ratios) - 1.0:+.1%} to {max(ratios) - 1.0:+.1%}"
    return replace(first, outcome="inconclusive", reason=f"the halves of the run do not agree ({told})")


def _same_file(base: Results, new: Results, name: str) -> bool:
    digest = base.context.sha256.get(name)
    return digest is not None and digest == new.context.sha256.get(name)


def _under_control(judged: list[ModelVerdict], control: str, band: float) -> tuple[list[ModelVerdict], str]:
    """The verdicts without the control's, in its light, and a sentence about it. A control alone stays as it is."""
    moved = next(verdict.ratio for verdict in judged if verdict.name == control)
    others = [verdict for verdict in judged if verdict.name != control]
    if moved is None or not others:
        return judged, f"{control}: there is nothing to control"
    told = f"{control}: the control, moved by {moved.estimate - 1.0:+.1%}"
    if 1.0 / (1.0 + band) <= moved.estimate <= 1.0 + band:
        return others, told
    reason = f"the machine changed: {control}, the same file on both sides, moved by {moved.estimate - 1.0:+.1%}"
    return [replace(verdict, outcome="inconclusive", reason=reason) for verdict in others], told


def _judge_exact(old: Benchmark, fresh: Benchmark, band: float) -> ModelVerdict:
    """Counts and estimates: no noise, no interval."""
    if old.time_unit != fresh.time_unit:
        raise ResultsError(f"{old.name!r} is in {old.time_unit} on one side and in {fresh.time_unit} on the other.")
    x, y = float(np.median(old.samples)), float(np.median(fresh.samples))
    ratio = Interval(y / x, y / x, y / x, 1.0)
    verdict = ModelVerdict(old.name, "ok", "no regression", base=x, new=y, time_unit=old.time_unit, ratio=ratio)
    for side, median, samples in (("base", x, old.samples), ("new side", y, fresh.samples)):
        if max(samples) - min(samples) > EXACT * median:
            reason = f"the counts of the {side} differ by more than {EXACT:.1%} among themselves"
            return replace(verdict, outcome="inconclusive", reason=reason)
    if ratio.estimate > 1.0 + band:
        return replace(verdict, outcome="regression", reason=f"more by more than the allowed {band:.1%}")
    return verdict
