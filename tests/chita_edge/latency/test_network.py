"""Latency of a network that is no bundle."""

from __future__ import annotations

from pathlib import Path

import onnx
import own_networks
import pytest
import torch
from command_line import Run

import device_bench
from chita_edge.latency.network import measure_network
from chita_edge.latency.summary import summarise
from device_bench.errors import PlanError


def test_a_graph_is_measured_dense_and_exported(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(own_networks.as_onnx(), path)
    with pytest.raises(PlanError, match=r"input 'image' .* --input image="):
        measure_network(str(path), device_bench.BenchPlan(samples=50))
    plan = device_bench.BenchPlan(samples=50, input_shapes={"image": (1, 3, 8, 8)})
    measured = measure_network(str(path), plan, out=tmp_path / "run.json")
    assert measured.results.names == ("dense", "sparse")
    assert summarise(measured).samples == 50
    assert device_bench.load(tmp_path / "run.json").names == ("dense", "sparse")


def test_weights_and_arguments_reach_a_network_of_code(tmp_path: Path, chita_edge: Run) -> None:
    (tmp_path / "code.py").write_text(own_networks.CODE)
    torch.save(own_networks.Net(width=8).state_dict(), tmp_path / "narrow.pt")
    options = ("--input", "image=1x3x8x8", "--samples", "50", "--weights", "narrow.pt", "--json")
    done = chita_edge("bench", "code.py:Net", "--model-arg", "width=8", *options)
    assert done.returncode == 0, done.stderr
    assert "a.weight" in chita_edge("bench", "code.py:Net", *options).stderr  # of another width
