from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from chita_edge.network.distance import Answers, divergence
from chita_edge.network.errors import CalibrationError
from chita_edge.network.objective import Objective, OutputKind, cross_entropy, find_objective

RNG = torch.Generator().manual_seed(0)
IMAGES = torch.randn(8, 3, 6, 6, generator=RNG)
BINARY, VALUES = (Objective((OutputKind(kind),)) for kind in ("binary", "values"))


class Answering(nn.Module):
    """Answers with what a function makes of a map (n, 4, 6, 6)."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.answer = nn.Conv2d(3, 4, 1), answer

    def forward(self, x: torch.Tensor) -> Any:
        return self.answer(self.body(x))


def whole(number: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, number, (8, *shape), generator=RNG)


@pytest.mark.parametrize(
    ("answer", "labels", "kind", "axis"),
    [
        (lambda z: z[:, :, 2, 2], None, "classes", 1),
        (lambda z: z[:, :, 2, 2].square(), None, "values", 1),
        (lambda z: z[:, :, 2, 2] + torch.arange(4) * 9, None, "values", 1),
        (lambda z: z[:, :, 2, 2].softmax(1), None, "classes", 1),
        (lambda z: z[:, :1, 2, 2].sigmoid().flatten(), None, "binary", 1),
        (lambda z: z[:, :1].sigmoid(), None, "binary", 1),
        (lambda z: z[:, :1].square().clamp(0, 1), None, "values", 1),
        (lambda z: (z.softmax(1), z[:, :, 2].softmax(1)), None, "classes", 1),
        (lambda z: z.mean((2, 3)), whole(4), "classes", 1),
        (lambda z: z, None, "classes", 1),
        (lambda z: z, whole(4, 6, 6), "classes", 1),
        (lambda z: z.permute(0, 2, 3, 1), whole(4, 6, 6), "classes", 3),
        (lambda z: z.mean((1, 2, 3))[:, None], whole(2), "binary", 1),
        (lambda z: z.mean((1, 2, 3)), whole(2), "binary", 1),
        (lambda z: z[:, :1], whole(2, 6, 6), "binary", 1),
        (lambda z: z.mean((1, 2, 3))[:, None], None, "values", 1),
        (lambda z: z.mean((2, 3)), torch.zeros(8, 4), "values", 1),
        (lambda z: (z, z.mean((2, 3))), None, "values", 1),
        (lambda z: {"boxes": z, "scores": [z, z.argmax(1)]}, whole(4), "values", 1),
    ],
)
def test_finds_the_kind_of_outputs(answer: Any, labels: torch.Tensor | None, kind: str, axis: int) -> None:
    for found in find_objective(Answering(answer).eval(), IMAGES, labels).outputs:
        assert (found.kind, found.axis) == (kind, axis)


def test_probabilities_are_compared_as_their_logits_are() -> None:
    for answer, squash, labels, given_kind in (
        (lambda z: 3 * z.mean((2, 3)), lambda z: z.softmax(1), whole(4), "classes"),
        (lambda z: 3 * z.mean((1, 2, 3))[:, None], torch.sigmoid, whole(2), "binary"),
    ):
        logits, squashed = Answering(answer).eval(), Answering(lambda z, a=answer, s=squash: s(a(z))).eval()
        found = find_objective(squashed, IMAGES, labels)
        (kind,) = found.outputs
        assert (kind.kind, kind.probabilities) == (given_kind, True)
        plain = Objective((OutputKind(kind.kind),))
        torch.testing.assert_close(found.loss(squashed(IMAGES), labels), plain.loss(logits(IMAGES), labels))
        other = logits(IMAGES) + torch.linspace(0, 2, logits(IMAGES).numel()).view_as(logits(IMAGES))
        torch.testing.assert_close(
            found.distance((squash(other),), (squashed(IMAGES),)),
            plain.distance((other,), (logits(IMAGES),)),
            rtol=1e-3,
            atol=1e-5,
        )


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 2, 2)])
@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_distance_of_classes_is_kl(shape: tuple[int, ...], axis: int, temperature: float) -> None:
    given_, wanted = torch.randn(2, *shape, generator=RNG)
    p, q = ((z / temperature).softmax(axis) for z in (wanted, given_))
    expected = (p * (p / q).log()).sum(axis).mean()
    objective = Objective((OutputKind(axis=axis % len(shape)),))
    torch.testing.assert_close(objective.distance((given_,), (wanted,), temperature), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(
        objective.imitation((given_,), (wanted,), temperature), temperature**2 * expected, rtol=1e-4, atol=1e-5
    )


def test_distance_of_one_logit_is_that_of_two_classes() -> None:
    given_, wanted = torch.randn(2, 6, 1, generator=RNG)
    p, q = wanted.sigmoid(), given_.sigmoid()
    expected = (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean()
    torch.testing.assert_close(BINARY.distance((given_,), (wanted,)), expected)


@settings(deadline=None)
@given(st.floats(0.1, 100), st.floats(-50, 50))
def test_distance_of_values_has_no_unit(factor: float, offset: float) -> None:
    rng = torch.Generator().manual_seed(1)
    dense, other = torch.randn(2, 40, 3, generator=rng, dtype=torch.float64)

    class Fixed(nn.Module):
        def __init__(self, outputs: torch.Tensor) -> None:
            super().__init__()
            self.outputs = outputs

        def forward(self, x: torch.Tensor) -> Any:
            return self.outputs[x[:, 0].long()], self.outputs[x[:, 0].long(), 0]

    x = torch.arange(40.0)[:, None]
    plain = divergence(Fixed(other), Fixed(dense), x)
    scaled = divergence(Fixed(other * factor + offset), Fixed(dense * factor + offset), x)
    assert scaled == pytest.approx(plain, rel=1e-6)
    expected = [float(((other - dense) ** 2).mean() / dense.var(correction=0))]
    expected.append(float(((other - dense)[:, 0] ** 2).mean() / dense[:, 0].var(correction=0)))
    assert plain == pytest.approx(sum(expected) / 2, rel=1e-6)


@pytest.mark.parametrize(
    "answer",
    [
        lambda z: z,
        lambda z: z.mean((1, 2, 3)),
        lambda z: z.mean((1, 2, 3))[:, None],
        lambda z: {"a": z.mean((2, 3)), "b": (z,)},
    ],
)
def test_another_network_is_never_at_no_distance(answer: Any) -> None:
    dense, other = Answering(answer).eval(), Answering(answer).eval()
    with torch.no_grad():
        other.body.bias += torch.tensor([5.0, 0, 0, 0])
    for images in (IMAGES, IMAGES.repeat(20, 1, 1, 1)):  # more than a batch
        assert divergence(other, dense, images) > 1e-2
        assert divergence(dense, dense, images) == pytest.approx(0, abs=1e-6)
    assert Answers.of(dense, IMAGES).objective == find_objective(dense, IMAGES)


def test_losses_are_those_of_their_definition() -> None:
    logits, labels = torch.randn(8, 4, 6, 6, generator=RNG), whole(4, 6, 6)
    each = functional.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(cross_entropy(logits, labels), each.mean((1, 2)))
    torch.testing.assert_close(
        Objective((OutputKind(axis=3),)).loss(logits.permute(0, 2, 3, 1), labels), each.mean((1, 2))
    )
    without = labels.clone()
    without[:, :3] = -100
    torch.testing.assert_close(cross_entropy(logits, without), each[:, 3:].mean((1, 2)))
    one, two = torch.randn(8, 1, generator=RNG), whole(2)
    expected = functional.binary_cross_entropy_with_logits(one[:, 0], two.float(), reduction="none")
    torch.testing.assert_close(BINARY.loss(one, two), expected)
    targets = torch.randn(8, generator=RNG)
    torch.testing.assert_close(VALUES.loss(one, targets), (one[:, 0] - targets) ** 2)


@pytest.mark.parametrize(
    ("objective", "outputs", "labels", "reason"),
    [
        (Objective(), torch.zeros(8, 4), whole(4) + 1, "classes are 0 to 3. Number the classes from 0"),
        (Objective(), torch.zeros(8, 4), torch.full((8,), -1), "label is -1; this network's classes are 0 to 3"),
        (Objective(), torch.zeros(8, 4, 6, 6), whole(4), r"labels are of shape \(8, 6, 6\), not \(8,\)"),
        (BINARY, torch.zeros(8, 1), torch.full((8,), 2), "label is 2; this network's classes are 0 to 1"),
        (BINARY, torch.zeros(8, 1, 2, 2), whole(2), "one answer needs one label"),
        (VALUES, torch.zeros(8, 2), torch.zeros(8), "they have to be as many"),
        (VALUES, (torch.zeros(8, 2), torch.zeros(8)), whole(2), "2 tensors, of which no loss is known"),
        (Objective(), torch.zeros(8, 4), None, "need labels, and there are none"),
        (Objective(), torch.zeros(3, 4), whole(4), "first dimension is not that of the samples"),
        (Objective(), [torch.zeros(8, dtype=torch.int64)], whole(4), "list, which holds no floating tensor"),
    ],
)
def test_labels_that_do_not_fit_are_a_sentence(
    objective: Objective, outputs: Any, labels: torch.Tensor | None, reason: str
) -> None:
    with pytest.raises(CalibrationError, match=reason):
        objective.loss(outputs, labels)


class Echo(nn.Module):
    """Answers with its inputs in another shape."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x: torch.Tensor) -> Any:
        return self.answer(x)


def test_classes_of_each_token_lie_along_the_last_dimension() -> None:
    table = torch.randn(9, 5, generator=RNG)
    ids = torch.randint(0, 9, (8, 7), generator=RNG)
    (kind,) = find_objective(Echo(lambda x: table[x]), ids).outputs
    assert (kind.kind, kind.axis) == ("classes", 2)
    series = torch.randn(8, 3, 7, generator=RNG)
    (kind,) = find_objective(Echo(lambda x: x.repeat(1, 2, 1)), series).outputs
    assert (kind.kind, kind.axis) == ("classes", 1)


def test_kinds_can_be_named() -> None:
    both = Answering(lambda z: (z[:, :, 2, 2], z[:, :1].sigmoid()))
    found = find_objective(both, IMAGES, kinds=("classes", "binary")).outputs
    assert [(kind.kind, kind.probabilities) for kind in found] == [("classes", False), ("binary", True)]
    assert {kind.kind for kind in find_objective(both, IMAGES, kinds="values").outputs} == {"values"}
    with pytest.raises(CalibrationError, match="has 2 outputs, 3 distances are given"):
        find_objective(both, IMAGES, kinds=("values",) * 3)


def test_distance_is_averaged_over_outputs_of_unlike_kinds() -> None:
    objective = Objective((OutputKind(), OutputKind("values", scale=4.0)))
    given_, wanted = torch.randn(2, 6, 3, generator=RNG)
    apart = [Objective((kind,)).distance((given_,), (wanted,)) for kind in objective.outputs]
    torch.testing.assert_close(objective.distance((given_, given_), (wanted, wanted)), torch.stack(apart).mean())
    assert str(objective) == "KL of logits along dimension 1 and relative squared error, averaged over 2 outputs"


def test_being_less_sure_is_no_distance_for_a_choice() -> None:
    dense, colder = Answering(lambda z: z[:, :, 2, 2]), Answering(lambda z: z[:, :, 2, 2] / 4)
    assert divergence(colder, dense, IMAGES) == pytest.approx(0, abs=1e-6)
    logits = [net(IMAGES).detach() for net in (colder, dense)]
    assert float(Objective().distance((logits[0],), (logits[1],))) > 0.01


@pytest.mark.parametrize("reduce", [lambda each: each, lambda each: each.mean()])
def test_a_users_loss_may_be_a_mean(reduce: Any) -> None:
    mine = Objective(own_loss=lambda outputs, labels: reduce((outputs["z"] - labels).square().mean(1)))
    z, labels = torch.randn(8, 4, generator=RNG, requires_grad=True), torch.randn(8, 4, generator=RNG)
    (found,) = torch.autograd.grad(mine.loss({"z": z}, labels).sum(), z)
    torch.testing.assert_close(found, (z - labels).detach() / 2)


@pytest.mark.parametrize("value", [torch.zeros(3), "no tensor"])
def test_a_loss_of_another_shape_is_a_sentence(value: Any) -> None:
    with pytest.raises(CalibrationError, match="one value a sample, or their mean"):
        Objective(own_loss=lambda outputs, labels: value).loss(torch.zeros(8, 4), whole(4))
