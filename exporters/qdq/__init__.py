"""Quantised networks in standard ONNX (QDQ): recognition of their layers, and which of them make one node."""
