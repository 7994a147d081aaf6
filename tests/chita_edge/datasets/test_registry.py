import pytest

from chita_edge import datasets
from chita_edge.errors import UsageError


@pytest.mark.parametrize("name", sorted(datasets.DATASETS))
def test_each_data_set_loads_under_its_name(name: str) -> None:
    assert datasets.load(name).name == name


def test_unknown_data_set_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no data set 'cifar'.*fashion_mnist"):
        datasets.load("cifar")
