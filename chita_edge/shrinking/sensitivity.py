"""Sensitivity of each sample's loss to the length of each channel: the pruning quadratic restricted to whole channels.

Let m scale all weights of a channel's group together, from 1 (as they are) towards 0 (gone), and let a_g = A w̄_g be the
directional derivatives of the n samples' losses, with w̄_g the group's weights. On this subspace the quadratic of
`chita_edge.pruning.problem` is

    ½‖Σ_g (m_g − 1) a_g‖² + (nλ/2) Σ_g ‖w̄_g‖² (m_g − 1)²,

again a `Problem`, with one weight ‖w̄_g‖ a channel and a_g / ‖w̄_g‖ for its gradients; so every solver of weights chooses
channels as well. The a_g are read off a forward and a backward pass with a factor at each place; A is never formed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from chita_edge.network.batch import check_images, check_weights, copy_network, run_batch
from chita_edge.network.errors import CalibrationError, NonFiniteCalibrationError
from chita_edge.network.in_place import InPlaceGuard
from chita_edge.network.objective import cross_entropy
from chita_edge.network.sample_axis import SampleAxis, sample_axes
from chita_edge.network.targets import layer_weights
from chita_edge.progress import Progress, silent
from chita_edge.pruning import Layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from chita_edge.network.capture import Loss
    from chita_edge.shrinking.channel_group import ChannelGroup, Member

Side = Literal["filter", "channel"]


def channel_layers(
    model: nn.Module,
    groups: Sequence[ChannelGroup],
    images: torch.Tensor,
    labels: torch.Tensor,
    side: Side,
    *,
    batch_size: int = 25,
    samples_per_row: int = 1,
    loss: Loss = cross_entropy,
    progress: Progress = silent,
) -> tuple[Layer, ...]:
    """One layer of a `Problem` for each group: lengths (size, 1), and their gradients (size, n / samples_per_row).

    Args:
        model: any network; not changed.
        groups: of the network.
        images: float32 (n, …).
        labels: int64 (n,).
        side: which weights stand for a channel: the filters that write it, with their batch norms' scale and shift, or
            the columns of the layers that read it.
        batch_size: images a pass.
        samples_per_row: average so many neighbouring samples.
        loss: ``loss(outputs, labels)`` with one value a sample.
        progress: called with stage "gradients".

    Raises:
        CalibrationError: an image or weight is not finite, or labels and images do not fit.
    """
    check_weights(model)
    check_images(images, labels)
    network = copy_network(model).eval().requires_grad_(False)
    for module in network.modules():
        if hasattr(module, "inplace"):
            module.inplace = cast("Any", False)  # the factors' gradients need what the layers before them gave
    _check_samples_first(network, [member.layer for group in groups for member in _of(group, side)], images)
    columns = {group.name: torch.empty(group.size, len(images)) for group in groups}
    factors: dict[str, torch.Tensor] = {}
    guard = InPlaceGuard()
    hooks = [_attach(network, group, member, factors, side) for group in groups for member in _of(group, side)]
    progress("gradients", 0, len(images))
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        factors.update({group.name: torch.ones(len(batch), group.size, requires_grad=True) for group in groups})

        def differentiate(start: int = start, batch: torch.Tensor = batch) -> tuple[torch.Tensor, ...]:
            with torch.enable_grad():
                value = loss(run_batch(network, batch), labels[start : start + batch_size]).sum()
            if not value.requires_grad:
                raise CalibrationError(
                    f"The outputs of {type(model).__name__} have no gradient (no_grad, inference_mode or detach in its "
                    "forward), so its channels cannot be compared."
                )
            return torch.autograd.grad(value, list(factors.values()), materialize_grads=True, allow_unused=True)

        for group, gradient in zip(groups, guard.run(differentiate), strict=True):
            columns[group.name][:, start : start + len(batch)] = gradient.T
        progress("gradients", start + len(batch), len(images))
    for hook in hooks:
        hook.remove()
    return tuple(
        _layer(group.name, channel_lengths(network, group, side), columns[group.name], samples_per_row)
        for group in groups
    )


def _check_samples_first(model: nn.Module, layers: Sequence[str], images: torch.Tensor) -> None:
    """Refuse networks whose samples touch each other, or are not along the first dimension of a layer's input."""
    if not layers:
        return
    axes = sample_axes(model, layer_weights(model, [f"{layer}.weight" for layer in layers]), images)
    if axes is None or any(axis != SampleAxis(0, 1) for axis in axes):
        raise CalibrationError(
            f"The layers of {type(model).__name__} are given the samples of a batch along another dimension than the "
            "first, or samples touch each other (batch norm without running statistics), so that channels cannot be "
            "compared by each sample's loss. Choose another structure."
        )


def channel_lengths(model: nn.Module, group: ChannelGroup, side: Side) -> torch.Tensor:
    """‖w̄_g‖ of each channel, (size,): norm of its filters, batch norm folded in, or of the columns that read it."""
    squares = torch.zeros(group.size)
    for member in _of(group, side):
        weight = cast("torch.Tensor", model.get_submodule(member.layer).weight).detach()
        norm = None if member.norm is None else model.get_submodule(member.norm)
        if isinstance(norm, _BatchNorm) and norm.running_var is not None:
            scale = torch.rsqrt(norm.running_var + norm.eps)
            if norm.affine:
                scale = scale * norm.weight.detach()
            weight = weight * scale.view(-1, *[1] * (weight.ndim - 1))
        each = weight.flatten(1) if side == "filter" else weight.transpose(0, 1).flatten(1)
        squares.index_add_(0, member.of, each.square().sum(1)[member.channels])
    return squares.sqrt()


def _of(group: ChannelGroup, side: Side) -> Sequence[Member]:
    return tuple(group.having("writes" if side == "filter" else "reads"))


def _layer(name: str, lengths: torch.Tensor, columns: torch.Tensor, samples_per_row: int) -> Layer:
    if not bool(torch.isfinite(columns).all()):
        raise NonFiniteCalibrationError(f"The gradients of the channels of {name} are not finite.")
    rows = columns.view(len(columns), -1, samples_per_row).mean(2)
    return Layer(name, lengths[:, None], rows / lengths.clamp_min(1e-30)[:, None] * (lengths > 0)[:, None])


def _attach(model: nn.Module, group: ChannelGroup, member: Member, factors: dict[str, torch.Tensor], side: Side) -> Any:
    """Multiply a member's channels by the group's factors: behind a writer and its batch norm, or before a reader."""

    def scaled(values: torch.Tensor) -> torch.Tensor:
        each, image = factors[group.name][:, member.of], values.ndim == 4
        full = values.new_ones(len(values), values.shape[1 if image else -1])
        full = full.index_copy(1, member.channels, each)
        return values * (full[:, :, None, None] if image else full.view(len(full), *[1] * (values.ndim - 2), -1))

    if side == "channel":
        reader = model.get_submodule(member.layer)
        return reader.register_forward_pre_hook(
            lambda _, given, options: (
                ((scaled(given[0]), *given[1:]), options)
                if given
                else (given, {**options, "input": scaled(options["input"])})
            ),
            with_kwargs=True,
        )
    writer = model.get_submodule(member.norm or member.layer)
    return writer.register_forward_hook(lambda _, __, output: scaled(output))
