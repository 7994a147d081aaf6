from __future__ import annotations

import pytest
import torch
from torch import nn

from chita_edge import ChitaEdgeError, PruneConfig, UsageError, prune
from chita_edge.engine.device import find_device

NETWORK = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
SAMPLES = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))


def test_a_run_stays_where_the_network_is() -> None:
    assert find_device(None, NETWORK) == torch.device("cpu")
    assert find_device(None, nn.Linear(2, 2, device="meta")) == torch.device("meta")
    assert find_device(None, nn.Identity()) == torch.device("cpu")
    assert find_device("cpu", NETWORK) == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_a_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda if name == "cuda" else torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UsageError, match=f"There is no device '{name}' here: torch .* sees"):
        prune(NETWORK, SAMPLES, PruneConfig(sparsity=0.5, device=name))  # type: ignore[arg-type]


def test_the_device_makes_no_other_network_on_the_same_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    plain, chosen = (
        prune(NETWORK, SAMPLES, PruneConfig(sparsity=0.5, method="reconstruct", device=device))
        for device in (None, "auto")
    )
    for name, tensor in plain.model.state_dict().items():
        assert torch.equal(tensor, chosen.model.state_dict()[name])


def test_tensors_on_two_devices_are_a_sentence() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4, device="meta"))
    with pytest.raises(ChitaEdgeError, match=r"1\.weight is on the device meta, its first tensor on cpu"):
        prune(net, SAMPLES, PruneConfig(sparsity=0.5))
