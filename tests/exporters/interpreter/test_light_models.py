"""Networks that other tools exported, as ONNX ships them without weights: the interpreter against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from exporters.interpreter import OnnxNetwork
from exporters.prepare import prepare

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
# The others (vgg19, alexnet, zfnet512, resnet50, densenet121, inception v1 and v2) take a minute together.
SMALL = ("squeezenet", "shufflenet")


def with_weights(path: Path) -> onnx.ModelProto:
    """The network with random weights instead of constants of one number, of a size that keeps activations alike."""
    rng = np.random.default_rng(0)
    model = onnx.load(path)
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape" or node.input[0] not in shapes:
            kept.append(node)
            continue
        shape = [int(size) for size in shapes[node.input[0]]]
        if len(shape) > 1:
            array = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        else:
            array = rng.uniform(0.5, 1.5, shape)
        model.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return model


@pytest.mark.parametrize("name", SMALL)
def test_it_computes_what_onnx_runtime_does(name: str) -> None:
    given = with_weights(FOLDER / f"light_{name}.onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(given.SerializeToString(), options)
    x = np.random.default_rng(1).standard_normal((2, 3, 224, 224)).astype(np.float32)
    fed = session.get_inputs()[0].name
    expected = np.concatenate([session.run(None, {fed: x[i : i + 1]})[0] for i in range(2)])
    network = OnnxNetwork(prepare(given))
    network.settle(torch.from_numpy(x))
    assert not network.one_at_a_time
    assert not network.runtime_nodes
    with torch.no_grad():
        got = network(torch.from_numpy(x))
    assert isinstance(got, torch.Tensor)
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-4 * float(np.abs(expected).max()))
