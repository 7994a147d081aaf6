from __future__ import annotations

import torch
from small_networks import SmallResidual, pictures, settled
from torch.nn import functional

from chita_edge.quantization import trace
from chita_edge.quantization.curvature import fisher


def test_is_the_mean_square_of_single_images_gradients() -> None:
    model, images = settled(SmallResidual), pictures(6)
    graph = trace(model)
    found = fisher(graph, images, ["first", "classifier"], seed=3)
    rng = torch.Generator().manual_seed(3)
    labels = torch.multinomial(graph(images).softmax(1), 1, generator=rng)[:, 0]
    squares = {name: torch.zeros_like(found[name].weights) for name in found}
    for image, label in zip(images, labels, strict=True):
        layers = {n: graph.layers[n].weight.clone().requires_grad_() for n in found}
        changed = graph.with_layers({n: _with(graph, n, w) for n, w in layers.items()})
        functional.cross_entropy(changed(image[None]), label[None]).backward()
        for name, weight in layers.items():
            assert weight.grad is not None
            squares[name] += weight.grad.flatten(1).square() / len(images)
    for name, square in squares.items():
        torch.testing.assert_close(found[name].weights, square, rtol=1e-3, atol=1e-9)
        assert found[name].mean > 0 and bool((found[name].outputs >= 0).all())


def _with(graph: object, name: str, weight: torch.Tensor) -> object:
    from dataclasses import replace

    return replace(graph.layers[name], weight=weight)  # type: ignore[attr-defined]


def test_answers_without_classes_have_a_curvature_too() -> None:
    graph = trace(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.Conv2d(4, 2, 1)).eval())
    assert fisher(graph, pictures(5), ["1"])["1"].mean > 0
