"""Losses of each sample of a batch, and the sentences about labels that do not fit."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from chita_edge.network.batch import output_tensors
from chita_edge.network.errors import CalibrationError

_IGNORED = -100  # what torch's cross-entropy leaves out of dense labels
_WITHOUT = "take away the labels: the default needs none"


def cross_entropy(logits: Any, labels: torch.Tensor) -> torch.Tensor:
    """One value a sample: −log softmax(logits)[label], averaged over the positions of a map.

    Args:
        logits: (n, classes) or (n, classes, …).
        labels: int64 (n,) or (n, …); −100 in a map stands for no label.

    Raises:
        CalibrationError: they do not fit each other.
    """
    (output,) = output_tensors(logits, len(labels))
    if output.ndim == 1 or labels.shape != (len(output), *output.shape[2:]):
        raise CalibrationError(
            f"The network answers with shape {tuple(output.shape)}, for which labels are of shape "
            f"{(len(output), *output.shape[2:])}, not {tuple(labels.shape)}. Give such labels, or {_WITHOUT}."
        )
    if labels.is_floating_point():
        raise CalibrationError(f"Labels of classes are whole numbers, not {labels.dtype}.")
    counted = labels != _IGNORED if labels.ndim > 1 else torch.ones_like(labels, dtype=torch.bool)
    check_range(labels[counted], output.shape[1])
    values = functional.cross_entropy(output, labels, reduction="none", ignore_index=_IGNORED)
    return values if values.ndim == 1 else values.flatten(1).sum(1) / counted.flatten(1).sum(1).clamp_min(1)


def binary_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """One value a sample: −log of the probability of the labels, 0 or 1 each, averaged over a sample's answers.

    Raises:
        CalibrationError: they do not fit each other.
    """
    if labels.numel() != logits.numel():
        raise CalibrationError(
            f"The network answers with shape {tuple(logits.shape)} and the labels are of shape {tuple(labels.shape)}: "
            "one answer needs one label."
        )
    if not labels.is_floating_point():
        check_range(labels, 2)
    targets = labels.reshape(logits.shape).to(logits.dtype)
    return (
        functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").reshape(len(logits), -1).mean(1)
    )


def squared_error(output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """One value a sample: the mean of the squared differences.

    Raises:
        CalibrationError: they do not fit each other.
    """
    if targets.numel() != output.numel():
        raise CalibrationError(
            f"The network answers with shape {tuple(output.shape)} and the floating targets are of shape "
            f"{tuple(targets.shape)}; they have to be as many."
        )
    return (output - targets.reshape(output.shape).to(output.dtype)).square().reshape(len(output), -1).mean(1)


def check_range(labels: torch.Tensor, classes: int) -> None:
    """Refuse labels that are no class; CalibrationError."""
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        wrong = labels[(labels < 0) | (labels >= classes)][0]
        raise CalibrationError(
            f"A calibration label is {int(wrong)}; this network's classes are 0 to {classes - 1}. Number the "
            "classes from 0."
        )
