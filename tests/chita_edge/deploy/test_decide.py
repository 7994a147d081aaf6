"""Whole networks are decided by what the cost model says they cost."""

import math
import re
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import parser

import exporters
import runtimes
from chita_edge.deploy.decide import LEAST_GAIN, cheapest_on, decide_for, layer_cost
from exporters import SparsifyCandidate

CHAIN = """
<ir_version: 10, opset_import: ["" : 18]>
chain (float[n, 128, 28, 28] x) => (float[n, 128, 28, 28] z)
<float[n, 128, 28, 28] c0, float[n, 128, 28, 28] r0, float[n, 128, 28, 28] c1, float[n, 128, 28, 28] r1>
{
  c0 = Conv (x, w0, b)
  r0 = Relu (c0)
  c1 = Conv (r0, w1, b)
  r1 = Relu (c1)
  z = Conv (r1, w2, b)
}
"""


def chain(sparsity: float) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    model = parser.parse_model(CHAIN)
    for node in model.graph.node:
        node.name = node.output[0]
    for name in ("w0", "w1", "w2"):
        weight = rng.standard_normal((128, 128, 1, 1), np.float32)
        weight.flat[rng.permutation(weight.size)[: round(weight.size * sparsity)]] = 0
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(128, np.float32), "b"))
    return model


@pytest.mark.parametrize("target", sorted(runtimes.TARGETS))
def test_a_network_is_dense_as_a_whole_or_predicted_to_gain(target: str) -> None:
    sparse_layers = []
    for percent in range(0, 100, 5):
        dense = chain(percent / 100)
        decide = decide_for(runtimes.get_target(target), dense)
        exported = exporters.to_sparse(dense, decide)
        csr = [layer.name for layer in exported.layers if layer.format == "csr"]
        sparse_layers.append(len(csr))
        costs = {info.name: layer_cost(runtimes.get_target(target), info) for info in exporters.describe(dense).layers}
        if not csr:
            assert exporters.to_bytes(exported.model) == exporters.to_bytes(dense)
            continue
        predicted = sum(cost.ours if name in csr else cost.dense for name, cost in costs.items())
        assert predicted <= (1 - LEAST_GAIN) * sum(cost.dense for cost in costs.values())
    assert sparse_layers == sorted(sparse_layers)
    assert (sparse_layers[0], sparse_layers[-1]) == (0, 3)


def test_the_reason_names_sparsity_costs_and_target() -> None:
    sparse = decide_for(runtimes.get_target("arm64"), chain(0.9))
    dense = decide_for(runtimes.get_target("arm64"), chain(0.0))
    infos = {share: exporters.describe(chain(share)).layers[0] for share in (0.0, 0.9)}
    assert sparse(infos[0.9]).reason.startswith("90% zeros: ")
    assert sparse(infos[0.9]).reason.endswith("on arm64")
    assert "the network as a whole would gain 0% only" in dense(infos[0.0]).reason


def test_what_no_op_of_ours_can_do_stays_where_it_is() -> None:
    grouped = SparsifyCandidate("grouped", "Conv", 64, 16, (3, 3), (1, 1), 196, 100, 0.9)
    assert layer_cost(runtimes.get_target("arm64"), grouped) == runtimes.LayerCost(0.0, math.inf)


def test_a_layer_is_written_in_its_blocks_where_they_are_not_dearer(monkeypatch: pytest.MonkeyPatch) -> None:
    model = chain(0.0)
    kept = np.random.default_rng(1).random((32, 1, 128)) < 0.1
    for tensor in model.graph.initializer:
        if tensor.name != "b":
            weight = np.where(kept, onnx.numpy_helper.to_array(tensor).reshape(32, 4, 128), 0).reshape(128, 128, 1, 1)
            tensor.CopyFrom(onnx.numpy_helper.from_array(weight.astype(np.float32), tensor.name))
    target = runtimes.get_target("x86_64")
    formats = {}
    for share in (0.9, 1.0, 1.1):
        points = [replace(point, blocks={4: (share,) * len(point.densities)}) for point in target.table.points]
        table = replace(target.table, points=tuple(points))
        monkeypatch.setattr(runtimes.Target, "table", property(lambda _, table=table: table))
        formats[share] = {layer.format for layer in exporters.to_sparse(model, decide_for(target, model)).layers}
        monkeypatch.undo()
    assert formats == {0.9: {"csr 4x1"}, 1.0: {"csr 4x1"}, 1.1: {"csr"}}


def test_reasons_are_read_by_people() -> None:
    dense = chain(0.9)
    decide = decide_for(runtimes.get_target("arm64"), dense)
    reasons = [decide(layer).reason for layer in exporters.describe(dense).layers]
    assert all(re.fullmatch(r"90% zeros: [0-9.]+ [kM] instructions sparse, .* dense on arm64", one) for one in reasons)


def of_two_layers(text: str, shapes: list[tuple[int, ...]]) -> onnx.ModelProto:
    """A graph with weights w0 and w1, of which a fifth is not 0, and a bias."""
    rng = np.random.default_rng(0)
    model = parser.parse_model(f'<ir_version: 10, opset_import: ["" : 18]> {text}')
    for index, shape in enumerate(shapes):
        kept = np.where(rng.random(shape) < 0.2, rng.standard_normal(shape), 0).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(kept, f"w{index}"))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(shapes[0][0], np.float32), "b"))
    return model


def test_layers_unlike_all_that_were_measured_stay_dense_and_say_so() -> None:
    text = """
    windows (float[n, 64, 20, 20] x) => (float[n, 64, 4, 4] y) <float[n, 64, 12, 12] h>
    { h = Conv (x, w0, b)  y = Conv (h, w1, b) }
    """
    model = of_two_layers(text, [(64, 64, 9, 9)] * 2)
    exported = exporters.to_sparse(model, cheapest_on(runtimes.get_target("arm64")))
    assert exported.model == model
    assert [row.format for row in exported.layers] == ["dense", "dense"]
    assert all("no layer like it was measured on arm64" in row.reason for row in exported.layers)


@pytest.mark.parametrize(("target", "unit"), [("x86_64", "µs"), ("arm64", "k instructions")])
def test_a_small_linear_layer_stays_dense_by_its_cost(target: str, unit: str) -> None:
    text = """
    head (float[n, 1536] x) => (float[n, 200] y)
    { h = Gemm <transB = 1> (x, w0, b)  y = Gemm <transB = 1> (h, w1, b) }
    """
    model = of_two_layers(text, [(200, 1536), (200, 200)])
    small = exporters.to_sparse(model, cheapest_on(runtimes.get_target(target))).layers[1]
    assert small.format == "dense"
    assert re.fullmatch(rf"80% zeros: [0-9.]+ {unit} sparse, [0-9.]+ k?.*dense on {target}.*", small.reason)


def test_the_whole_network_is_shown_to_the_rule_once() -> None:
    model, seen = chain(0.9), list[exporters.NetworkInfo]()
    rule = cheapest_on(runtimes.get_target("x86_64"))

    def watched(network: exporters.NetworkInfo) -> exporters.Decide:
        seen.append(network)
        return rule.decide(network)

    exported = exporters.to_sparse(model, exporters.NetworkRule(watched), apart=True)
    assert seen == [exporters.describe(model)]
    other = exporters.to_sparse(model, decide_for(runtimes.get_target("x86_64"), model))
    assert exporters.to_bytes(exported.model) == exporters.to_bytes(other.model)
    assert exported.layers == other.layers
