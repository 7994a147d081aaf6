import sys
from pathlib import Path

import onnx
import pytest
import torch
from mixed_networks import SmallMixed
from small_networks import pictures, settled
from torch import nn

import exporters
import runtimes
from chita_edge.deploy.agreement import DisagreementError, check_agreement, check_int8_agreement
from chita_edge.deploy.qdq import to_qdq
from chita_edge.quantization import CompressionConfig, QuantisedNetwork, compress


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


def integers(model: nn.Module) -> tuple[QuantisedNetwork, onnx.ModelProto]:
    config = CompressionConfig(sparsity=0.5, rows=300, curvature_images=8, activation_rounds=1)
    network = compress(model, pictures(30, 5), config).network
    assert network is not None
    return network, exporters.to_sparse_int8(to_qdq(network, pictures(1))).model


def test_integers_between_float_steps_are_the_same_to_the_bit(tmp_path: Path) -> None:
    network, model = integers(settled(SmallMixed))
    assert sum(node.op_type.startswith("QSequence") for node in model.graph.node) == 5
    exporters.save(model, tmp_path / "model.onnx")
    differences = check_int8_agreement(network, tmp_path / "model.onnx", pictures(3, 9))
    assert len(differences) == 3
    assert max(differences.values()) < 0.1


class Shifted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(1, 8, 1, 1) + 0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale


def test_a_wrong_float_step_and_wrong_integers_are_told_apart(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 1), Shifted(), nn.Conv2d(8, 8, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)]
    network, model = integers(nn.Sequential(*layers).eval())
    path = tmp_path / "model.onnx"
    exporters.save(model, path)
    check_int8_agreement(network, path, pictures(3, 9))

    def check_changed(name: str, by: float) -> None:
        wrong = onnx.ModelProto.FromString(model.SerializeToString())
        (found,) = (one for one in wrong.graph.initializer if one.name.endswith(name))
        changed = onnx.numpy_helper.to_array(found).copy()
        changed.flat[0] += changed.dtype.type(by)
        found.CopyFrom(onnx.numpy_helper.from_array(changed, found.name))
        exporters.save(wrong, path)
        check_int8_agreement(network, path, pictures(3, 9))

    with pytest.raises(DisagreementError, match="float32 part mul_float"):
        check_changed("1.scale", 0.01)
    with pytest.raises(DisagreementError, match="from the network's own integers"):
        check_changed("2.bias_2", 300)
