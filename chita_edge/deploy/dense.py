"""Dense ONNX graph of a network, whichever door it came through, and the sizes of its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

import exporters
from chita_edge.deploy.decide import stay_dense
from chita_edge.deploy.raised import raised
from chita_edge.errors import UsageError
from chita_edge.user_code import names_code
from device_bench.errors import PlanError
from device_bench.sampling.inputs import check_names, input_shape
from exporters.half_precision import half_types
from exporters.prepare import prepare
from exporters.read import naming, read

if TYPE_CHECKING:
    import torch
    from torch import nn

    from chita_edge.deploy.doors import OwnNetwork
    from exporters.from_torch import Example


@dataclass(frozen=True, eq=False)
class DenseNetwork:
    """A network as standard ONNX, and sentences on what was done to read it."""

    graph: onnx.ModelProto
    notes: tuple[str, ...] = ()


def dense_graph(
    model: nn.Module | onnx.ModelProto | str | Path,
    example: Example | None = None,
    sizes: Mapping[str, Sequence[int]] | None = None,
    *,
    weights: Path | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> onnx.ModelProto:
    """The graph of `dense_network`."""
    return dense_network(model, example, sizes, weights=weights, arguments=arguments).graph


def dense_network(
    model: nn.Module | onnx.ModelProto | str | Path,
    example: Example | None = None,
    sizes: Mapping[str, Sequence[int]] | None = None,
    *,
    weights: Path | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> DenseNetwork:
    """The network as standard ONNX; of a file that is ONNX already without torch.

    Half precision is raised to float32, and told.

    Args:
        model: a network, a graph, or a text that names one, see `chita_edge.deploy.doors.open_network`.
        example: one batch of inputs, for a torch network.
        sizes: of inputs by name, for a network that a text names.
        weights: state dict, likewise.
        arguments: for the function that makes it, likewise.

    Raises:
        UsageError: a network comes without an example or sizes.
        ChitaEdgeError, ExportError, PlanError: it cannot be read or exported.
    """
    notes: tuple[str, ...] = ()
    if isinstance(model, onnx.ModelProto):
        return DenseNetwork(model)
    if isinstance(model, str | Path):
        text = str(model)
        if is_graph(text):
            if weights is not None or arguments:
                raise UsageError(f"{text} holds its own weights; leave out --weights and --model-arg.")
            dense = read(text).model
            if exporters.is_quantised(dense):
                return DenseNetwork(exporters.load(text))
            with naming(Path(text)):
                return DenseNetwork(prepare(dense, fold_batch_norm=True), raised(half_types(dense)))
        model, example, notes = _opened(text, sizes or {}, weights, arguments)
    if example is None:
        raise UsageError("A torch network is exported by running it: give example_input, one batch of its inputs.")
    from chita_edge.network.batch import float32_network

    return DenseNetwork(exporters.to_onnx(float32_network(model), example), notes)


def names_network(text: str) -> bool:
    """Whether a text names a network of the box or of the user's code."""
    if names_code(text):
        return True
    from chita_edge.models import MODELS

    return text in MODELS


def is_network(text: str) -> bool:
    """Whether a text is a network's and not the path of a bundle: a file, or what names a network."""
    path = Path(text)
    return not path.is_dir() and (path.is_file() or path.suffix in (".onnx", ".pt2") or names_network(text))


def is_graph(text: str) -> bool:
    """Whether a text is the path of an ONNX file, however it is called."""
    if text.endswith((".onnx", ".pt2")):
        return text.endswith(".onnx")
    return Path(text).exists() or not (names_code(text) or text.isidentifier())


def _opened(
    text: str, sizes: Mapping[str, Sequence[int]], weights: Path | None, arguments: Mapping[str, Any] | None
) -> tuple[nn.Module, Example, tuple[str, ...]]:
    """The network behind another door, zeros of the size of its inputs, and what was done to open it."""
    import torch

    from chita_edge.deploy.doors import OwnNetwork, open_network
    from chita_edge.models import load_weights

    door = open_network(text, weights=weights, arguments=arguments)
    if isinstance(door, OwnNetwork):
        return door.model, _zeros(door, sizes), door.notes
    source = door.weights_file(weights)
    if source is None:
        raise UsageError(f"The model {door.name!r} comes without trained weights: it needs --weights FILE.")
    model = door.architecture().eval()
    notes = load_weights(model, source)
    return model, torch.zeros(1, *door.input_shape), notes


def _zeros(door: OwnNetwork, sizes: Mapping[str, Sequence[int]]) -> Example:
    """Inputs by the names that forward has for them."""
    import inspect

    import torch

    given = {name: tuple(shape) for name, shape in sizes.items()}
    if door.inputs:
        shapes = {one.name: input_shape(one.name, one.shape, given) for one in door.inputs}
        return {one.name: torch.zeros(shapes[one.name], dtype=_raised_dtype(one.dtype)) for one in door.inputs}
    names = list(inspect.signature(door.model.forward).parameters)
    if not sizes or not set(sizes) <= set(names):
        wanted = names[0] if names else "x"
        raise UsageError(
            f"The network {door.name!r} is exported by running it once: give the sizes of its inputs "
            f"({', '.join(names)}), such as --input {wanted}=1x3x224x224."
        )
    zeros = {name: torch.zeros(shape) for name, shape in given.items()}
    try:
        with torch.no_grad():
            door.model(**zeros)
    except Exception:  # a network of token numbers; should it be another fault, the export tells it
        return {name: tensor.long() for name, tensor in zeros.items()} if _takes_numbers(door.model, zeros) else zeros
    return zeros


def _raised_dtype(dtype: torch.dtype) -> torch.dtype:
    import torch

    return torch.float32 if dtype.is_floating_point else dtype


def _takes_numbers(model: nn.Module, zeros: Mapping[str, torch.Tensor]) -> bool:
    import torch

    try:
        with torch.no_grad():
            model(**{name: tensor.long() for name, tensor in zeros.items()})
    except Exception:  # neither kind of number is right
        return False
    return True


def dense_baseline(model: nn.Module, example: Example) -> exporters.SparseModel:
    """Give the dense network as standard ONNX, and its layers.

    Args:
        model: a torch network, or one made from a graph.
        example: one batch of its inputs.
    """
    dense = exporters.to_onnx(model, example)
    found = exporters.to_sparse(dense, stay_dense)
    if exporters.has_open_sizes(dense):
        fixed = exporters.fix_sizes(dense, input_sizes(dense, None, example))
        found = replace(found, layers=exporters.to_sparse(fixed, stay_dense).layers)
    return found


def input_sizes(
    dense: onnx.ModelProto, sizes: Mapping[str, Sequence[int]] | None = None, example: Example | None = None
) -> dict[str, tuple[int, ...]]:
    """The size of each input of a graph, by name: as declared, open ones from ``sizes`` or an example, the batch 1.

    Raises:
        PlanError: a size is open and nothing gives it, or it does not fit; the message names the input.
    """
    inputs = exporters.inputs_of(dense)
    given = {name: tuple(shape) for name, shape in (sizes or {}).items()}
    for name, shape in _example_shapes([value.name for value in inputs], example).items():
        given.setdefault(name, shape)
    found: dict[str, tuple[int, ...]] = {}
    for value in inputs:
        declared = exporters.declared_shape(value)
        if declared is None:
            found[value.name] = given.get(value.name, ())
            continue
        # The batch is 1 whatever the example's, unless the file fixes it.
        chosen = given.get(value.name)
        if chosen is not None and len(chosen) == len(declared) > 0:
            first = declared[0] if isinstance(declared[0], int) and declared[0] > 0 else 1
            given[value.name] = (first, *chosen[1:])
        try:
            found[value.name] = input_shape(value.name, declared, given)
        except PlanError:
            check_names(given, [one.name for one in inputs])  # a size for a misspelt name is what is wrong then
            raise
    return found


def _example_shapes(names: Sequence[str], example: Example | None) -> dict[str, tuple[int, ...]]:
    if example is None:
        return {}
    if isinstance(example, Mapping):
        pairs = example.items() if set(example) == set(names) else zip(names, example.values(), strict=False)
        return {name: tuple(tensor.shape) for name, tensor in pairs}
    tensors = example if isinstance(example, tuple) else (example,)
    return {name: tuple(tensor.shape) for name, tensor in zip(names, tensors, strict=False)}
