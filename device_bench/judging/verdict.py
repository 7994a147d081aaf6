"""The outcome of a comparison, model by model and as a whole."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from device_bench.short_numbers import figure

if TYPE_CHECKING:
    from device_bench.judging.stats import Interval

Outcome = Literal["ok", "regression", "inconclusive"]
EXIT_CODES: dict[Outcome, int] = {"ok": 0, "regression": 3, "inconclusive": 4}


@dataclass(frozen=True)
class ModelVerdict:
    """One model: ``ratio`` is new over base (above 1 is slower), ``reason`` the sentence that explains the outcome.

    ``p_value`` is the rank test's, for "slower by more than the allowed regression", after Holm over all models.
    ``base`` and ``new`` are the medians in ``time_unit``. ``detectable`` is the smallest slowdown (a share) that
    samples as noisy as these would show in 95 of 100 comparisons. What there is no ground for is None.
    """

    name: str
    outcome: Outcome
    reason: str
    base: float | None = None
    new: float | None = None
    time_unit: str = "ms"
    ratio: Interval | None = None
    p_value: float | None = None
    detectable: float | None = None

    @property
    def sensitivity(self) -> str:
        """Sentence about the slowdown that these samples would have shown; empty if it is not known."""
        if self.detectable is None or self.outcome == "regression":
            return ""
        return f" (a slowdown of {self.detectable:.1%} would be found)"


@dataclass(frozen=True)
class Verdict:
    """All models: a regression of one is a regression; else an inconclusive one makes it inconclusive."""

    models: tuple[ModelVerdict, ...]
    max_regression: float
    notes: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """The worst outcome of all models."""
        outcomes = {model.outcome for model in self.models}
        if "regression" in outcomes:
            return "regression"
        return "inconclusive" if "inconclusive" in outcomes else "ok"

    @property
    def exit_code(self) -> int:
        """0 ok, 3 regression, 4 inconclusive."""
        return EXIT_CODES[self.outcome]

    def document(self) -> dict[str, Any]:
        """The verdict as a JSON-ready object."""
        return {**asdict(self), "outcome": self.outcome, "exit_code": self.exit_code}

    def to_json(self) -> str:
        """The verdict as JSON text."""
        return json.dumps(self.document(), sort_keys=True, allow_nan=False)

    def lines(self) -> tuple[str, ...]:
        """One line a model, then the notes and the outcome, for a terminal or a log."""
        told = []
        for model in self.models:
            figures = ""
            if model.ratio and model.base is not None and model.new is not None:
                change, low, high = (bound - 1.0 for bound in (model.ratio.estimate, model.ratio.low, model.ratio.high))
                base, new = (figure(value, model.time_unit) for value in (model.base, model.new))
                figures = f" {base} → {new}, {change:+.1%} ({low:+.1%} to {high:+.1%});"
            told.append(f"{model.name}: {model.outcome};{figures} {model.reason}{model.sensitivity}")
        return (*told, *self.notes, f"{self.outcome} at an allowed regression of {self.max_regression:.1%}")
