"""Description of a dense file's layers, as a cost model sees them."""

from __future__ import annotations

import onnx

from exporters.network import NetworkInfo, network_of


def describe(dense: onnx.ModelProto) -> NetworkInfo:
    """Describe the layers that :func:`exporters.to_sparse` decides on, and the links between them.

    dense: from :func:`exporters.to_onnx`, left as it was.
    Raises NonFiniteWeightsError, naming the layer, and UnsupportedModelError for weights other than float32.
    """
    from exporters.from_onnx import to_graph
    from exporters.layers.find import find_layers
    from exporters.passes.fold_scales import FoldScales
    from exporters.passes.fold_views import FoldViews

    model = to_graph(dense)
    FoldViews()(model)
    FoldScales()(model)
    return network_of(find_layers(model.graph))
