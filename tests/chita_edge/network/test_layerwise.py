from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

from chita_edge.calibration import CalibrationError
from chita_edge.network.layerwise import LayerStop, LayerwiseForward, call_order


class Net(nn.Module):
    """Layers are called in another order than they are made in; one is called twice, one never."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.last, self.first, self.twice, self.never = (nn.Linear(3, 3) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.twice(self.twice(self.first(x))))


NAMES = ("last.weight", "first.weight", "twice.weight")


def stop_of(forward: LayerwiseForward) -> tuple[str, torch.Tensor]:
    stop = forward.next()
    assert isinstance(stop, LayerStop)
    return stop.name, torch.cat(stop.inputs)


def test_order_of_calls() -> None:
    assert call_order(Net(), NAMES, torch.ones(1, 3)) == [
        "first.weight",
        "twice.weight",
        "twice.weight",
        "last.weight",
    ]
    with pytest.raises(CalibrationError, match=r"never uses never\.weight"):
        call_order(Net(), ("never.weight",), torch.ones(1, 3))
    with pytest.raises(CalibrationError, match=r"no layer with a weight else\.weight"):
        call_order(Net(), ("else.weight",), torch.ones(1, 3))


def test_sees_inputs_and_obeys_weights_changed_on_the_way() -> None:
    net, x = Net(), torch.randn(5, 3)
    with torch.no_grad():
        hidden = net.first(x)
        with LayerwiseForward(net, NAMES, x) as forward:
            name, inputs = stop_of(forward)
            assert name == "first.weight"
            assert torch.equal(inputs, x)
            _, inputs = stop_of(forward)
            torch.testing.assert_close(inputs, hidden)
            net.twice.weight.zero_()
            net.twice.bias.fill_(2.0)
            name, inputs = stop_of(forward)
            assert name == "twice.weight"
            assert torch.equal(inputs, torch.full((5, 3), 2.0))
            assert stop_of(forward)[0] == "last.weight"
            assert forward.next() is None
            assert forward.next() is None


@pytest.mark.parametrize("steps", [0, 1, 4, 5])
def test_leaves_no_threads(steps: int) -> None:
    net = Net()
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt), LayerwiseForward(net, NAMES, torch.ones(2, 3)) as forward:
        for _ in range(steps):
            forward.next()
        raise KeyboardInterrupt
    assert threading.active_count() == before


def test_errors_of_the_network_come_to_the_caller() -> None:
    with LayerwiseForward(Net(), NAMES, torch.ones(2, 4)) as forward:
        forward.next()
        with pytest.raises(
            CalibrationError, match=r"Net fails on 2 samples of shape \(4,\).*shapes cannot be multiplied"
        ):
            forward.next()


@pytest.mark.parametrize("batch_size", [1, 2, 5, 9])
def test_passes_side_by_side_see_what_one_pass_sees(batch_size: int) -> None:
    net, x = Net(), torch.randn(5, 3)
    with (
        torch.no_grad(),
        LayerwiseForward(net, NAMES, x) as whole,
        LayerwiseForward(net, NAMES, x, batch_size) as parts,
    ):
        while (stop := whole.next()) is not None:
            other = parts.next()
            assert other is not None
            assert other.name == stop.name
            assert [len(part) for part in other.inputs] == [len(part) for part in x.split(batch_size)]
            torch.testing.assert_close(torch.cat(other.inputs), stop.inputs[0])
            net.get_parameter(stop.name).mul_(0.5)
        assert parts.next() is None


def test_passes_side_by_side_leave_no_threads() -> None:
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt), LayerwiseForward(Net(), NAMES, torch.ones(5, 3), 2) as forward:
        forward.next()
        raise KeyboardInterrupt
    assert threading.active_count() == before


class Tied(nn.Module):
    """Two layers, one parameter; the second is called by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
        self.b.weight = self.a.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(input=self.a(x).relu())


def test_a_shared_weight_stops_the_pass_at_each_use() -> None:
    assert call_order(Tied(), ("a.weight",), torch.ones(1, 3)) == ["a.weight", "a.weight"]
    assert call_order(Tied(), ("b.weight", "a.weight"), torch.ones(1, 3)) == ["a.weight", "a.weight"]


class Ordered(nn.Module):
    """Calls its layers in an order that depends on the sample."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.a(self.b(x)) if bool(x.sum() > 0) else self.b(self.a(x))


def test_an_order_that_depends_on_the_samples_is_a_sentence() -> None:
    x = torch.cat([torch.ones(1, 3), -torch.ones(1, 3)])
    with (
        LayerwiseForward(Ordered(), ("a.weight", "b.weight"), x, 1) as forward,
        pytest.raises(CalibrationError, match="another order"),
    ):
        forward.next()
