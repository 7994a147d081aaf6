from __future__ import annotations

import pytest
import torch
from small_networks import SmallMobile, SmallResidual, pictures, settled

from chita_edge.quantization import CompressionConfig, QuantizationError, compress, tempered_divergence
from chita_edge.quantization.distill import DistillConfig, distill_through_rounding


def test_brings_the_integers_closer_to_the_teacher_and_keeps_the_zeros() -> None:
    model, images = settled(SmallResidual), pictures(60, 5)
    config = CompressionConfig(sparsity=0.6, rows=400, curvature_images=8, search=False, ridge=1e6)
    network = compress(model, images, config).network
    assert network is not None
    with torch.no_grad():
        dense = model(images)
    seen: list[int] = []
    how = DistillConfig(epochs=4, learning_rate=3e-3, batch_size=15, temperature=1.0)
    report = lambda stage, done, total: seen.append(done)  # noqa: E731
    taught = distill_through_rounding(network, model, images, how, progress=report)
    assert tempered_divergence(taught(images), dense) < 0.8 * tempered_divergence(network(images), dense)
    assert seen == list(range(17))
    assert taught.grids == network.grids
    for name, layer in taught.layers.items():
        assert bool((layer.weight[~layer.mask] == 0).all())
        assert torch.equal(layer.scale, network.layers[name].scale)


def test_the_same_seed_gives_the_same_integers() -> None:
    model, images = settled(SmallMobile), pictures(20)
    network = compress(model, images, CompressionConfig(sparsity=0, rows=100)).network
    assert network is not None
    runs = [
        distill_through_rounding(network, model, images, DistillConfig(1, batch_size=10, seed=seed))
        for seed in (0, 0, 1)
    ]
    first, same, other = (torch.cat([layer.weight.flatten() for layer in run.layers.values()]) for run in runs)
    assert torch.equal(first, same) and not torch.equal(first, other)


def test_what_is_learnt_does_not_depend_on_how_channels_are_scaled() -> None:
    """Powers of two, which change no digit: the codes that training ends with are the same ones."""
    images, taught = pictures(30), []
    for factor in (1.0, 0.0625):
        model = settled(SmallResidual)
        with torch.no_grad():
            model.first_norm.weight *= factor
            model.first_norm.bias *= factor
            model.second.weight /= factor
        config = CompressionConfig(sparsity=0, rows=200, equalise=False, ridge=1e6, activation_rounds=0)
        network = compress(model, images, config).network
        assert network is not None
        taught.append(distill_through_rounding(network, settled(SmallResidual), images, DistillConfig(2, 3e-3)))
    one, other = (network.layers for network in taught)
    for name, layer in one.items():
        assert torch.equal(layer.weight, other[name].weight), name
        assert torch.equal(layer.bias, other[name].bias), name


def test_a_loss_that_is_no_number_is_an_error() -> None:
    images = pictures(10)
    network = compress(settled(SmallResidual), images, CompressionConfig(sparsity=0, rows=100)).network
    assert network is not None
    with pytest.raises(QuantizationError, match="not finite in epoch 0"):
        distill_through_rounding(network, lambda x: torch.full((len(x), 5), torch.nan), images, DistillConfig(1))
