"""Weights that a file stores as ONNX's sparse tensors → dense initializers."""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import numpy_helper

from exporters.errors import MalformedModelError, TooLargeError
from exporters.untrusted.limits import DEFAULT_LIMITS, Limits

_INDICES = 2


def densify(model: onnx.ModelProto, limits: Limits = DEFAULT_LIMITS) -> bool:
    """Replace each ``sparse_initializer`` of the main graph, in place; return whether there was any.

    Raises MalformedModelError for indices outside the tensor, or more or fewer than values; TooLargeError where all of
    them would take more memory than a file of this size may ask for.
    """
    graph = model.graph
    allowed = limits.dense_bytes(model.ByteSize())
    found = list(graph.sparse_initializer)
    for sparse in found:
        name, dims = sparse.values.name, [int(dim) for dim in sparse.dims]
        values = numpy_helper.to_array(sparse.values)
        indices = numpy_helper.to_array(sparse.indices)
        if any(dim < 1 for dim in dims) or values.ndim != 1 or indices.dtype.kind != "i":
            raise MalformedModelError(f"the sparse weight {name!r} has no valid shape; export it again.")
        allowed -= math.prod(dims) * values.dtype.itemsize
        if allowed < 0:
            raise TooLargeError(f"the sparse weight {name!r} would take more memory than a file of this size may.")
        if indices.ndim == _INDICES and indices.shape[1] == len(dims):
            inside = bool(((indices >= 0) & (indices < np.array(dims))).all())
            flat = np.ravel_multi_index(tuple(indices.T), tuple(dims)) if inside else indices[:, 0]
        else:
            flat = indices.reshape(-1)
            inside = indices.ndim == 1 and bool(((flat >= 0) & (flat < math.prod(dims))).all())
        if not inside or len(flat) != len(values) or len(np.unique(flat)) != len(flat):
            raise MalformedModelError(f"the sparse weight {name!r} has indices that do not fit; export it again.")
        dense = np.zeros(math.prod(dims), values.dtype)
        dense[flat] = values
        graph.initializer.append(numpy_helper.from_array(dense.reshape(dims), name))
    del graph.sparse_initializer[:]
    return bool(found)
