from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from chita_edge import UsageError
from chita_edge.datasets import LabelledImages
from chita_edge.deploy.judge import Judge
from chita_edge.deploy.metric import ACCURACY, AGREEMENT, RELATIVE_ERROR, SQUARED_ERROR
from chita_edge.network.inputs import SeveralInputs

RNG = torch.Generator().manual_seed(0)


class Echo(nn.Module):
    """Answers with its inputs, changed by a function."""

    def __init__(self, answer: Callable[[torch.Tensor], Any] = lambda x: x) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x: torch.Tensor) -> Any:
        return self.answer(x)


class Session:
    """A session that gives what a network answers."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def get_inputs(self) -> list[Any]:
        return [type("Input", (), {"name": "input", "shape": ["batch"]})]

    def run(self, _: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        outputs = self.network(torch.from_numpy(feed["input"]))
        return [one.numpy() for one in (outputs if isinstance(outputs, tuple) else (outputs,))]


@pytest.mark.parametrize("count", [5, 99, 100, 101, 250])
def test_counts_each_image_once_whatever_the_batch(count: int) -> None:
    labels = torch.arange(count) % 4
    logits = nn.functional.one_hot(labels, 4).float()
    wrong = count // 3
    labels[:wrong] = (labels[:wrong] + 1) % 4
    told: list[int] = []
    judge = Judge.of(Echo(), LabelledImages(logits, labels))
    assert judge.metric == ACCURACY
    found = judge.network(Echo(), progress=lambda _, done, __: told.append(done))
    assert found == pytest.approx((count - wrong) / count, abs=1e-9)
    assert judge.file(Session(Echo())) == found  # type: ignore[arg-type]
    assert (told[0], told[-1]) == (0, count)


LOGITS = torch.randn(130, 4, generator=RNG)


def test_without_labels_networks_are_close_or_not() -> None:
    judge = Judge.of(Echo(), LabelledImages(LOGITS))
    assert judge.metric == AGREEMENT
    assert judge.network(Echo()) == 1.0
    turned = Echo(lambda x: torch.cat([-x[:, :1], x[:, 1:]], 1))
    same = (turned(LOGITS).argmax(1) == LOGITS.argmax(1)).float().mean()
    assert judge.network(turned) == pytest.approx(float(same))
    values = Judge.of(Echo(torch.square), LabelledImages(LOGITS))
    assert values.metric == RELATIVE_ERROR
    dense = LOGITS.square()
    other = Echo(lambda x: x.square() * 1.1)
    expected = float((0.1 * dense).square().mean() / dense.var(correction=0)) ** 0.5
    assert values.network(other) == pytest.approx(expected, rel=0.05)  # the scale is that of the first 100 samples
    assert values.network(Echo(torch.square)) == 0.0


def test_floating_labels_are_targets() -> None:
    judge = Judge.of(Echo(), LabelledImages(LOGITS, LOGITS + 0.5))
    assert (judge.metric, judge.metric.better) == (SQUARED_ERROR, "lower")
    assert judge.network(Echo()) == pytest.approx(0.25)


def test_maps_of_classes_leave_out_what_has_no_label() -> None:
    maps = torch.randn(12, 3, 5, 5, generator=RNG)
    labels = maps.argmax(1)
    labels[:, 0] = -100
    judge = Judge.of(Echo(), LabelledImages(maps, labels))
    assert judge.network(Echo()) == 1.0
    assert judge.network(Echo(lambda x: -x)) < 0.5


def test_one_sigmoid_is_right_on_either_side_of_a_half() -> None:
    x = torch.randn(40, 1, generator=RNG)
    labels = (x[:, 0] > 0).long()
    assert Judge.of(Echo(torch.sigmoid), LabelledImages(x, labels)).network(Echo(torch.sigmoid)) == 1.0
    assert Judge.of(Echo(), LabelledImages(x, 1 - labels)).network(Echo()) == 0.0


def test_a_metric_of_ones_own_sees_all_samples_at_once(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def worst(outputs, labels):\n    return (outputs[0] - labels['a']).abs().max() + len(outputs[1])\n"
        "def text(outputs, labels):\n    return 'good'\n"
        "def broken(outputs, labels):\n    return outputs.nothing\n"
        "number = 3\n"
    )
    samples = LabelledImages(LOGITS, SeveralInputs((LOGITS + 1,), ("a",)))
    two = Echo(lambda x: (x, x[:, 0]))
    judge = Judge.of(two, samples, metric=f"{tmp_path}/mine.py:worst", better="lower")
    assert (judge.metric.name, judge.metric.better) == ("worst", "lower")
    assert judge.network(two) == pytest.approx(131.0)
    assert judge.file(Session(two)) == pytest.approx(131.0)  # type: ignore[arg-type]
    for name, reason in (
        ("text", "gives str; it has to give a number"),
        ("broken", r"broken failed with AttributeError: .* line 6\)"),
        ("number", "is of type int; a metric is a function"),
        ("nothing", "There is no 'nothing'"),
    ):
        with pytest.raises(UsageError, match=reason):
            Judge.of(two, samples, metric=f"{tmp_path}/mine.py:{name}").network(two)
    with pytest.raises(UsageError, match="have none"):
        Judge.of(two, LabelledImages(LOGITS), metric=f"{tmp_path}/mine.py:worst")
    with pytest.raises(UsageError, match="'f1' is none"):
        Judge.of(two, samples, metric="f1")
