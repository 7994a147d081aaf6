from __future__ import annotations

import numpy as np
import pytest

from device_bench.judging.health import drift, examine, examine_machine, two_modes
from device_bench.results import Benchmark, Context, MachineState


def benchmark(samples: np.ndarray, **fields: object) -> Benchmark:
    return Benchmark.model_validate(
        {"name": "sparse", "time_unit": "ms", "samples": tuple(map(float, samples)), **fields}
    )


def causes(samples: np.ndarray, context: Context | None = None, **fields: object) -> list[str]:
    return [finding.cause for finding in examine(benchmark(samples, **fields), context)]


def noise(n: int = 60, width: float = 0.02, seed: int = 0) -> np.ndarray:
    return 4.0 * np.random.default_rng(seed).lognormal(0.0, width, n)


@pytest.mark.parametrize("n", [9, 15, 60, 1000])
def test_a_quiet_machine_is_rarely_blamed(n: int) -> None:
    """At 2 % and at 5 % noise, with 5 % of the samples twice as slow."""
    blamed = 0
    for seed in range(300):
        x = noise(n, 0.02 if seed % 2 else 0.05, seed)
        x[np.random.default_rng(seed + 1).random(n) < 0.05] *= 2.0
        blamed += bool(causes(x))
    assert blamed <= 9


def test_drift_is_named_with_its_direction() -> None:
    up = noise() * np.linspace(1.0, 1.2, 60)
    (finding,) = examine(benchmark(up))
    assert (finding.cause, finding.unfit) == ("drift", True)
    assert "slower" in finding.sentence
    (finding,) = examine(benchmark(up[::-1]))
    assert "faster" in finding.sentence
    assert drift(noise() * np.linspace(1.0, 1.01, 60)) < 0.05


def test_heat_is_named_when_a_sensor_shows_it() -> None:
    up = noise() * np.linspace(1.0, 1.2, 60)
    hot = Context(before=MachineState(temperatures_c={"cpu": 41.0}), after=MachineState(temperatures_c={"cpu": 78.0}))
    slow = Context(before=MachineState(frequencies_mhz=(2400.0,)), after=MachineState(frequencies_mhz=(1800.0,)))
    clocks = tuple(np.linspace(2400.0, 1900.0, 60).tolist())
    assert causes(up, hot) == ["thermal drop"]
    assert causes(up, slow) == ["thermal drop"]
    assert causes(up, None, frequencies_mhz=clocks) == ["thermal drop"]
    assert "37 °C" in examine(benchmark(up), hot)[0].sentence
    assert causes(noise(), hot) == []
    assert causes(up, Context(before=MachineState(), after=MachineState())) == ["drift"]


@pytest.mark.parametrize("share", [0.3, 0.5, 0.6])
def test_two_modes_are_named(share: float) -> None:
    for seed in range(50):
        x = noise(60, 0.02, seed)
        rng = np.random.default_rng(seed)
        x[rng.permutation(60)[: int(share * 60)]] *= 1.3
        assert causes(x)[:1] == ["bimodal"]
    smaller, gap = two_modes(x) or (0.0, 0.0)
    assert smaller == pytest.approx(min(share, 1 - share), abs=0.02)
    assert 0.2 < gap < 0.35


def test_one_mode_of_any_common_shape_is_one() -> None:
    rng = np.random.default_rng(0)
    shapes = [lambda: rng.lognormal(0, 0.1, 60), lambda: 1 + rng.random(60), lambda: 1 + rng.exponential(0.1, 60)]
    assert [sum(two_modes(shape()) is not None for _ in range(300)) <= 2 for shape in shapes] == [True] * 3
    assert two_modes([1.0] * 60) is None


def test_wide_spread_few_samples_and_cold_start() -> None:
    assert causes(noise(60, 0.2)) == ["spread"]
    assert causes(noise(8)) == ["few samples"]
    assert causes(noise(), warmup_stable=False) == ["warm-up"]
    assert not examine(benchmark(noise(), warmup_stable=False))[0].unfit


def test_the_machine_before_the_measurement() -> None:
    def found(**fields: object) -> list[str]:
        return [finding.cause for finding in examine_machine(Context.model_validate(fields))]

    assert found(num_cpus=2, threads=1, before=MachineState(load_avg=(2.0, 1.0, 1.0))) == ["load"]
    assert found(num_cpus=8, threads=1, before=MachineState(load_avg=(2.0, 1.0, 1.0))) == []
    assert found(before=MachineState(on_battery=True), governor="powersave") == ["battery", "governor"]
    assert found() == []
