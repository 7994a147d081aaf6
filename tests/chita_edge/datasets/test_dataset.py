import pytest
import torch

from chita_edge.datasets.dataset import Dataset
from chita_edge.errors import UsageError


@pytest.fixture
def data() -> Dataset:
    images = torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1)
    return Dataset(
        "ten", ("a",), "MIT", lambda x: x[:, None].float(), images, torch.arange(10), images, torch.arange(10)
    )


def test_calibration_is_drawn_without_replacement_from_the_seed(data: Dataset) -> None:
    first, again, other = data.calibration(6, seed=1), data.calibration(6, seed=1), data.calibration(6, seed=2)
    assert torch.equal(first.labels, again.labels)
    assert not torch.equal(first.labels, other.labels)
    assert first.labels.unique().numel() == len(first) == 6
    assert torch.equal(first.images.flatten().long(), first.labels)


@pytest.mark.parametrize("count", [0, 11])
def test_more_images_than_there_are_is_an_error(data: Dataset, count: int) -> None:
    with pytest.raises(UsageError, match="ten has 10 calibration images"):
        data.calibration(count)


def test_test_images_keep_their_order(data: Dataset) -> None:
    assert data.test(3).labels.tolist() == [0, 1, 2]
