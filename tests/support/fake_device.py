"""A device whose latencies are ordered in advance, for tests of what is done with them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from device_bench import BenchPlan, Measurement, ModelUnderTest, Results
from device_bench.devices import Availability
from device_bench.errors import DeviceUnavailableError
from device_bench.results import Benchmark, Context


def results_of(seed: int, samples: int = 60, noise: float = 0.01, unit: str = "ms", **ms: float) -> Results:
    """Lognormal samples around each model's time."""
    rng = np.random.default_rng(seed)
    series = {name: tuple((value * rng.lognormal(0.0, noise, samples)).tolist()) for name, value in ms.items()}
    benchmarks = [Benchmark.model_validate({"name": n, "time_unit": unit, "samples": s}) for n, s in series.items()]
    return Results(context=Context(threads=1, sha256={"dense": "same"}), benchmarks=tuple(benchmarks))


@dataclass
class FakeDevice:
    """Gives the n-th run the n-th of `runs` (the last one for ever); an empty mapping is an unplugged cable."""

    runs: list[Mapping[str, float]]
    plans: list[BenchPlan] = field(default_factory=list)
    name: str = "fake:phone"
    default_processes: int = 1

    def __call__(self, address: str) -> "FakeDevice":
        """Stands in the registry in its own class's place."""
        return self

    def probe(self) -> Availability:
        """Always there."""
        return Availability(True, "fake")

    def measure(
        self, models: Mapping[str, ModelUnderTest], plan: BenchPlan, progress: Any = None, keep: Any = None
    ) -> Measurement:
        """The next run."""
        ms = self.runs[min(len(self.plans), len(self.runs) - 1)]
        self.plans.append(plan)
        if progress:
            progress(0.5)
            progress(1.0)
        if not ms:
            if keep:
                keep(Measurement(results_of(7, 5, dense=9.0, sparse=4.0)))
            raise DeviceUnavailableError("The cable is out.")
        drawn = results_of(len(self.plans), plan.samples, **{name: ms[name] for name in models})
        return Measurement(drawn)
