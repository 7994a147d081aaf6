"""Layer-wise reconstruction of a network, first layer to last."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from chita_edge.calibration.activations import ImageShare, InputSums, input_sums
from chita_edge.calibration.distributed.ranks import ALONE
from chita_edge.network.batch_norms import following_batch_norms
from chita_edge.network.errors import CalibrationError
from chita_edge.network.layer import Linear
from chita_edge.network.layerwise import LayerwiseForward, call_order, largest_input
from chita_edge.progress import Progress, silent
from chita_edge.pruning.journal import FORGETFUL, Journal, Prefixed
from chita_edge.pruning.reconstruction import LayerFit, search_support, solve_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import nn

    from chita_edge.calibration.distributed.ranks import Ranks
    from chita_edge.network.inputs import Batch
    from chita_edge.network.layer import LayerForm
    from chita_edge.network.layerwise import LayerStop
    from chita_edge.pruning import Constraint

# Activations that an image holds at once, in units of the largest input of a layer: two networks' inputs, what their
# residual sums still wait for, and the next layer's.
_ACTIVATIONS = 4
_MOST_PASSES = 256


def reconstruct(
    pruned: nn.Module,
    dense: nn.Module,
    images: Batch,
    constraints: Mapping[str, Constraint],
    masks: Mapping[str, torch.Tensor],
    *,
    ridge: float = 1e-2,
    search: bool = True,
    batch_size: int = 50,
    memory_bytes: int | None = None,
    journal: Journal = FORGETFUL,
    ranks: Ranks = ALONE,
    progress: Progress = silent,
) -> dict[str, torch.Tensor]:
    """Refit each pruned layer, in the network's order, to give the dense outputs from the pruned network's inputs.

    Needs no labels. Each layer sees what the layers before it, already refitted, hand on, and so repairs part of what
    they lost. Where a batch norm follows, only deviations from the mean are fitted, and the batch norm's running mean
    is moved to make up for the difference of the means. Its variance is kept: a channel that can be
    explained in part only has less variance than before, and to scale that up again would amplify its error.

    Each group of a grouped convolution is a layer of its own, whose mask is kept. A weight that the network uses
    several times is refitted at its last use, on the inputs of all its uses; those before the last saw the weight as it
    was.

    Args:
        pruned: the network whose weights and running means are replaced, in place; in evaluation mode.
        dense: the network it came from; in evaluation mode.
        images: calibration images; the inputs of one layer, in both networks, are in memory for all of them at once.
        constraints: for each weight to refit, its set: pattern and budget of this one layer.
        masks: for each, the mask to start from.
        ridge: pull towards the dense weights, in units of the mean squared input.
        search: look for a better support under the same budget; otherwise keep the masks.
        batch_size: images a forward pass.
        memory_bytes: only so many of the images are used that their activations take about this much.
        journal: where refitted layers are kept.
        ranks: the other processes that refit the same network; each runs its share of the images through it, the
            leader refits, and all are left with the same network.
        progress: called with stage "reconstruct".

    Returns:
        The masks found, by name, in the order of ``masks``.
    """
    found: dict[str, torch.Tensor] = {}
    parameters, originals = dict(pruned.named_parameters()), dict(dense.named_parameters())
    order = call_order(dense, tuple(masks), images[:1])
    last = {name: number for number, name in enumerate(order)}
    names = tuple(last)
    norms = following_batch_norms(pruned, names, images[:1])
    if batch_size > 1 and not _runs_together(dense, names, images, order):
        # The network runs sample after sample: a pass of its own for each, and a thread, of which there are not many.
        batch_size, images = 1, images[:_MOST_PASSES]
    if memory_bytes is not None:
        images = images[: _fitting(memory_bytes, largest_input(dense, names, images[:1]), batch_size, ranks)]
    # Another memory budget is another refit.
    journal = Prefixed(journal, f"{len(images)}-images/")
    mine = ranks.share(len(images), batch_size)
    share, images = ImageShare(ranks, len(images), mine.start), images[mine]
    progress("reconstruct", 0, len(names))
    done = 0
    with (
        LayerwiseForward(pruned, names, images, batch_size) as forward,
        LayerwiseForward(dense, names, images, batch_size) as reference,
    ):
        sums: dict[str, list[InputSums]] = {}
        known: dict[str, int] = {}
        for number, name in enumerate(order):
            stop, dense_stop = _same_call(name, forward.next(), reference.next())
            norm = norms.get(name)
            if name not in known:
                _, known[name], *_ = ranks.command(0, int(journal.knows(name)))
            grouped = getattr(stop.form, "groups", 1) != 1
            if not known[name]:
                parts = zip(_groups(stop), _groups(dense_stop), strict=True)
                more = [
                    input_sums(name, form, inputs, other, centred=norm is not None, share=share)
                    for (form, inputs), (_, other) in parts
                ]
                sums[name] = [a + b for a, b in zip(sums[name], more, strict=True)] if name in sums else more
            del stop, dense_stop  # before both networks go on to the next layer's
            if number != last[name]:
                continue
            weight, start = originals[name].detach().cpu().flatten(1), masks[name].flatten(1)
            # A budget is the whole layer's: what a group has of it is not searched again.
            constraint = constraints[name] if search and not grouped else None
            refit = partial(_refit_groups, name, weight, start, constraint, ridge, sums.pop(name, []))
            refitted = ranks.hand_out(journal.remember(name, refit) if ranks.leads else None)
            with torch.no_grad():
                parameters[name].copy_(refitted["weights"].view_as(parameters[name]))
                if norm is not None and norm.running_mean is not None:
                    norm.running_mean += refitted["moved"].to(norm.running_mean)
            found[name] = refitted["mask"].view(masks[name].shape)
            done += 1
            progress("reconstruct", done, len(names))
    return {name: found[name] for name in masks}


def _runs_together(dense: nn.Module, names: tuple[str, ...], images: Batch, order: list[str]) -> bool:
    """Whether two samples go through the network in the calls of one."""
    both = images[:2] if len(images) > 1 else images[torch.zeros(2, dtype=torch.int64)]
    try:
        return call_order(dense, names, both) == order
    except CalibrationError:  # it takes one sample only
        return False


def _fitting(memory_bytes: int, input_bytes: int, batch_size: int, ranks: Ranks) -> int:
    """Number of images whose activations fit into every process's memory, at least a batch each."""
    return ranks.size * max(batch_size, memory_bytes // (_ACTIVATIONS * max(1, input_bytes)))


def _same_call(name: str, *stops: LayerStop | None) -> tuple[LayerStop, LayerStop]:
    """Corresponding call of the current weight in both networks."""
    pruned, dense = stops
    if pruned is None or dense is None or {pruned.name, dense.name} != {name}:
        raise CalibrationError(f"The network calls its layers in another order for other samples: {name} was due.")
    return pruned, dense


def _groups(stop: LayerStop) -> Iterator[tuple[LayerForm, list[torch.Tensor]]]:
    """Each group of the layer as a layer without groups, with its own inputs."""
    form = stop.form
    if isinstance(form, Linear) or form.groups == 1:
        yield form, list(stop.inputs)
        return
    width = stop.inputs[0].shape[1] // form.groups
    for group in range(form.groups):
        yield replace(form, groups=1), [piece.narrow(1, group * width, width) for piece in stop.inputs]


def _refit_groups(
    name: str,
    weight: torch.Tensor,
    start: torch.Tensor,
    constraint: Constraint | None,
    ridge: float,
    sums: list[InputSums],
) -> dict[str, torch.Tensor]:
    """What `_refit` gives, of all groups one after the other."""
    parts = zip(weight.chunk(len(sums)), start.chunk(len(sums)), sums, strict=True)
    found = [_refit(name, rows, mask, constraint, ridge, own) for rows, mask, own in parts]
    return {key: torch.cat([one[key] for one in found]) for key in found[0]}


def _refit(
    name: str,
    weight: torch.Tensor,
    start: torch.Tensor,
    constraint: Constraint | None,
    ridge: float,
    sums: InputSums,
) -> dict[str, torch.Tensor]:
    """One layer's new weights and mask, (out, K), and by how much the mean of its outputs moves, (out,)."""
    moments = sums.moments(name)
    fit = LayerFit(weight, moments.gram, moments.cross, ridge)
    if constraint is None:
        weights, support = solve_rows(fit, start), start
    else:
        weights, support = search_support(
            fit, start, lambda scores: constraint.project(scores.flatten()).view(scores.shape)
        )
    moved = weights @ moments.mean - weight @ moments.dense_mean
    return {"weights": weights, "mask": support, "moved": moved}
