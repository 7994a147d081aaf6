"""Selection of a network's prunable weights."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from chita_edge.network.errors import CalibrationError

if TYPE_CHECKING:
    from collections.abc import Sequence

_MATRIX = 2


def pointwise_and_linear(model: nn.Module) -> tuple[str, ...]:
    """Names of the 1×1 convolutions' and linear layers' weights, in the order of the network.

    Stem and depthwise filters are left out: they hold 3 % of a MobileNet's weights and most of what pruning can break.
    """
    return tuple(
        f"{name}.weight"
        for name, module in model.named_modules()
        if _is_linear(module) or (isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.groups == 1)
    )


def convolutions_and_linear(model: nn.Module) -> tuple[str, ...]:
    """Names of all convolutions' and linear layers' weights, in the order of the network; depthwise ones stay out."""
    return tuple(
        f"{name}.weight"
        for name, module in model.named_modules()
        if _is_linear(module) or (isinstance(module, nn.Conv1d | nn.Conv2d) and module.groups == 1)
    )


def without_shortcuts(model: nn.Module) -> tuple[str, ...]:
    """As `convolutions_and_linear`, without the convolutions of a residual network's shortcuts (``downsample``)."""
    return tuple(name for name in convolutions_and_linear(model) if "downsample" not in name.split("."))


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) and not isinstance(module, NonDynamicallyQuantizableLinear)


def layer_weights(model: nn.Module, names: Sequence[str]) -> tuple[str, ...]:
    """Names of weights as ``named_parameters`` has them, each once: of a shared weight the first of its names.

    Raises:
        CalibrationError: a name is no parameter's, is that of a vector, or of a weight that is computed from others.
    """
    canonical = {id(parameter): name for name, parameter in model.named_parameters()}
    found: dict[str, None] = {}
    for given in names:
        name = given.removeprefix("_orig_mod.")  # of a network that was compiled
        try:
            parameter = model.get_parameter(name)
        except AttributeError:
            raise _no_parameter(model, name) from None
        if parameter.ndim < _MATRIX:
            owner = model.get_submodule(name.rpartition(".")[0])
            raise CalibrationError(
                f"{name} of a {type(owner).__name__} cannot be pruned: only weights of linear layers and convolutions "
                "can. Keep it dense."
            )
        found[canonical[id(parameter)]] = None
    return tuple(found)


def _no_parameter(model: nn.Module, name: str) -> CalibrationError:
    """Sentence about a name that is no parameter's."""
    owner, _, last = name.rpartition(".")
    module = dict(model.named_modules()).get(owner)
    if module is not None and hasattr(module, "parametrizations") and last in module.parametrizations:
        kinds = ", ".join(type(part).__name__.lstrip("_") for part in module.parametrizations[last])
        return CalibrationError(
            f"{name} is computed from other parameters ({kinds}), so a zero in it would not stay. Call "
            f"torch.nn.utils.parametrize.remove_parametrizations on {owner} first, or keep it dense."
        )
    if module is not None and any(f"{last}_{part}" in module._parameters for part in ("orig", "g", "v")):
        return CalibrationError(
            f"{name} is computed from other parameters before each call ({last}_orig, or {last}_g and {last}_v), so a "
            f"zero in it would not stay. Call torch.nn.utils.prune.remove or remove_weight_norm on {owner} first, or "
            "keep it dense."
        )
    alike = get_close_matches(name, [known for known, _ in model.named_parameters()], 1)
    hint = f" Did you mean {alike[0]}?" if alike else ""
    return CalibrationError(f"The network has no layer with a weight {name}.{hint}")
