"""Gradients of networks of all kinds against autograd, one sample at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from torch.nn.utils import prune as torch_prune

from chita_edge.calibration import CalibrationError, cross_entropy, per_sample_gradients

N = 5
IMAGES, VECTORS, SERIES = (N, 3, 6, 6), (N, 8), (N, 3, 9)


class Lambda(nn.Module):
    """A network with layers ``a`` and ``b`` and a head, and a forward given as a function."""

    def __init__(self, a: nn.Module, b: nn.Module, features: int, run: Callable[[Any, torch.Tensor], Any]) -> None:
        super().__init__()
        self.a, self.b, self.head, self.run = a, b, nn.Linear(features, 4), run

    def forward(self, x: torch.Tensor) -> Any:
        return self.run(self, x)


class Same(nn.Conv2d):
    """Pads in a forward of its own, as TensorFlow does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(functional.pad(x, (0, 1, 0, 1)), self.weight, self.bias, self.stride)


class Standardised(nn.Conv2d):
    """Multiplies by another weight than its parameter."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(x, self.weight - self.weight.mean((1, 2, 3), keepdim=True), self.bias)


def tied(a: nn.Module, b: nn.Module) -> nn.Module:
    b.weight = a.weight
    return b


def pooled(m: Any, x: torch.Tensor) -> torch.Tensor:
    return m.head(x.mean((2, 3)))


def added_in_place(m: Any, x: torch.Tensor) -> torch.Tensor:
    x = m.a(x).relu()
    x += m.b(x)
    return pooled(m, x)


def relu_in_place_between(m: Any, x: torch.Tensor) -> torch.Tensor:
    x = m.a(x)
    z = m.b(x)
    return pooled(m, functional.relu(x, inplace=True) + z)


def output_changed(m: Any, x: torch.Tensor) -> torch.Tensor:
    x = m.b(m.a(x).relu_())
    x[:, :2] *= 3
    x[:, 1] = 0
    return pooled(m, x.sigmoid_())


def sequence_first(m: Any, x: torch.Tensor) -> torch.Tensor:
    return m.head(m.b(m.a(x.permute(2, 0, 1)).relu()).mean(0))


def attended(m: Any, x: torch.Tensor) -> torch.Tensor:
    steps = m.b(x.transpose(1, 2))
    return m.head(m.a(steps, steps, steps, need_weights=False)[0].mean(1))


def crossed(m: Any, x: torch.Tensor) -> torch.Tensor:
    steps = x.permute(2, 0, 1)
    return m.head(m.a(m.b(steps), steps, steps)[0].mean(0))


def windows_of_samples(m: Any, x: torch.Tensor) -> torch.Tensor:
    halves = x.unflatten(3, (2, 3)).permute(0, 3, 1, 2, 4).flatten(0, 1)
    return pooled(m, m.b(m.a(halves).relu()).unflatten(0, (-1, 2)).sum(1))


def samples_of_windows(m: Any, x: torch.Tensor) -> torch.Tensor:
    left, right = m.b(m.a(torch.cat([x[..., :3], x[..., 3:]])).relu()).chunk(2)
    return pooled(m, left - 2 * right)


def batch_of_statistics(m: Any, x: torch.Tensor) -> torch.Tensor:
    return pooled(m, m.b(m.a(x)).relu())


NETWORKS: dict[str, tuple[Callable[[], Lambda], tuple[int, ...]]] = {
    "a parameter of two layers": (
        lambda: Lambda(
            a := nn.Linear(8, 8), tied(a, nn.Linear(8, 8)), 8, lambda m, x: m.head(m.b(m.a(x).relu()).relu())
        ),
        VECTORS,
    ),
    "called by keyword, weights passed by hand": (
        lambda: Lambda(
            nn.Linear(8, 8),
            nn.Linear(8, 8),
            8,
            lambda m, x: m.head(input=functional.linear(bias=m.b.bias, weight=m.b.weight, input=m.a(x).tanh())),
        ),
        VECTORS,
    ),
    "input changed by a function": (
        lambda: Lambda(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), 4, relu_in_place_between),
        IMAGES,
    ),
    "x += conv(x) behind a relu": (
        lambda: Lambda(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1), 4, added_in_place),
        IMAGES,
    ),
    "output changed in place": (lambda: Lambda(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), 4, output_changed), IMAGES),
    "subclass with padding of its own": (
        lambda: Lambda(Same(3, 4, 3, 2), nn.Conv2d(4, 4, 2, padding="same"), 4, lambda m, x: pooled(m, m.b(m.a(x)))),
        IMAGES,
    ),
    "reflected padding": (
        lambda: Lambda(
            nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
            nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2),
            4,
            lambda m, x: pooled(m, m.b(m.a(x).relu())),
        ),
        IMAGES,
    ),
    "an operator called by its own name": (
        lambda: Lambda(
            nn.Conv2d(3, 4, 3),
            nn.Linear(4, 4),
            4,
            lambda m, x: m.head(
                torch.ops.aten.linear(
                    torch.ops.aten.conv2d.default(x, m.a.weight, m.a.bias, [2, 2]).mean((2, 3)), m.b.weight
                )
            ),
        ),
        IMAGES,
    ),
    "convolutions over time": (
        lambda: Lambda(
            nn.Conv1d(3, 4, 5, padding=2, stride=2),
            nn.Conv1d(4, 4, 3, padding="same", dilation=2, groups=2),
            4,
            lambda m, x: m.head(m.b(m.a(x).relu()).mean(2)),
        ),
        SERIES,
    ),
    "attention with packed projections": (
        lambda: Lambda(nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(3, 8), 8, attended),
        SERIES,
    ),
    "attention with projections apart": (
        lambda: Lambda(nn.MultiheadAttention(8, 2, kdim=3, vdim=3), nn.Linear(3, 8), 8, crossed),
        SERIES,
    ),
    "layers of a transformer": (
        lambda: Lambda(
            nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
            nn.Linear(3, 8),
            8,
            lambda m, x: m.head(m.a(m.b(x.transpose(1, 2))).mean(1)),
        ),
        SERIES,
    ),
    "time before batch": (lambda: Lambda(nn.Linear(3, 6), nn.Linear(6, 6), 6, sequence_first), SERIES),
    "windows of each sample": (lambda: Lambda(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), 4, windows_of_samples), IMAGES),
    "samples of each window": (lambda: Lambda(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), 4, samples_of_windows), IMAGES),
    "batch norm without running statistics": (
        lambda: Lambda(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), 4, batch_of_statistics),
        IMAGES,
    ),
    "a branch without gradients": (
        lambda: Lambda(nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1), 4, lambda m, x: pooled(m, m.a(x) + m.b(x).detach())),
        IMAGES,
    ),
    "an output that nothing reads": (
        lambda: Lambda(nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1), 4, lambda m, x: (m.b(x), pooled(m, m.a(x)))[1]),
        IMAGES,
    ),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("batch_size", [2, N])
def test_equals_autograd_one_sample_at_a_time(kind: str, batch_size: int) -> None:
    make, shape = NETWORKS[kind]
    torch.manual_seed(0)
    net = make().eval()
    images, labels = torch.randn(shape), torch.randint(0, 4, (N,))
    names = [name for name, parameter in net.named_parameters() if parameter.ndim > 1]
    found = per_sample_gradients(net, images, labels, names, batch_size=batch_size)
    for name in names:
        columns = []
        for i in range(N):
            net.zero_grad()
            with torch.autograd.graph.allow_mutation_on_saved_tensors():
                cross_entropy(net(images[i : i + 1].clone()), labels[i : i + 1]).sum().backward()
            gradient = net.get_parameter(name).grad
            columns.append(torch.zeros_like(net.get_parameter(name)) if gradient is None else gradient.clone())
        expected = torch.stack(columns).flatten(1).T
        torch.testing.assert_close(found.blocks[name][:], expected, rtol=1e-4, atol=1e-6)


def refusal(make: Callable[[], nn.Module], name: str, shape: tuple[int, ...] = IMAGES) -> str:
    torch.manual_seed(0)
    with pytest.raises(CalibrationError) as caught:
        per_sample_gradients(make().eval(), torch.randn(shape), torch.randint(0, 4, (N,)), [name])
    return str(caught.value)


@pytest.mark.parametrize(
    ("make", "name", "shape", "reason"),
    [
        (
            lambda: Lambda(nn.Linear(8, 8), nn.Linear(8, 8), 8, lambda m, x: m.head(m.a(x) @ m.a.weight)),
            "a.weight",
            VECTORS,
            "a.weight cannot be pruned: torch.Tensor.matmul reads it too",
        ),
        (
            lambda: Lambda(Standardised(3, 4, 1), nn.Identity(), 4, lambda m, x: pooled(m, m.a(x))),
            "a.weight",
            IMAGES,
            "reads it before any linear layer or convolution sees it",
        ),
        (
            lambda: Lambda(nn.Conv2d(3, 4, 1), nn.Identity(), 4, lambda m, x: pooled(m, functional.dropout(m.a(x)))),
            "a.weight",
            IMAGES,
            "answers the same sample differently each time",
        ),
        (
            lambda: Lambda(
                parametrizations.weight_norm(nn.Conv2d(3, 4, 1)), nn.Identity(), 4, lambda m, x: pooled(m, m.a(x))
            ),
            "a.weight",
            IMAGES,
            "remove_parametrizations on a first",
        ),
        (
            lambda: Lambda(
                torch_prune.l1_unstructured(nn.Conv2d(3, 4, 1), "weight", 0.5),
                nn.Identity(),
                4,
                lambda m, x: pooled(m, m.a(x)),
            ),
            "a.weight",
            IMAGES,
            "torch.nn.utils.prune.remove or remove_weight_norm on a first",
        ),
        (
            lambda: Lambda(nn.Conv2d(3, 4, 1), nn.Identity(), 4, lambda m, x: pooled(m, torch.no_grad()(m.a)(x))),
            "a.weight",
            IMAGES,
            "calls a.weight where torch takes no gradients",
        ),
        (
            lambda: Lambda(
                nn.Conv2d(3, 4, 1), nn.Identity(), 4, torch.inference_mode()(lambda m, x: pooled(m, m.a(x)))
            ),
            "a.weight",
            IMAGES,
            "calls a.weight where torch takes no gradients",
        ),
        (
            lambda: Lambda(nn.Conv2d(3, 4, 1, device="meta"), nn.Identity(), 4, lambda m, x: pooled(m, m.a(x))),
            "a.weight",
            IMAGES,
            "is on the device meta",
        ),
        (
            lambda: Lambda(nn.ConvTranspose2d(3, 4, 2), nn.Identity(), 4, lambda m, x: pooled(m, m.a(x))),
            "a.weight",
            IMAGES,
            "a.weight cannot be pruned: torch.nn.functional.conv_transpose2d reads it",
        ),
        (
            lambda: Lambda(nn.Conv2d(3, 4, 1), nn.Identity(), 4, lambda m, x: (pooled(m, m.a(x))).argmax(1)),
            "a.weight",
            IMAGES,
            "answers with Tensor, which holds no floating tensor",
        ),
        (
            lambda: Lambda(nn.Conv2d(3, 4, 9), nn.Identity(), 4, lambda m, x: pooled(m, m.a(x))),
            "a.weight",
            IMAGES,
            "The network Lambda fails on 1 samples of shape (3, 6, 6)",
        ),
    ],
)
def test_what_cannot_be_right_is_a_sentence(
    make: Callable[[], nn.Module], name: str, shape: tuple[int, ...], reason: str
) -> None:
    assert reason in refusal(make, name, shape)


def test_kinds_and_shapes_of_a_weight_may_be_asked_for() -> None:
    net = Lambda(
        nn.Linear(8, 8),
        nn.Identity(),
        8,
        lambda m, x: m.head(m.a(x.to(m.a.weight.dtype).type_as(m.a.weight)) + torch.zeros_like(m.a.weight).sum()),
    )
    found = per_sample_gradients(net.eval(), torch.randn(VECTORS), torch.zeros(N, dtype=torch.int64), ["a.weight"])
    assert bool(found.blocks["a.weight"][:].any())


def test_a_network_that_keeps_its_activations_can_be_copied() -> None:
    net = Lambda(nn.Linear(8, 8), nn.Identity(), 8, lambda m, x: m.head(m.a(x)))
    net.a.register_forward_hook(lambda module, given, output: setattr(module, "kept", [output]))
    net(torch.randn(VECTORS))
    found = per_sample_gradients(net.eval(), torch.randn(VECTORS), torch.zeros(N, dtype=torch.int64), ["a.weight"])
    assert found.samples == N
