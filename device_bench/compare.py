"""Did it become slower? A verdict that does not cry wolf.

A model has regressed only if all of this holds; whatever speaks against it makes the comparison inconclusive.

1. Both sides have at least nine samples and were taken on the same kind of machine with as many threads.
2. Neither side drifts, has two modes or scatters (:mod:`device_bench.health`). In pairs it is the ratios that must not:
   what slows both sides of a pair alike does no harm.
3. The bootstrap interval of the median ratio lies above ``1 + max_regression`` as a whole.
4. So says a rank test of new against ``(1 + max_regression)`` × base: Mann–Whitney, in pairs Wilcoxon's signed ranks.
   Over several models both tests are Holm's: the model with the smallest p-value is held against α/m, the next against
   α/(m − 1), and so on.
5. A second run of the new side says the same. Where there are only files and nothing can be run again, the first and
   the second half of the run must both say so.

A model is ok if its interval lies below ``1 + max_regression`` as a whole: a regression was excluded, not just unseen.
At 2 % noise and 100 samples a side a slowdown is found reliably from about ``max_regression`` + 3 % up, and one of
exactly ``max_regression`` never: choose it well below what must not pass.

A control is a model that is the same file on both sides (the dense one, as a rule). If it moved by more than the
allowed regression, the machine did, and all that its run says is inconclusive.

Counted instructions have no noise. They are compared as they are, and refused if they do not repeat to 0.1 %.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from device_bench.errors import PlanError, ResultsError
from device_bench.health import FEWEST_FOR_SHAPE, examine
from device_bench.results import NANOSECONDS, Benchmark, Results, load
from device_bench.stats import Interval, holm, mann_whitney, median_ratio, signed_rank
from device_bench.verdict import ModelVerdict, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Again = Callable[[], Results | tuple[Results, Results]]

ALPHA = 0.05
FEWEST = FEWEST_FOR_SHAPE
EXACT = 0.001
_MAX_BAND = 10.0
DEFAULT_BAND = 0.02
"""Finds slowdowns of 5 % on a machine with 2 % noise in at least 95 of 100 comparisons; see docs/latency-gate.md."""
_KINDS = {"measured": "holds measured times", "instructions": "counts instructions", "estimate": "is an estimate"}


@dataclass(frozen=True)
class _Case:
    """One model to judge: both sides in the unit of the base."""

    name: str
    unit: str
    base: NDArray[np.float64]
    new: NDArray[np.float64]
    unfit: str | None
    p_value: float = 1.0


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
    common = [name for name in base.names if name in new.names]
    if not common:
        raise ResultsError(
            f"The two results have no model in common: {', '.join(base.names)} against {', '.join(new.names)}."
        )
    if kind == "measured":
        judged = _judge_all(base, new, common, band, paired, again, seed)
    else:
        judged = [_judge_exact(base.benchmark(name), new.benchmark(name), band) for name in common]
    notes = ["Both sides are estimates, not measurements."] if kind == "estimate" else []
    if control in common and _same_file(base, new, control):
        judged, told = _under_control(judged, control, band)
        notes.append(told)
    missing = [
        ModelVerdict(name, "inconclusive", "the new results do not hold it")
        for name in base.names
        if name not in common
    ]
    notes += [f"{name}: only in the new results, not compared" for name in new.names if name not in common]
    return Verdict((*judged, *missing), band, tuple(notes))


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
    base: Results,
    new: Results,
    names: list[str],
    band: float,
    paired: bool,
    again: Again | None,
    seed: int,
) -> list[ModelVerdict]:
    cases = [_case(base, new, name, band, paired) for name in names]
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
            judged[index] = _halves_agree(judged[index], cases[index], band)
    return [judged[index] for index in range(len(cases))]


def _case(base: Results, new: Results, name: str, band: float, paired: bool) -> _Case:
    old, fresh = base.benchmark(name), new.benchmark(name)
    for unit in (old.time_unit, fresh.time_unit):
        if unit not in NANOSECONDS:
            raise ResultsError(f"{name!r} is in {unit}, which is no time, but its file says that it was measured.")
    x = np.asarray(old.samples)
    y = np.asarray(fresh.samples) * (NANOSECONDS[fresh.time_unit] / NANOSECONDS[old.time_unit])
    if paired and x.size != y.size:
        raise ResultsError(f"{name!r} has {x.size} samples against {y.size}; pairs need as many on both sides.")
    unfit = _unfit(old, fresh, base, new, y / x if paired else None)
    if min(x.size, y.size) < FEWEST:
        return _Case(name, old.time_unit, x, y, unfit)
    p_value = signed_rank(np.log(y / x) - np.log1p(band)) if paired else mann_whitney(y, x * (1.0 + band))
    return _Case(name, old.time_unit, x, y, unfit, p_value)


def _unfit(
    old: Benchmark, fresh: Benchmark, base: Results, new: Results, ratios: NDArray[np.float64] | None
) -> str | None:
    """Why no verdict on these two is worth anything, or None."""
    few = min(len(old.samples), len(fresh.samples))
    if few < FEWEST:
        return f"few samples: {few} on one side, and at least {FEWEST} are needed on both"
    for what in ("device", "cpu", "isa", "threads"):
        here, there = getattr(base.context, what), getattr(new.context, what)
        if here is not None and there is not None and here != there:
            return f"another machine: the {what} was {here} for the base and {there} for the new side"
    if ratios is not None:
        of_pairs = Benchmark(name=f"the ratio of {old.name}", time_unit="ns", samples=tuple(ratios.tolist()))
        found = [("the pairs", finding) for finding in examine(of_pairs)]
    else:
        found = [("the base", finding) for finding in examine(old, base.context)]
        found += [("the new side", finding) for finding in examine(fresh, new.context)]
    for side, finding in found:
        if finding.unfit:
            return f"{finding.cause} in {side}: {finding.sentence.rstrip('.')}"
    return None


def _judge(case: _Case, band: float, paired: bool, level: float, seed: int) -> ModelVerdict:
    verdict = ModelVerdict(
        case.name,
        "inconclusive",
        case.unfit or "",
        base=float(np.median(case.base)),
        new=float(np.median(case.new)),
        time_unit=case.unit,
    )
    if min(case.base.size, case.new.size) < FEWEST:
        return verdict
    ratio = median_ratio(case.new, case.base, paired=paired, level=level, seed=seed)
    verdict = replace(verdict, ratio=ratio, p_value=case.p_value)
    if case.unfit:
        return verdict
    # The interval is about four standard errors wide. A slowdown that far beyond the band clears it with probability
    # 97.5 % in one run, so with 95 % in two.
    verdict = replace(verdict, detectable=(1.0 + band) * ratio.high / ratio.low - 1.0)
    if ratio.high <= 1.0 + band:
        found = "faster" if ratio.high < 1.0 else "no regression"
        return replace(verdict, outcome="ok", reason=found)
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


def _halves_agree(first: ModelVerdict, case: _Case, band: float) -> ModelVerdict:
    old, fresh = len(case.base) // 2, len(case.new) // 2
    halves = ((case.base[:old], case.new[:fresh]), (case.base[old:], case.new[fresh:]))
    ratios = [float(np.median(y) / np.median(x)) for x, y in halves]
    if min(ratios) > 1.0 + band:
        return replace(first, reason=f"{first.reason}, in both halves of the run")
    told = " and ".join(f"{ratio - 1.0:+.1%}" for ratio in ratios)
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
    for side, middle, samples in (("base", x, old.samples), ("new side", y, fresh.samples)):
        if max(samples) - min(samples) > EXACT * middle:
            reason = f"the counts of the {side} differ by more than {EXACT:.1%} among themselves"
            return replace(verdict, outcome="inconclusive", reason=reason)
    if ratio.estimate > 1.0 + band:
        return replace(verdict, outcome="regression", reason=f"more by more than the allowed {band:.1%}")
    return verdict
