from collections.abc import Callable, Mapping
from pathlib import Path

import onnx_models
import pytest
from fake_device import FakeDevice, results_of

from chita_edge.bundle import write_bundle
from device_bench.devices import DEVICES
from device_bench.results import save

Fake = Callable[..., FakeDevice]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle whose models are small."""
    content = {"config": {"model": "mobilenet", "target": "arm64"}, "sparsity": 0.8}
    model = onnx_models.tiny().SerializeToString()
    files = {"model.onnx": model, "model.dense.onnx": model}
    return write_bundle(tmp_path / "bundle", files, content, measurements={})


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Puts a device `fake:…` into the registry whose runs take what is ordered."""

    def order(*runs: Mapping[str, float]) -> FakeDevice:
        device = FakeDevice(list(runs))
        monkeypatch.setattr("device_bench.devices.DEVICES", {**DEVICES, "fake": device})
        return device

    return order


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., str]:
    """Saves results of models' times in a file and gives its name."""

    def save_as(name: str, seed: int = 99, **ms: float) -> str:
        save(results_of(seed, **ms), tmp_path / name)
        return name

    return save_as
