"""Kullback–Leibler divergence at the temperature of a network's answers that makes it least."""

from __future__ import annotations

import torch

_HALVINGS = 40


def tempered_kl(logits: torch.Tensor, reference: torch.Tensor) -> float:
    """Mean KL(reference ‖ logits / T) in nats, at the T that makes it least, over rows of logits (n, classes).

    A pruned or rounded network is less sure of its answers than the dense one, which plain KL takes for a larger
    distance, and a step that makes it surer for a smaller one, whatever becomes of the order of the classes. KL is
    convex in β = 1 / T, so that the best β is where its derivative, E Σ_c (softmax(βz)_c − p_c) z_c, changes sign.

    Args:
        logits: of the network in question.
        reference: the dense network's, for the same samples.
    """
    z = logits.double()
    z = z - z.mean(1, keepdim=True)
    log_wanted = torch.log_softmax(reference.double(), 1)
    wanted = log_wanted.exp()
    low, high = -12.0, 12.0  # of log₂ β
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        slope = ((torch.softmax(z * 2.0**middle, 1) - wanted) * z).sum(1).mean()
        low, high = (low, middle) if slope > 0 else (middle, high)
    found = torch.log_softmax(z * 2.0**low, 1)
    return float((wanted * (log_wanted - found)).sum(1).mean())
