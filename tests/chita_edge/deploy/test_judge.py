from typing import Any

import numpy as np
import pytest
import torch

from chita_edge.datasets import LabelledImages
from chita_edge.deploy.judge import accuracy


class _Echo:
    """A session whose logits are its inputs."""

    def get_inputs(self) -> list[Any]:
        return [type("Input", (), {"name": "input"})]

    def run(self, _: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        return [feed["input"].reshape(len(feed["input"]), -1)]


@pytest.mark.parametrize("count", [1, 99, 100, 101, 250])
def test_counts_each_image_once_whatever_the_batch(count: int) -> None:
    labels = torch.arange(count) % 4
    logits = torch.nn.functional.one_hot(labels, 4).float().view(count, 1, 2, 2)
    wrong = count // 3
    labels[:wrong] = (labels[:wrong] + 1) % 4
    told: list[int] = []
    found = accuracy(_Echo(), LabelledImages(logits, labels), progress=lambda _, done, __: told.append(done))  # type: ignore[arg-type]
    assert found == (count - wrong) / count
    assert told[0] == 0
    assert told[-1] == count
