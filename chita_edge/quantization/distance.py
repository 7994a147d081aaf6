"""Distance between two networks' answers that does not depend on how sure of them either is."""

from __future__ import annotations

import torch

_HALVINGS = 40
_MATRIX = 2


def tempered_divergence(answers: torch.Tensor, dense: torch.Tensor) -> float:
    """Mean KL(dense ‖ answers) at the temperature of ``answers`` that makes it least, in nats.

    Least squares makes a network less sure, which plain KL takes for a larger distance and a refit that makes it surer
    for a smaller one, whatever becomes of the order of the classes. KL is convex in β = 1 / T, so that the best β is
    where its derivative, E Σ_c (softmax(βz)_c − p_c) z_c, changes sign.

    Args:
        answers: logits (n, classes) of the network in question; other shapes are compared by mean squares, relative to
            the dense ones' variance.
        dense: those of the dense network.
    """
    if answers.dim() != _MATRIX or answers.shape[1] < _MATRIX:
        return float((answers - dense).square().mean() / dense.var().clamp_min(1e-30))
    z = answers.double()
    z = z - z.mean(1, keepdim=True)
    log_wanted = torch.log_softmax(dense.double(), 1)
    wanted = log_wanted.exp()
    low, high = -12.0, 12.0  # of log₂ β
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        slope = ((torch.softmax(z * 2.0**middle, 1) - wanted) * z).sum(1).mean()
        low, high = (low, middle) if slope > 0 else (middle, high)
    found = torch.log_softmax(z * 2.0**low, 1)
    return float((wanted * (log_wanted - found)).sum(1).mean())
