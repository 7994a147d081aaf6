"""Refuse networks and images from which no finite gradient can come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from chita_edge.calibration.errors import CalibrationError, NonFiniteCalibrationError

if TYPE_CHECKING:
    from torch import nn


def check_weights(model: nn.Module) -> None:
    """Refuse NaN and infinity in parameters and buffers.

    Raises:
        NonFiniteCalibrationError: the message names the tensor and where in it the first such value is.

    """
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            where = (~torch.isfinite(tensor.detach())).nonzero()[0].tolist()
            raise NonFiniteCalibrationError(
                f"The network's {name} holds {float(tensor.detach()[tuple(where)])} at {where}. "
                "A network with non-finite weights cannot be pruned; load a sound checkpoint."
            )


def check_images(images: torch.Tensor, labels: torch.Tensor | None) -> None:
    """Refuse images and labels that do not fit each other, none at all, and values that are NaN or infinite.

    Raises:
        CalibrationError: wrong type or count.
        NonFiniteCalibrationError: the message names the sample.

    """
    if not images.is_floating_point() or images.ndim < 2 or not len(images):
        raise CalibrationError(
            f"Calibration needs a float tensor with at least one image, not {images.dtype} of shape "
            f"{tuple(images.shape)}."
        )
    if not bool(torch.isfinite(images.sum())):
        bad = (~torch.isfinite(images)).flatten(1).any(1).nonzero()
        if len(bad):
            raise NonFiniteCalibrationError(f"Calibration sample {int(bad[0])} holds values that are not finite.")
    if labels is not None and (labels.dtype != torch.int64 or labels.shape != (len(images),)):
        raise CalibrationError(
            f"Calibration needs one int64 label an image: {len(images)} images came with labels {labels.dtype} of "
            f"shape {tuple(labels.shape)}."
        )
