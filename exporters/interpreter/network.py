"""A torch module that computes what an ONNX graph does, with its weights as parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from exporters.errors import UnsupportedModelError
from exporters.interpreter.batch import follow_batch
from exporters.interpreter.computed import is_computed
from exporters.interpreter.constants import constant, plain, tensor_of, type_name
from exporters.interpreter.dtypes import NotComputed, torch_dtype
from exporters.interpreter.fallback import RuntimeNode, outer_names
from exporters.interpreter.ops import OPS
from exporters.interpreter.ops.layers import linear
from exporters.interpreter.weights import find_weights

_STANDARD = ("", "ai.onnx")
_NORM = "batch_norm_"


@dataclass(frozen=True)
class GraphInput:
    """An input of a graph.

    Attributes:
        name: in the graph.
        shape: sizes; a name, or an empty one, for each that is open.
        dtype: as torch computes it.
    """

    name: str
    shape: tuple[int | str, ...] | None
    dtype: torch.dtype


@dataclass(eq=False)
class _Step:
    """One node, looked up.

    op: a name in OPS, "linear" for a product with a layer's weight, "norm" for a batch norm, or "" where ONNX Runtime
    computes the node. inputs: names of all values that it reads. norm: name of the module. done: values that nobody
    reads after it.
    """

    op: str
    label: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    runtime: RuntimeNode
    norm: str = ""
    done: list[str] = field(default_factory=list)


class _Shared:
    """A graph that copies of its network share; nothing changes it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model

    def __deepcopy__(self, memo: dict[int, Any]) -> _Shared:
        return self


class _Norm(_BatchNorm):
    """Batch norm over any number of axes."""

    def _check_input_dim(self, input: torch.Tensor) -> None:  # noqa: A002 (torch's name)
        del input


class OnnxNetwork(nn.Module):
    """Interpreter of an ONNX graph, in torch and with gradients.

    Every weight of a Conv, Gemm or MatMul is a parameter, called as the initializer, and the very argument of torch's
    convolution or linear: capture at the call finds each layer. Batch norms are modules. A node that no function of
    `exporters.interpreter.ops` computes goes to ONNX Runtime, and gradients end there.

    Args:
        model: of `exporters.prepare`; not changed.

    Attributes:
        inputs: of the graph.
        one_at_a_time: samples of a batch are run one after another, since the graph fixes its batch to one.

    Raises UnsupportedModelError for types that torch does not have.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__()
        self._source = _Shared(model)
        graph = model.graph
        self.one_at_a_time = False
        self._fixed = follow_batch(model)
        arrays = {tensor.name: tensor for tensor in graph.initializer}
        self._weights = find_weights(graph)
        self._norms: dict[str, tuple[str, ...]] = {}
        self._constants: dict[str, torch.Tensor] = {}
        for name, weight in self._weights.items():
            tensor = tensor_of(arrays[name])
            self._place(weight.path, nn.Parameter(tensor.T.contiguous() if weight.transposed else tensor))
        self._steps = [self._step(node, model, arrays, number) for number, node in enumerate(graph.node)]
        self._free_early([value.name for value in graph.output])
        used = {name for step in self._steps for name in step.inputs} | {value.name for value in graph.output}
        for name, tensor in arrays.items():
            if name in used and name not in self._weights:
                self._constants[name] = self._fixed[name] if name in self._fixed else constant(tensor)
        self.inputs = tuple(_input(value) for value in graph.input if value.name not in arrays)
        self._outputs = tuple(value.name for value in graph.output)
        self.eval()

    @property
    def runtime_nodes(self) -> tuple[str, ...]:
        """Nodes that ONNX Runtime computes, with their operators; gradients end there."""
        return tuple(step.label for step in self._steps if not step.op)

    @property
    def layer_weights(self) -> tuple[str, ...]:
        """Names of the parameters that are weights of layers, in the order of the graph."""
        order = {name: None for step in self._steps for name in step.inputs[1:2] if name in self._weights}
        paths = [self._weights[name].path for name in order]
        return tuple(path for path in paths if self.get_parameter(path).ndim > 1)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs, in their order."""
        return tuple(entry.name for entry in self.inputs)

    def forward(self, *given: torch.Tensor, **named: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Outputs of the graph, one or a tuple; inputs by position or by name."""
        values = dict(zip((entry.name for entry in self.inputs), given, strict=False)) | named
        count = next((len(value) for value in values.values() if value.ndim), 1)
        if self.one_at_a_time and count > 1:
            each = [self._run({name: value[i : i + 1] for name, value in values.items()}) for i in range(count)]
            found = tuple(torch.cat(parts) for parts in zip(*each, strict=True))
        else:
            found = self._run(values)
        return found[0] if len(found) == 1 else found

    def settle(self, *samples: torch.Tensor) -> None:
        """Find whether the graph can run several samples at once, by running two together and one alone.

        Args:
            samples: at least one sample for each input, the samples first.

        Raises UnsupportedModelError when it cannot run one sample.
        """
        self.one_at_a_time = False
        with torch.no_grad():
            try:
                alone = [self._tuple(self(*(one[place] for one in samples))) for place in (slice(1), slice(-1, None))]
            except Exception as error:  # whatever a graph of another batch, or of other sizes, runs into
                shapes = " and ".join(str(tuple(one.shape[1:])) for one in samples)
                reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
                raise UnsupportedModelError(
                    f"The graph cannot run one sample of shape {shapes} ({reason}). "
                    "Give it the samples that it was trained on; a batch that it fixes has to be 1."
                ) from error
            try:
                both = self._tuple(self(*(torch.cat((one[:1], one[-1:])) for one in samples)))
            except Exception:  # whatever a graph of another batch runs into
                self.one_at_a_time = True
                return
        # Either may be the one that shows in the other, such as by the largest number of both.
        expected = [torch.cat(pair) for pair in zip(*alone, strict=True)]
        self.one_at_a_time = not all(
            two.shape == one.shape and float((two - one).abs().max()) <= 1e-3 * max(1e-6, float(one.abs().max()))
            for one, two in zip(expected, both, strict=True)
            if one.numel()
        )

    def to_onnx(self) -> onnx.ModelProto:
        """The graph with the parameters' and batch norms' values of now; all else of it as it was given."""
        model = onnx.ModelProto()
        model.CopyFrom(self._source.model)
        changed: dict[str, torch.Tensor] = {}
        for name, weight in self._weights.items():
            parameter = self.get_parameter(weight.path).detach()
            changed[name] = parameter.T if weight.transposed else parameter
        for module, names in self._norms.items():
            norm = self.get_submodule(module)
            assert isinstance(norm, _BatchNorm)  # noqa: S101 (_norm made it)
            parts = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
            changed |= {name: part.detach() for name, part in zip(names, parts, strict=True) if part is not None}
        for tensor in model.graph.initializer:
            if tensor.name in changed:
                array = changed[tensor.name].cpu().contiguous().numpy()
                tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        return model

    def _apply(self, fn: Any, recurse: bool = True) -> OnnxNetwork:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._constants = {name: fn(tensor) for name, tensor in self._constants.items()}
        return self

    @staticmethod
    def _tuple(found: Any) -> tuple[torch.Tensor, ...]:
        return (found,) if isinstance(found, torch.Tensor) else tuple(found)

    def _run(self, given: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        values: dict[str, torch.Tensor] = {}
        values |= {name: self.get_parameter(weight.path) for name, weight in self._weights.items()}
        values |= self._constants
        values |= given
        for step in self._steps:
            found = self._compute(step, values)
            values.update(zip(step.outputs, found, strict=False))
            for name in step.done:
                values.pop(name, None)
        return tuple(values[name] for name in self._outputs)

    def _compute(self, step: _Step, values: dict[str, Any]) -> tuple[torch.Tensor, ...]:
        if step.norm:
            return (self.get_submodule(step.norm)(values[step.inputs[0]]),)
        if step.op:
            function: Callable[..., Any] = linear if step.op == "linear" else OPS[step.op]
            try:
                found = function(*(values[name] if name else None for name in step.inputs), **step.attributes)
            except NotComputed:
                step.op, step.inputs = "", outer_names(step.runtime.node)
            else:
                return found if isinstance(found, tuple) else (found,)
        outputs = iter(step.runtime({name: values[name] for name in step.inputs}))
        return tuple(next(outputs) if name else torch.empty(0) for name in step.outputs)

    def _place(self, path: str, parameter: nn.Parameter) -> None:
        owner: nn.Module = self
        *above, last = path.split(".")
        for part in above:
            if part not in owner._modules:
                owner.add_module(part, nn.Module())
            owner = owner.get_submodule(part)
        owner.register_parameter(last, parameter)

    def _step(
        self, node: onnx.NodeProto, model: onnx.ModelProto, arrays: dict[str, onnx.TensorProto], number: int
    ) -> _Step:
        inputs, outputs = tuple(node.input), tuple(node.output)
        while inputs and not inputs[-1]:
            inputs = inputs[:-1]
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        attributes = {name: plain(value) for name, value in attributes.items()}
        runtime = RuntimeNode(node, list(model.opset_import), list(model.functions), model.ir_version)
        label = f"{node.name or node.op_type} ({node.op_type})"
        if node.domain not in _STANDARD or node.op_type not in OPS or not is_computed(node, inputs):
            return _Step("", label, outer_names(node), outputs, {}, runtime)
        if node.op_type in ("Gemm", "MatMul") and inputs[1] in self._weights:
            attributes.pop("transB", None)
            return _Step("linear", label, inputs, outputs, attributes, runtime)
        if node.op_type == "BatchNormalization" and set(inputs[1:]) <= set(arrays):
            norm = self._norm(node, arrays, number)
            return _Step("norm", label, inputs[:1], outputs[:1], {}, runtime, norm)
        return _Step(node.op_type, label, inputs, outputs, attributes, runtime)

    def _norm(self, node: onnx.NodeProto, arrays: dict[str, onnx.TensorProto], number: int) -> str:
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        parts = [tensor_of(arrays[name]) for name in node.input[1:]]
        norm = _Norm(len(parts[0]), eps=attributes.get("epsilon", 1e-5))
        with torch.no_grad():
            for own, given in zip((norm.weight, norm.bias, norm.running_mean, norm.running_var), parts, strict=True):
                assert own is not None  # noqa: S101 (batch norm has all four by default)
                own.copy_(given)
        name = f"{_NORM}{number}"
        self.add_module(name, norm)
        self._norms[name] = tuple(node.input[1:])
        return name

    def _free_early(self, kept: Sequence[str]) -> None:
        last = {name: step for step in self._steps for name in step.inputs if name}
        made = {name for step in self._steps for name in step.outputs}
        for name, step in last.items():
            if name in made and name not in kept:
                step.done.append(name)


def _input(value: onnx.ValueInfoProto) -> GraphInput:
    kind = value.type.tensor_type
    shape = None
    if kind.HasField("shape"):
        shape = tuple(dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in kind.shape.dim)
    try:
        return GraphInput(value.name, shape, torch_dtype(kind.elem_type))
    except NotComputed as error:
        kind_name = type_name(kind.elem_type) if kind.elem_type else "no tensor"
        raise UnsupportedModelError(
            f"The input {value.name} is of type {kind_name}, which torch does not compute with."
        ) from error
