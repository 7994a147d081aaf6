from __future__ import annotations

import torch
from torch import nn

from chita_edge.calibration import per_sample_gradients
from chita_edge.network.output_curvature import OutputCurvature
from chita_edge.network.output_kind import OutputKind


def test_expected_square_is_the_gauss_newton_matrix() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Tanh(), nn.Linear(4, 2, bias=False)).eval()
    images, draws = torch.randn(2, 3), 4000
    repeated = images.repeat(draws, 1)
    found = per_sample_gradients(
        net, repeated, torch.arange(len(repeated)), ["0.weight"], batch_size=1000, loss=OutputCurvature(7)
    ).blocks["0.weight"]
    jacobians = [
        torch.autograd.functional.jacobian(
            lambda weight, x=image: net[2](torch.tanh(weight.view(4, 3) @ x)), net[0].weight.detach().flatten()
        )
        for image in images
    ]
    expected = sum(jacobian.T @ jacobian for jacobian in jacobians) / len(jacobians)
    torch.testing.assert_close(found @ found.T / len(repeated), expected, rtol=0.1, atol=0.02)


def test_a_samples_direction_depends_on_its_number_alone() -> None:
    logits, numbers = torch.randn(6, 5), torch.arange(6)
    together = OutputCurvature(3)(logits, numbers)
    apart = torch.cat([OutputCurvature(3)(logits[part], numbers[part]) for part in (slice(0, 2), slice(2, 6))])
    assert torch.equal(together, apart)
    assert torch.equal(
        OutputCurvature(5)(logits[2:], torch.arange(4)), OutputCurvature(3)(logits[2:], torch.arange(2, 6))
    )
    assert len(set(OutputCurvature(3)(logits[:1].expand(6, 5), numbers).tolist())) == 6


def test_classes_may_be_measured_by_kl() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4, bias=False)).eval()
    images, draws = torch.randn(2, 3), 4000
    repeated = images.repeat(draws, 1)
    found = per_sample_gradients(
        net,
        repeated,
        torch.arange(len(repeated)),
        ["0.weight"],
        batch_size=1000,
        loss=OutputCurvature(7, (OutputKind(),), softmax=True),
    ).blocks["0.weight"]
    expected = torch.zeros(12, 12)
    for image in images:
        p = net(image).detach().softmax(0)
        expected += torch.kron(torch.diag(p) - torch.outer(p, p), torch.outer(image, image)) / len(images)
    torch.testing.assert_close(found @ found.T / len(repeated), expected, rtol=0.1, atol=0.02)
