from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from chita_edge.calibration import CalibrationError, NonFiniteCalibrationError
from chita_edge.calibration.activations import InputMoments, input_sums
from chita_edge.network.layer import Convolution, LayerForm, Linear


def input_moments(name: str, *arguments: Any, **options: Any) -> InputMoments:
    return input_sums(name, *arguments, **options).moments(name)


def by_definition(layer: LayerForm, inputs: torch.Tensor, dense: torch.Tensor) -> InputMoments:
    if isinstance(layer, Linear):
        x, reference = inputs.flatten(0, -2).T, dense.flatten(0, -2).T
    else:
        patches = [
            nn.functional.unfold(nn.functional.pad(t, layer.padding), layer.kernel, layer.dilation, 0, layer.stride)
            for t in (inputs, dense)
        ]
        x, reference = (p.transpose(0, 1).flatten(1) for p in patches)
    return InputMoments(x @ x.T / x.shape[1], reference @ x.T / x.shape[1], x.mean(1), reference.mean(1))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Linear(), (7, 4)),
        (Linear(), (7, 5, 4)),
        (Convolution((1, 1), (2, 2)), (7, 4, 5, 6)),
        (Convolution((3, 3), (2, 2), (1, 1, 1, 1)), (7, 4, 5, 6)),
    ],
)
def test_equals_the_definition(layer: LayerForm, shape: tuple[int, ...]) -> None:
    rng = torch.Generator().manual_seed(0)
    inputs, dense = torch.randn(shape, generator=rng), torch.randn(shape, generator=rng)
    found = input_moments("w", layer, inputs.split(4), dense.split(4), batch_size=3)
    expected = by_definition(layer, inputs, dense)
    for field in ("gram", "cross", "mean", "dense_mean"):
        torch.testing.assert_close(getattr(found, field), getattr(expected, field), rtol=1e-5, atol=1e-6)


def test_centred_moments_are_covariances() -> None:
    rng = torch.Generator().manual_seed(0)
    inputs, dense = 3 + torch.randn(50, 4, generator=rng), torch.randn(50, 4, generator=rng) - 1
    found = input_moments("w", Linear(), [inputs], [dense], centred=True, batch_size=20)
    expected = input_moments("w", Linear(), [inputs - inputs.mean(0)], [dense - dense.mean(0)])
    torch.testing.assert_close(found.gram, expected.gram, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.cross, expected.cross, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.mean, inputs.mean(0))


def test_refuses_grouped_layers_and_values_that_are_not_finite() -> None:
    with pytest.raises(CalibrationError, match="w belongs to a grouped convolution"):
        input_moments("w", Convolution((1, 1), groups=2), [torch.ones(1, 4, 2, 2)], [torch.ones(1, 4, 2, 2)])
    with pytest.raises(NonFiniteCalibrationError, match="inputs of w are not finite"):
        input_moments("w", Linear(), [torch.full((1, 2), torch.nan)], [torch.ones(1, 2)])


@pytest.mark.parametrize("centred", [False, True])
def test_some_of_the_positions_are_enough(centred: bool) -> None:
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(60, 8, 18, 18, generator=rng)
    inputs = 1 + torch.nn.functional.avg_pool2d(noise, 3, 1)
    layer = Convolution((3, 3), padding=(1, 1, 1, 1))
    everything, some = (
        input_moments(
            "w", layer, [inputs], [inputs + 0.1 * noise[:, :, 1:-1, 1:-1]], centred=centred, positions=positions
        )
        for positions in (1 << 20, 1)
    )
    for field in ("gram", "cross", "mean", "dense_mean"):
        whole, part = getattr(everything, field), getattr(some, field)
        assert float((whole - part).norm()) < 0.1 * float(whole.norm())
