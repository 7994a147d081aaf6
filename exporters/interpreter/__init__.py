"""ONNX graphs as torch modules, to be pruned with second-order information and written back."""

from exporters.interpreter.network import GraphInput, OnnxNetwork

__all__ = ["GraphInput", "OnnxNetwork"]
