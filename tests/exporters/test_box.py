"""The box's networks go through the export whole: no layer is lost, and what stays dense has its reason."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from shorter import shorter
from torch import nn

import runtimes
from chita_edge.models import efficientnet_lite0, mobilenet_v3
from chita_edge.models.ds_cnn import DsCnn
from chita_edge.models.efficientnet_lite0 import EfficientNetLite0
from chita_edge.models.fcn_1d import Fcn1d
from chita_edge.models.mobilenet_v3 import MobileNetV3Small
from exporters import Decision, relative_difference, save, to_onnx, to_sparse, verify

_TABLE = mobilenet_v3._SMALL
# Short forms with every kind of block: squeeze-and-excitation or not, ReLU or hard swish, shortcut or not; ResNet-18 is
# made of ResNet-20's. For each, the layers that stay as ONNX Runtime has them, and why.
CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], dict[str, str]]] = {
    "mobilenet_v3": (
        shorter(partial(MobileNetV3Small, 0.5, num_classes=7), mobilenet_v3, _SMALL=(_TABLE[0], _TABLE[2], _TABLE[4])),
        (3, 32, 32),
        {"features.0.0": "it is the stem", "features.1.block.0.0": "it is a depthwise convolution"},
    ),
    "efficientnet_lite0": (
        shorter(
            partial(EfficientNetLite0, num_classes=7),
            efficientnet_lite0,
            _STAGES=((1, 3, 16, 1, 1), (6, 5, 24, 2, 2)),
            _HEAD_CHANNELS=64,
        ),
        (3, 32, 32),
        {},
    ),
    "ds_cnn": (DsCnn, (1, 49, 10), {"features.0.1": "it is the stem"}),
    "fcn_1d": (partial(Fcn1d, 6, 7, width=0.25, kernels=(9, 9, 9), strides=(2, 2, 2)), (6, 64), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_no_layer_is_lost(name: str, randomise: Callable[[nn.Module], nn.Module], tmp_path: Path) -> None:
    make, shape, dense = CASES[name]
    torch.manual_seed(0)
    network = randomise(make())
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter *= torch.rand_like(parameter) < 0.3
    x = torch.randn(2, *shape)
    exported = to_sparse(to_onnx(network, x), lambda info: Decision(sparse=True, reason="test"))
    weights = [key.removesuffix(".weight") for key, p in network.named_parameters() if p.ndim > 1]
    assert sorted(layer.name for layer in exported.layers) == sorted(weights)
    assert {layer.name: layer.reason for layer in exported.layers if layer.op == "Conv"} == dense
    assert not {node.op_type for node in exported.model.graph.node} & {"Gemm", "MatMul", "Pad"}
    file = tmp_path / "model.onnx"
    save(exported.model, file)
    with torch.no_grad():
        want = network(x).numpy()
    found = verify(file, x.numpy(), want)
    assert max(found.onnxruntime, found.reference) <= 1e-4
    session = runtimes.session(file)
    (got,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert relative_difference(np.asarray(got), want) <= 1e-4
