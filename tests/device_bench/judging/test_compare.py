from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from device_bench.errors import PlanError, ResultsError
from device_bench.judging.compare import ONE_PROCESS, compare, parse_share, run
from device_bench.results import Benchmark, Context, MachineState, Results, save

Array = np.ndarray


def results(unit: str = "ms", context: Context | None = None, **series: Array) -> Results:
    benchmarks = [{"name": name, "time_unit": unit, "samples": tuple(map(float, x))} for name, x in series.items()]
    return Results(
        context=context or Context(), benchmarks=tuple(Benchmark.model_validate(entry) for entry in benchmarks)
    )


def quiet(seed: int, scale: float = 4.0, n: int = 60, noise: float = 0.02) -> Array:
    return scale * np.random.default_rng(seed).lognormal(0.0, noise, n)


def test_no_regression_regression_and_undecided() -> None:
    base = results(m=quiet(1))
    for slower, outcome, code in ((1.0, "ok", 0), (0.8, "ok", 0), (1.15, "regression", 3), (1.05, "inconclusive", 4)):
        verdict = compare(base, results(m=quiet(2, 4.0 * slower)), max_regression="5%")
        assert (verdict.outcome, verdict.exit_code) == (outcome, code)
        (model,) = verdict.models
        assert model.ratio is not None
        assert model.ratio.estimate == pytest.approx(slower, rel=0.02)
        assert model.ratio.low < model.ratio.estimate < model.ratio.high
    assert compare(base, results(m=quiet(2, 3.0))).models[0].reason == "faster"


def test_units_are_minded() -> None:
    verdict = compare(results(m=quiet(1)), results("us", m=1000.0 * quiet(2)))
    assert verdict.outcome == "ok"
    assert verdict.models[0].new == pytest.approx(4.0, rel=0.02)


def test_a_second_run_is_asked_once_and_only_when_a_regression_is_near() -> None:
    base, calls = results(m=quiet(1)), []

    def again(scale: float) -> Callable[[], Results]:
        def measure() -> Results:
            calls.append(scale)
            return results(m=quiet(3, scale))

        return measure

    assert compare(base, results(m=quiet(2)), again=again(4.0)).outcome == "ok"
    assert calls == []
    slow = results(m=quiet(2, 5.0))
    confirmed = compare(base, slow, again=again(5.0))
    assert confirmed.outcome == "regression"
    assert "second run agrees" in confirmed.models[0].reason
    refuted = compare(base, slow, again=again(4.0))
    assert refuted.outcome == "inconclusive"
    assert "second run says: ok" in refuted.models[0].reason
    assert calls == [5.0, 4.0]
    assert compare(base, slow, again=lambda: results(other=quiet(1))).outcome == "inconclusive"


def test_without_a_second_run_both_halves_must_agree() -> None:
    base = results(m=quiet(1, n=100))
    hiccup = quiet(2, n=100)
    hiccup[30:90] *= 1.2
    assert compare(base, results(m=hiccup), max_regression=0.0).outcome != "regression"
    # 20 of the first 50 and all of the last 50 are slower by 4.5 %: too close together to be called two modes.
    late = quiet(2, n=100, noise=0.01)
    late[np.r_[0:50:5, 2:50:5, 50:100]] *= 1.045
    verdict = compare(results(m=quiet(1, n=100, noise=0.01)), results(m=late), max_regression=0.02)
    assert verdict.outcome == "inconclusive"
    assert "halves of the run do not agree" in verdict.models[0].reason


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (lambda x: x[:8], "few samples"),
        (lambda x: x * np.linspace(1, 1.3, x.size), "drift"),
        (lambda x: np.where(np.arange(x.size) % 2, x, 1.3 * x), "bimodal"),
        (lambda x: x * np.random.default_rng(9).lognormal(0, 0.3, x.size), "spread"),
    ],
)
@pytest.mark.parametrize("side", ["base", "new"])
def test_unfit_samples_get_no_verdict_but_a_cause(spoil: Callable[[Array], Array], cause: str, side: str) -> None:
    sides = {"base": quiet(1), "new": quiet(2, 8.0)}
    sides[side] = spoil(sides[side])
    verdict = compare(results(m=sides["base"]), results(m=sides["new"]))
    assert verdict.exit_code == 4
    assert verdict.models[0].reason.startswith(cause)


def test_heat_is_the_cause_when_the_clocks_show_it() -> None:
    hot = Benchmark(
        name="m",
        time_unit="ms",
        samples=tuple((quiet(2) * np.linspace(1, 1.3, 60)).tolist()),
        frequencies_mhz=tuple(np.linspace(2400, 1700, 60).tolist()),
    )
    verdict = compare(results(m=quiet(1)), Results(benchmarks=(hot,)))
    assert verdict.models[0].reason.startswith("thermal drop in the new side")


def test_nine_samples_a_side_are_enough_for_a_verdict() -> None:
    assert compare(results(m=quiet(1, n=9)), results(m=quiet(2, 8.0, n=9))).outcome == "regression"
    assert compare(results(m=quiet(1, n=8)), results(m=quiet(2, 8.0, n=9))).outcome == "inconclusive"


def test_another_machine_gets_no_verdict() -> None:
    for field, here, there in (("cpu", "A76", "A53"), ("threads", 1, 2), ("isa", "neon", "avx2"), ("device", "x", "y")):
        base = results(context=Context.model_validate({field: here}), m=quiet(1))
        new = results(context=Context.model_validate({field: there}), m=quiet(2, 8.0))
        verdict = compare(base, new)
        assert verdict.exit_code == 4
        assert verdict.models[0].reason.startswith(f"another machine: the {field}")


MACHINE = {"device": "phone", "cpu": "A76", "threads": 1}


def taken(samples: Array, mhz: float | None = None, **context: object) -> Results:
    """One run of the model m, with the clock beside each sample."""
    clocks = {"frequencies_mhz": (mhz,) * samples.size} if mhz else {}
    entry = {"name": "m", "time_unit": "ms", "samples": tuple(samples.tolist()), **clocks}
    return Results(
        context=Context.model_validate({**MACHINE, **context}), benchmarks=(Benchmark.model_validate(entry),)
    )


@pytest.mark.parametrize(
    ("base", "new", "reason"),
    [
        ({"affinity": (4, 5, 6, 7)}, {"affinity": (0, 1, 3)}, "other cores: the base ran on cores 4-7 and the new"),
        ({"governor": "performance"}, {"governor": "powersave"}, "another clock governor: it was performance for"),
        ({"num_cpus": 8}, {"num_cpus": 4}, "another machine: the num_cpus was 8"),
        ({"mhz": 2400.0}, {"mhz": 1200.0}, "another clock: its median was 2400 MHz for the base and 1200 MHz"),
        ({"before": MachineState(on_battery=False)}, {"before": MachineState(on_battery=True)}, "another clock, maybe"),
        (
            {"after": MachineState(frequencies_mhz=(800.0, 2000.0))},
            {"after": MachineState(frequencies_mhz=(800.0, 1400.0))},
            "another clock: its median was 2000 MHz",
        ),
    ],
)
@pytest.mark.parametrize("ms", [2.0, 4.0, 8.0])
def test_what_was_recorded_and_differs_makes_it_inconclusive(
    base: dict[str, object], new: dict[str, object], reason: str, ms: float
) -> None:
    """Whichever way the times go: half the clock looks like a regression, and twice the clock hides one."""
    verdict = compare(taken(quiet(1), **base), taken(quiet(2, ms), **new))  # type: ignore[arg-type]
    assert verdict.exit_code == 4
    assert verdict.models[0].reason.startswith(reason)
    # What one side did not record speaks against nothing.
    alone = compare(taken(quiet(1)), taken(quiet(2, 4.0), **new))  # type: ignore[arg-type]
    assert alone.outcome == "ok"


def test_clocks_may_differ_by_what_is_allowed() -> None:
    for mhz, allowed, outcome in ((2376.0, 0.02, "ok"), (2300.0, 0.02, "inconclusive"), (2300.0, 0.05, "ok")):
        verdict = compare(taken(quiet(1), 2400.0), taken(quiet(2), mhz), max_regression=allowed)
        assert verdict.outcome == outcome, (mhz, allowed)


def two_clusters(seed: int, slow: float, n: int = 200) -> Array:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(n) < slow, 22.0, 10.0) * rng.lognormal(0.0, 0.02, n)


@pytest.mark.parametrize(("before", "after"), [(0.15, 0.85), (0.85, 0.15), (0.2, 1.0), (0.0, 0.85)])
def test_modes_whose_shares_change_sides_are_no_regression(before: float, after: float) -> None:
    verdict = compare(results(m=two_clusters(1, before)), results(m=two_clusters(2, after)))
    assert verdict.outcome == "inconclusive"
    assert verdict.models[0].reason.startswith("modes changed sides: there are")


def test_a_model_that_became_slower_as_a_whole_has_not_changed_modes() -> None:
    slow = two_clusters(2, 1.0)
    assert compare(results(m=two_clusters(1, 0.0)), results(m=slow)).outcome == "regression"
    outliers = two_clusters(1, 0.0)
    outliers[::20] *= 1.0 + np.random.default_rng(3).exponential(1.0, 10)
    assert compare(results(m=outliers), results(m=slow)).outcome == "regression"


def processes(seed: int, offsets: tuple[float, ...], scale: float = 4.0, n: int = 60) -> Results:
    runs = [quiet(100 * seed + i, scale * (1.0 + offset), n) for i, offset in enumerate(offsets)]
    return Results(
        benchmarks=(
            Benchmark(
                name="m",
                time_unit="ms",
                samples=tuple(np.concatenate(runs).tolist()),
                process_samples=(n,) * len(offsets),
            ),
        )
    )


def test_what_differs_between_processes_widens_the_interval() -> None:
    """The same pooled samples: as three processes that differ they say less than as one run."""
    spread = (-0.03, 0.0, 0.03)
    apart, shifted = processes(1, spread), processes(2, spread, 4.2)
    alike, slower = processes(1, (0.0, 0.0, 0.0)), processes(2, (0.0, 0.0, 0.0), 4.2)
    assert compare(alike, slower).outcome == "regression"
    verdict = compare(apart, shifted)
    assert verdict.outcome == "inconclusive"
    assert verdict.models[0].reason.startswith("the interval spans")
    assert verdict.models[0].ratio is not None
    assert verdict.models[0].ratio.high / verdict.models[0].ratio.low > 1.1
    assert ONE_PROCESS not in verdict.notes
    # The spread of the base's processes counts against a new side of one process, too.
    assert compare(apart, results(m=quiet(9, 4.2))).outcome == "inconclusive"
    assert compare(alike, results(m=quiet(9, 4.0))).notes == ()


def test_single_processes_say_what_they_cannot_see() -> None:
    assert ONE_PROCESS in compare(results(m=quiet(1)), results(m=quiet(2))).notes


def test_pairs_cancel_a_drift_that_both_share() -> None:
    trend = np.linspace(1.0, 1.4, 60)
    base, same, slow = quiet(1, 4.0) * trend, quiet(2, 4.0) * trend, quiet(3, 4.4) * trend
    assert compare(results(m=base), results(m=slow)).outcome == "inconclusive"
    assert compare(results(m=base), results(m=same), paired=True).outcome == "ok"
    assert compare(results(m=base), results(m=slow), paired=True).outcome == "regression"
    both = compare(results(m=base), results(m=slow), paired=True, again=lambda: (results(m=base), results(m=slow)))
    assert "second run agrees" in both.models[0].reason
    with pytest.raises(ResultsError, match="60 samples against 59"):
        compare(results(m=base), results(m=slow[:59]), paired=True)


def test_holm_over_many_models_keeps_chance_out() -> None:
    """At a true slowdown of just the allowed 5 %, one comparison in forty errs; twenty at once must not err more."""
    alarms = {1: 0, 20: 0}
    for trial in range(25):
        for count in alarms:
            base = {f"m{i}": quiet(1000 * trial + i) for i in range(count)}
            new = {f"m{i}": quiet(1000 * trial + 500 + i, 4.2) for i in range(count)}
            verdict = compare(results(**base), results(**new), max_regression=0.05)
            alarms[count] += verdict.outcome == "regression"
    assert alarms[1] <= 3
    assert alarms[20] <= 3


def test_a_regression_of_one_model_among_many_is_found_and_named() -> None:
    base = {f"m{i}": quiet(i) for i in range(10)}
    new = {f"m{i}": quiet(100 + i, 4.6 if i == 7 else 4.0) for i in range(10)}
    verdict = compare(results(**base), results(**new))
    assert [model.name for model in verdict.models if model.outcome == "regression"] == ["m7"]
    assert verdict.exit_code == 3


def test_models_on_one_side_only() -> None:
    verdict = compare(results(a=quiet(1), b=quiet(2)), results(a=quiet(3), c=quiet(4)))
    assert verdict.exit_code == 4
    assert [(m.name, m.outcome) for m in verdict.models] == [("a", "ok"), ("b", "inconclusive")]
    assert verdict.notes == (ONE_PROCESS, "c: only in the new results, not compared")
    with pytest.raises(ResultsError, match="no model in common"):
        compare(results(a=quiet(1)), results(b=quiet(1)))


def test_counts_are_compared_exactly_and_never_with_times() -> None:
    counted = Context(kind="instructions")

    def counts(*values: float) -> Results:
        return results("instructions", counted, m=np.array(values))

    assert compare(counts(164_391_176), counts(164_391_200), max_regression=0.001).outcome == "ok"
    assert compare(counts(164_391_176), counts(166_000_000), max_regression="0.5%").outcome == "regression"
    assert compare(counts(100.0), counts(100.0, 110.0)).outcome == "inconclusive"
    with pytest.raises(ResultsError, match="cannot be compared"):
        compare(counts(100.0), results(m=quiet(1)))
    with pytest.raises(ResultsError, match="cannot be compared"):
        compare(counts(100.0), results("instructions", Context(kind="estimate"), m=np.array([100.0])))
    said = results("instructions", Context(kind="measured"), m=quiet(1))
    with pytest.raises(ResultsError, match="is in instructions, which is no time"):
        compare(said, results(m=quiet(1)))
    estimates = results("cycles", Context(kind="estimate"), m=np.array([100.0]))
    assert "estimates, not measurements" in compare(estimates, estimates).lines()[-2]
    assert not compare(counts(1.0), counts(1.0)).notes
    # A file with a name, a unit and samples alone says by its unit what it holds.
    assert compare(results("instructions", m=np.array([100.0])), counts(100.0)).outcome == "ok"


def test_files_and_what_is_printed(tmp_path: Path) -> None:
    save(results(m=quiet(1)), tmp_path / "base.json")
    save(results(m=quiet(2, 5.0)), tmp_path / "new.json")
    verdict = run(tmp_path / "base.json", tmp_path / "new.json", max_regression="5%")
    assert verdict.exit_code == 3
    first, _, last = verdict.lines()
    assert first.startswith("m: regression; 4")
    assert last == "regression at an allowed regression of 5.0%"
    document = json.loads(verdict.to_json())
    assert document["exit_code"] == 3
    assert document["models"][0]["ratio"]["estimate"] == pytest.approx(1.25, rel=0.02)
    with pytest.raises(ResultsError, match=r"none\.json"):
        run(tmp_path / "none.json", tmp_path / "new.json")


def test_shares() -> None:
    assert [parse_share(value) for value in ("5%", "0.05", 0.05, " 2.5 % ", 0)] == [0.05, 0.05, 0.05, 0.025, 0.0]
    for value in ("", "five", "-5%", "5%%", "nan", "1e-2", -0.1, 11.0, float("nan")):
        with pytest.raises(PlanError, match="no allowed regression"):
            parse_share(value)


def test_a_control_that_moved_says_that_the_machine_did() -> None:
    same = Context(sha256={"dense": "d", "sparse": "old"})
    base = results(context=same, dense=quiet(1, 9.0), sparse=quiet(2))
    hot = results(context=same, dense=quiet(3, 10.0), sparse=quiet(4, 4.5))
    slower = results(context=same, dense=quiet(3, 9.0), sparse=quiet(4, 4.5))
    assert compare(base, hot).outcome == "regression"
    verdict = compare(base, hot, control="dense")
    assert verdict.outcome == "inconclusive"
    assert verdict.models[0].reason.startswith("the machine changed: dense")
    verdict = compare(base, slower, control="dense")
    assert verdict.outcome == "regression"
    assert [model.name for model in verdict.models] == ["sparse"]
    # A control whose file changed is a model like any other.
    changed = hot.model_copy(update={"context": Context(sha256={"dense": "e"})})
    assert len(compare(base, changed, control="dense").models) == 2


def test_the_int8_baseline_of_a_bundle_is_not_judged() -> None:
    three = results(dense=quiet(1), int8=quiet(2, 2.0), sparse=quiet(3, 1.0))
    slower = results(dense=quiet(4), int8=quiet(5, 3.0), sparse=quiet(6, 1.0))
    older = results(dense=quiet(7), sparse=quiet(8, 1.0))
    for base, new in ((three, slower), (three, older), (older, three)):
        verdict = compare(base, new, max_regression=0.1, control="dense")
        assert "int8" not in {model.name for model in verdict.models}
        assert verdict.exit_code == 0
    # A model that someone calls so is a model.
    alone = compare(results(int8=quiet(1)), results(int8=quiet(2, 5.0)))
    assert [model.outcome for model in alone.models] == ["regression"]
