from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from resumable_pruning import NAMES, calibration, network

from chita_edge.engine.api import calibration_gradients, prune
from chita_edge.engine.config import PruneConfig
from chita_edge.engine.convert import convert
from chita_edge.engine.threads import torch_threads


@pytest.fixture
def machine() -> Iterator[int]:
    """The number of threads that torch takes from a machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield 3
    torch.set_num_threads(before)


def test_the_number_is_put_back(machine: int) -> None:
    with pytest.raises(KeyError), torch_threads(2):
        assert torch.get_num_threads() == 2
        raise KeyError
    assert torch.get_num_threads() == machine


ENTRIES: dict[str, Callable[[PruneConfig, torch.nn.Module], object]] = {
    "prune": lambda config, net: prune(
        net, calibration(), config.model_copy(update={"distill_epochs": 1}), prunable=NAMES
    ),
    "channels": lambda config, net: prune(net, calibration(), config.model_copy(update={"structure": "filter"})),
    "convert": lambda config, net: convert(net, net, calibration(), config, prunable=NAMES),
    "gradients": lambda config, net: calibration_gradients(net, calibration(), NAMES, config),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_computes_with_the_threads_of_the_configuration(entry: str, machine: int) -> None:
    seen: set[int] = set()
    torch.manual_seed(0)
    net = Seen(seen)
    ENTRIES[entry](PruneConfig(method="chita_bso", sparsity=0.5, threads=1), net)
    assert seen == {1}
    assert torch.get_num_threads() == machine


class Seen(torch.nn.Sequential):
    """The network, which tells how many threads it is computed with."""

    def __init__(self, seen: set[int]) -> None:
        super().__init__(*network())
        self.seen = seen
        self.eval()

    def __deepcopy__(self, memo: dict[int, object]) -> Seen:
        other = Seen(self.seen)
        other.load_state_dict(self.state_dict())
        return other

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.add(torch.get_num_threads())
        return super().forward(x)
