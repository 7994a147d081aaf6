"""Rewrites of a network's modules into others that compute the same with weights that can be pruned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize, remove_spectral_norm, remove_weight_norm
from torch.nn.utils import prune as torch_prune

if TYPE_CHECKING:
    from collections.abc import Callable


class DepthToSpace(nn.Module):
    """A transposed convolution whose kernel equals its stride, as a 1×1 convolution and a depth-to-space.

    Output pixel (h·s + i, w·s + j) of channel o reads one input pixel alone, y = Σ_c W[c, o, i, j] x[c, h, w] + b[o].
    The 1×1 convolution has the output channels o·s² + i·s + j, which ONNX's DepthToSpace (CRD) spreads.

    Args:
        transposed: with a square kernel that equals its stride, no padding and no groups.
    """

    def __init__(self, transposed: nn.ConvTranspose2d) -> None:
        super().__init__()
        self.side = int(transposed.kernel_size[0])
        weight = transposed.weight.detach()  # (in, out, side, side)
        self.weight = nn.Parameter(weight.permute(1, 2, 3, 0).reshape(-1, len(weight), 1, 1).clone())
        self.bias = None if transposed.bias is None else nn.Parameter(transposed.bias.detach().clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, out, height · side, width · side) of x (n, in, height, width)."""
        bias = None if self.bias is None else self.bias.repeat_interleave(self.side**2)
        return functional.pixel_shuffle(functional.conv2d(x, self.weight, bias), self.side)

    def transposed(self) -> nn.ConvTranspose2d:
        """The transposed convolution of the same weights."""
        rows, channels = self.weight.shape[:2]
        outputs = rows // self.side**2
        made = nn.ConvTranspose2d(channels, outputs, self.side, self.side, bias=self.bias is not None)
        with torch.no_grad():
            square = self.weight.view(outputs, self.side, self.side, channels)
            made.weight.copy_(square.permute(3, 0, 1, 2))
            if self.bias is not None and made.bias is not None:
                made.bias.copy_(self.bias)
        return made.to(self.weight).train(self.training)


def rewritten(model: nn.Module) -> tuple[str, ...]:
    """Rewrite a network in place: fold what computes weights, spread transposed convolutions of kernel = stride.

    Weight norm, spectral norm and other parametrizations of a weight, and masks of `torch.nn.utils.prune`, are replaced
    by the weight that they make in evaluation mode.

    Returns:
        One phrase for each module that was rewritten.
    """
    told = []
    for name, module in list(model.named_modules()):
        told += [f"{kind} of {name or 'the network'} folded" for kind in _folded(module)]
    for name, module in list(model.named_modules()):
        if type(module) is nn.ConvTranspose2d and _spreads(module):
            _replace(model, name, DepthToSpace(module).train(module.training))
            told.append(f"{name} as a 1×1 convolution and a depth-to-space")
    return tuple(told)


def restored(model: nn.Module) -> None:
    """Put transposed convolutions back in place of what `rewritten` made of them, in place."""
    for name, module in list(model.named_modules()):
        if isinstance(module, DepthToSpace):
            _replace(model, name, module.transposed())


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    owner, _, last = name.rpartition(".")
    setattr(model.get_submodule(owner), last, module)


def _spreads(module: nn.ConvTranspose2d) -> bool:
    kernel, one = module.kernel_size, (1, 1)
    return (
        kernel == module.stride
        and kernel[0] == kernel[1] > 1
        and not any((*module.padding, *module.output_padding))
        and (module.groups, module.dilation) == (1, one)
        and not module._forward_hooks
        and not module._forward_pre_hooks
    )


def _folded(module: nn.Module) -> list[str]:
    """Fold what computes a module's tensors before each call; the kinds of it."""
    kinds = []
    if parametrize.is_parametrized(module):
        for name in list(module.parametrizations):  # type: ignore[arg-type]
            parts = module.parametrizations[name]  # type: ignore[index]
            kinds.append(", ".join(type(part).__name__.lstrip("_") for part in parts))
            parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    removers: tuple[tuple[str, Callable[[Any, str], Any]], ...] = (
        ("WeightNorm", remove_weight_norm),
        ("SpectralNorm", remove_spectral_norm),
    )
    for hook in list(module._forward_pre_hooks.values()):
        kind, name = type(hook).__name__, getattr(hook, "name", None)
        remover = dict(removers).get(kind)
        if remover is not None and isinstance(name, str):
            remover(module, name)
            for hooks in (module._load_state_dict_pre_hooks, module._state_dict_hooks):  # torch leaves wrapped ones
                for key in [key for key, one in hooks.items() if kind in type(getattr(one, "hook", one)).__name__]:
                    del hooks[key]
            kinds.append(kind)
        elif isinstance(hook, torch_prune.BasePruningMethod):
            torch_prune.remove(module, hook._tensor_name)  # type: ignore[no-untyped-call]
            kinds.append("the mask")
    return kinds
