from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

from chita_edge.calibration import CalibrationError
from chita_edge.calibration.walk import Walk, Walks, call_order


class Net(nn.Module):
    """Layers are called in another order than they are made in; one is called twice, one never."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.last, self.first, self.twice, self.never = (nn.Linear(3, 3) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.twice(self.twice(self.first(x))))


NAMES = ("last.weight", "first.weight", "twice.weight")


def test_order_of_calls() -> None:
    assert call_order(Net(), NAMES, torch.ones(1, 3)) == ["first.weight", "twice.weight", "last.weight"]
    with pytest.raises(CalibrationError, match=r"never uses never\.weight"):
        call_order(Net(), ("never.weight",), torch.ones(1, 3))
    with pytest.raises(CalibrationError, match=r"no layer with a weight else\.weight"):
        call_order(Net(), ("else.weight",), torch.ones(1, 3))


def test_sees_inputs_and_obeys_weights_changed_on_the_way() -> None:
    net, x = Net(), torch.randn(5, 3)
    with torch.no_grad():
        hidden = net.first(x)
        with Walk(net, NAMES, x) as walk:
            name, inputs = walk.next()
            assert name == "first.weight"
            assert torch.equal(inputs, x)
            _, inputs = walk.next()
            torch.testing.assert_close(inputs, hidden)
            net.twice.weight.zero_()
            net.twice.bias.fill_(2.0)
            name, inputs = walk.next()
            assert name == "last.weight"
            assert torch.equal(inputs, torch.full((5, 3), 2.0))
            assert walk.next() is None
            assert walk.next() is None


@pytest.mark.parametrize("steps", [0, 1, 3, 4])
def test_leaves_neither_hooks_nor_threads(steps: int) -> None:
    net = Net()
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt), Walk(net, NAMES, torch.ones(2, 3)) as walk:
        for _ in range(steps):
            walk.next()
        raise KeyboardInterrupt
    assert threading.active_count() == before
    assert not any(module._forward_pre_hooks for module in net.modules())


def test_errors_of_the_network_come_to_the_caller() -> None:
    with Walk(Net(), NAMES, torch.ones(2, 4)) as walk:
        walk.next()
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            walk.next()


@pytest.mark.parametrize("batch_size", [1, 2, 5, 9])
def test_walks_side_by_side_see_what_one_walk_sees(batch_size: int) -> None:
    net, x = Net(), torch.randn(5, 3)
    with torch.no_grad(), Walk(net, NAMES, x) as walk, Walks(net, NAMES, x, batch_size) as walks:
        while (stop := walk.next()) is not None:
            name, inputs = walks.next()
            assert name == stop[0]
            assert [len(part) for part in inputs] == [len(part) for part in x.split(batch_size)]
            torch.testing.assert_close(torch.cat(inputs), stop[1])
            dict(net.named_modules())[name.removesuffix(".weight")].weight.mul_(0.5)
        assert walks.next() is None


def test_walks_leave_neither_hooks_nor_threads() -> None:
    net = Net()
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt), Walks(net, NAMES, torch.ones(5, 3), 2) as walks:
        walks.next()
        raise KeyboardInterrupt
    assert threading.active_count() == before
    assert not any(module._forward_pre_hooks for module in net.modules())
