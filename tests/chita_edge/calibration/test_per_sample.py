from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from chita_edge.calibration import (
    CalibrationError,
    NonFiniteCalibrationError,
    ScratchSpaceError,
    per_sample_gradients,
)
from chita_edge.calibration.per_sample_reference import per_sample_gradients_reference
from chita_edge.models.mobilenet_v1 import MobileNetV1
from chita_edge.network.targets import pointwise_and_linear

N = 6


class Net(nn.Module):
    """Every supported kind of layer: strided, padded, grouped, in-place activations, a layer used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.ReLU(inplace=True)
        self.strided = nn.Conv2d(4, 6, 1, stride=2)
        self.grouped = nn.Conv2d(6, 6, 3, padding=2, dilation=2, groups=2)
        self.twice = nn.Conv2d(6, 6, 1)
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.norm(self.stem(x)))
        x = self.act(self.grouped(self.act(self.strided(x))))
        x = self.act(self.twice(self.act(self.twice(x))))
        return self.head(x.mean((2, 3)))


NAMES = ("stem.weight", "strided.weight", "grouped.weight", "twice.weight", "head.1.weight")


def problem() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    net = Net().eval()
    return net, torch.randn(N, 2, 12, 12), torch.randint(0, 3, (N,))


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_equals_vmap_of_grad(batch_size: int) -> None:
    net, images, labels = problem()
    found = per_sample_gradients(net, images, labels, NAMES, batch_size=batch_size)
    expected = per_sample_gradients_reference(net, images, labels, NAMES)
    assert list(found.blocks) == list(NAMES)
    for name in NAMES:
        torch.testing.assert_close(found.blocks[name], expected.blocks[name], rtol=1e-4, atol=1e-6)


def test_equals_vmap_of_grad_on_mobilenet() -> None:
    torch.manual_seed(0)
    net = MobileNetV1(width=0.25, num_classes=10, in_channels=1).eval()
    names = pointwise_and_linear(net)
    images, labels = torch.randn(4, 1, 32, 32), torch.randint(0, 10, (4,))
    found = per_sample_gradients(net, images, labels, names)
    expected = per_sample_gradients_reference(net, images, labels, names)
    assert found.samples == 4
    assert found.size == sum(dict(net.named_parameters())[name].numel() for name in names)
    for name in names:
        scale = expected.blocks[name].norm() + 1e-12
        assert float((found.blocks[name] - expected.blocks[name]).norm() / scale) < 1e-3


@pytest.mark.parametrize("batch", [1, 4, N])
def test_on_disk_equals_in_memory_and_leaves_nothing(batch: int, tmp_path: Path) -> None:
    net, images, labels = problem()
    on_disk = per_sample_gradients(
        net, images, labels, NAMES, batch_size=batch, memory_budget_bytes=2000, scratch_dir=tmp_path
    )
    in_memory = per_sample_gradients(net, images, labels, NAMES)
    assert on_disk.on_disk
    assert not in_memory.on_disk
    assert not list(tmp_path.iterdir())
    for name in NAMES:
        torch.testing.assert_close(on_disk.blocks[name][:], in_memory.blocks[name], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_scratch_is_gone_after_interruption(error: type[BaseException], tmp_path: Path) -> None:
    net, images, labels = problem()

    def interrupt(stage: str, done: int, total: int) -> None:
        if done:
            raise error

    with pytest.raises(error):
        per_sample_gradients(
            net, images, labels, NAMES, memory_budget_bytes=3000, scratch_dir=tmp_path, progress=interrupt
        )
    assert not list(tmp_path.iterdir())


def test_missing_scratch_folder_is_a_sentence(tmp_path: Path) -> None:
    net, images, labels = problem()
    with pytest.raises(ScratchSpaceError, match="scratch folder"):
        per_sample_gradients(net, images, labels, NAMES, memory_budget_bytes=3000, scratch_dir=tmp_path / "missing")


def test_averages_neighbouring_samples() -> None:
    net, images, labels = problem()
    single = per_sample_gradients(net, images, labels, NAMES)
    averaged = per_sample_gradients(net, images, labels, NAMES, samples_per_row=3, batch_size=2)
    for name in NAMES:
        expected = single.blocks[name].unflatten(1, (2, 3)).mean(2)
        torch.testing.assert_close(averaged.blocks[name], expected, rtol=1e-4, atol=1e-6)


def test_leaves_the_network_untouched_and_reports_progress() -> None:
    net, images, labels = problem()
    net.train()
    before = copy.deepcopy(net.state_dict())
    seen: list[tuple[str, int, int]] = []
    per_sample_gradients(net, images, labels, NAMES, batch_size=4, progress=lambda *step: seen.append(step))
    assert seen == [("gradients", 0, N), ("gradients", 4, N), ("gradients", N, N)]
    assert net.training
    assert not any(module._forward_hooks for module in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_refuses_non_finite_weights() -> None:
    net, images, labels = problem()
    with torch.no_grad():
        net.twice.weight[1, 2] = torch.nan  # type: ignore[index, union-attr]
    with pytest.raises(NonFiniteCalibrationError, match=r"twice\.weight holds nan at \[1, 2, 0, 0\]"):
        per_sample_gradients(net, images, labels, NAMES)


def test_refuses_non_finite_images() -> None:
    net, images, labels = problem()
    images[3, 0, 0, 0] = torch.inf
    with pytest.raises(NonFiniteCalibrationError, match="sample 3"):
        per_sample_gradients(net, images, labels, NAMES)


def test_refuses_non_finite_gradients_and_names_layer_and_sample() -> None:
    net, images, labels = problem()

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        factor = torch.where(images[:, 0, 0, 0] == images[4, 0, 0, 0], torch.inf, 1.0)
        return logits[:, 0] * factor[: len(logits)]

    with pytest.raises(NonFiniteCalibrationError, match=r"stem\.weight is not finite for calibration sample 4"):
        per_sample_gradients(net, images, labels, NAMES, loss=loss, batch_size=N)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("nothing.weight",), "no layer with a weight nothing.weight"),
        (("stem.bias",), "no layer with a weight stem.bias"),
        (("norm.weight",), "BatchNorm2d cannot be pruned"),
    ],
)
def test_refuses_layers_it_cannot_prune(names: tuple[str, ...], message: str) -> None:
    net, images, labels = problem()
    with pytest.raises(CalibrationError, match=message):
        per_sample_gradients(net, images, labels, names)


def test_refuses_a_layer_that_is_never_used() -> None:
    net, images, labels = problem()
    net.spare = nn.Linear(2, 2)
    with pytest.raises(CalibrationError, match=r"never uses spare\.weight"):
        per_sample_gradients(net, images, labels, ("spare.weight",))


def test_refuses_labels_that_do_not_fit() -> None:
    net, images, labels = problem()
    with pytest.raises(CalibrationError, match="one int64 label an image"):
        per_sample_gradients(net, images, labels[:-1], NAMES)
    with pytest.raises(CalibrationError, match="at least one image"):
        per_sample_gradients(net, images[:0], labels[:0], NAMES)
    with pytest.raises(CalibrationError, match="groups of 4"):
        per_sample_gradients(net, images, labels, NAMES, samples_per_row=4)
