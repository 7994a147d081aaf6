"""ONNX Runtime's own int8 of a dense network."""

from __future__ import annotations

import logging

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, numpy_helper
from small_networks import SmallMobile, pictures, settled

import exporters
from chita_edge.deploy.int8_baseline import BaselineError, int8_baseline


def test_activations_are_uint8_and_weights_int8_a_channel() -> None:
    model, images = settled(SmallMobile), pictures(64, 3)
    made = int8_baseline(exporters.to_onnx(model, images[:2]), images)
    constants = {tensor.name: tensor for tensor in made.graph.initializer}
    zeros = {constants[node.input[2]].data_type for node in made.graph.node if node.op_type == "QuantizeLinear"}
    assert zeros == {TensorProto.UINT8}
    weights = [node for node in made.graph.node if node.op_type == "DequantizeLinear" and node.attribute]
    assert {constants[node.input[0]].data_type for node in weights} >= {TensorProto.INT8}
    assert any(numpy_helper.to_array(constants[node.input[1]]).shape == (16,) for node in weights)
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"input": images.numpy()})
    with torch.inference_mode():
        wanted = model(images).numpy()
    assert np.abs(found - wanted).max() < 0.2 * np.abs(wanted).max()
    assert logging.getLogger().level != logging.ERROR


def test_what_cannot_be_quantised_is_a_sentence() -> None:
    with pytest.raises(BaselineError, match="cannot quantise"):
        int8_baseline(onnx.ModelProto(), pictures(2))
