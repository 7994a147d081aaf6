"""Distance between two networks' answers that does not depend on how sure of them either is."""

from __future__ import annotations

import torch

from chita_edge.network.tempered import tempered_kl

_MATRIX = 2


def tempered_divergence(answers: torch.Tensor, dense: torch.Tensor) -> float:
    """Mean KL(dense ‖ answers) at the temperature of ``answers`` that makes it least, in nats.

    Least squares makes a network less sure, which `tempered_kl` says more about.

    Args:
        answers: logits (n, classes) of the network in question; other shapes are compared by mean squares, relative to
            the dense ones' variance.
        dense: those of the dense network.
    """
    if answers.dim() != _MATRIX or answers.shape[1] < _MATRIX:
        return float((answers - dense).square().mean() / dense.var().clamp_min(1e-30))
    return tempered_kl(answers, dense)
