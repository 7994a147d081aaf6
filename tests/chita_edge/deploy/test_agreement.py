import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import exporters
import runtimes
from chita_edge.deploy.agreement import check_agreement


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 16, 1), nn.ReLU(), nn.Conv2d(16, 8, 1), nn.Flatten(), nn.Linear(8 * 16, 4)).eval()


def _saved(network: nn.Module, folder: Path) -> Path:
    path = folder / "model.onnx"
    dense = exporters.to_onnx(network, torch.zeros(1, 3, 4, 4))
    exporters.save(exporters.to_sparse(dense, lambda _: exporters.Decision(True, "test")).model, path)
    return path


def test_all_three_runtimes_agree_with_torch(network: nn.Module, tmp_path: Path) -> None:
    differences = check_agreement(network, _saved(network, tmp_path), torch.randn(2, 3, 4, 4))
    assert len(differences) == 3
    assert all(0 <= difference <= 1e-4 for difference in differences.values())


def test_a_file_of_another_network_is_found_out(network: nn.Module, tmp_path: Path) -> None:
    path = _saved(network, tmp_path)
    with torch.no_grad():
        next(network.parameters()).mul_(1.01)
    with pytest.raises(exporters.VerificationError, match="differs"):
        check_agreement(network, path, torch.randn(2, 3, 4, 4))


def test_a_file_of_our_own_is_not_sent_through_the_gate_for_strangers(
    network: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _saved(network, tmp_path)

    def gate(*arguments: object) -> None:
        raise AssertionError(arguments)

    monkeypatch.setattr(sys.modules["exporters.load"], "check_graph", gate)
    assert check_agreement(network, path, torch.randn(2, 3, 4, 4))
    with pytest.raises(AssertionError):
        runtimes.session(path)
