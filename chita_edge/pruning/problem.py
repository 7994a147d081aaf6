"""The quadratic model of the loss that every second-order solver minimises.

Around the dense weights w̄, with A (n × p) the per-sample gradients and n⁻¹AᵀA the empirical Fisher for the Hessian
(Benbaki et al. 2023, arXiv 2302.14623, section 2), n times the change of the loss is, with d = w − w̄,

    Q(w) = ½‖A d‖² + φ·1ᵀA d + (nλ/2)‖d‖²

where φ = 1 keeps the first-order term (1ᵀA is n times the mean gradient) and φ = 0 drops it. Up to the constant nφ²/2
this is the ridge regression ½‖y − A w‖² + (nλ/2)‖w − w̄‖² of y = A w̄ − φ·1 on A, and with the residual r = A d + φ·1
its gradient is Aᵀr + nλ d. The p × p Hessian is never formed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from chita_edge.pruning.columns import Columns, squared_norms, times, transposed_times
from chita_edge.pruning.errors import NonFiniteProblemError, PruningError
from chita_edge.pruning.journal import FORGETFUL, Journal
from chita_edge.pruning.quadratic import Quadratic


@dataclass(frozen=True)
class Layer:
    """The weights of one layer and their gradients.

    Attributes:
        name: what messages call it.
        weight: w̄ of this layer in its own shape, (out, in) or (out, in, kh, kw), float32.
        gradients: float32 (p_l, n), row j the n derivatives by weight j; in memory, or as `Columns` elsewhere.

    """

    name: str
    weight: torch.Tensor
    gradients: torch.Tensor | Columns


@dataclass(frozen=True)
class Problem:
    """Q(w) over the weights of several layers; vectors are flat, float32 (p,), the layers one after another.

    Attributes:
        layers: at least one; all have gradients of the same n samples.
        ridge: λ ≥ 0, added to the empirical Fisher's diagonal.
        first_order: φ, 1 to keep the first-order term, 0 to drop it.
        journal: where solvers leave the layers that they have finished.
        memory_bytes: most bytes of gradients that may be gathered at once when they are not in memory anyway.

    """

    layers: tuple[Layer, ...]
    ridge: float = 1e-3
    first_order: float = 0.0
    journal: Journal = FORGETFUL
    memory_bytes: int = 4 << 30

    def __post_init__(self) -> None:
        if not self.layers:
            raise PruningError("There is no layer to prune. Name at least one weight that may be pruned.")
        for layer in self.layers:
            if layer.gradients.shape != (layer.weight.numel(), self.samples):
                raise PruningError(
                    f"The gradients of {layer.name} have shape {tuple(layer.gradients.shape)}, not "
                    f"({layer.weight.numel()}, {self.samples})."
                )
            if not bool(torch.isfinite(layer.weight).all()):
                raise NonFiniteProblemError(f"The weights of {layer.name} are not all finite.")
        if not self.ridge >= 0:
            raise PruningError(f"The ridge is {self.ridge}; it must not be negative.")

    @property
    def samples(self) -> int:
        """N."""
        return self.layers[0].gradients.shape[1]

    @property
    def shapes(self) -> tuple[torch.Size, ...]:
        """The layers' weight shapes."""
        return tuple(layer.weight.shape for layer in self.layers)

    @property
    def damping(self) -> float:
        """nλ."""
        return self.samples * self.ridge

    @cached_property
    def dense(self) -> torch.Tensor:
        """w̄, (p,)."""
        return torch.cat([layer.weight.detach().flatten() for layer in self.layers])

    @cached_property
    def bounds(self) -> tuple[tuple[int, int], ...]:
        """First and last-plus-one index of each layer in a flat vector."""
        bounds, start = [], 0
        for layer in self.layers:
            bounds.append((start, start + layer.weight.numel()))
            start += layer.weight.numel()
        return tuple(bounds)

    def times(self, vector: torch.Tensor) -> torch.Tensor:
        """A v, (n,)."""
        product = vector.new_zeros(self.samples)
        for layer, (start, stop) in zip(self.layers, self.bounds, strict=True):
            product += times(layer.gradients, vector[start:stop])
        return product

    def transposed_times(self, vector: torch.Tensor) -> torch.Tensor:
        """Aᵀ v, (p,)."""
        return torch.cat([transposed_times(layer.gradients, vector) for layer in self.layers])

    def residual(self, weights: torch.Tensor) -> torch.Tensor:
        """R = A (w − w̄) + φ·1, (n,)."""
        return self.times(weights - self.dense) + self.first_order

    def objective(self, weights: torch.Tensor) -> float:
        """Q(w); zero at w̄ without the first-order term, never below −nφ²/2."""
        return self.objective_at(weights, self.residual(weights))

    def objective_at(self, weights: torch.Tensor, residual: torch.Tensor) -> float:
        """Q(w) when the residual at w is known already."""
        residual = residual.double()
        ridge = self.damping * float((weights - self.dense).double().square().sum())
        return 0.5 * (float(residual @ residual) - self.samples * self.first_order**2 + ridge)

    def gradient(self, weights: torch.Tensor) -> torch.Tensor:
        """∇Q(w) = Aᵀr + nλ(w − w̄), (p,)."""
        return self.transposed_times(self.residual(weights)) + self.damping * (weights - self.dense)

    def curvature(self) -> torch.Tensor:
        """The diagonal of AᵀA + nλI, (p,)."""
        return torch.cat([squared_norms(layer.gradients) for layer in self.layers]) + self.damping

    def together(self) -> torch.Tensor:
        """All of Aᵀ in memory, (p, n).

        Raises:
            PruningError: that would exceed ``memory_bytes``.
        """
        self._check_room(self.dense.numel())
        return torch.cat([layer.gradients[: layer.weight.numel()] for layer in self.layers])

    def _check_room(self, weights: int) -> None:
        """Raise when the problem does not fit into memory."""
        needed = 4 * weights * self.samples
        if needed > self.memory_bytes and not all(isinstance(layer.gradients, torch.Tensor) for layer in self.layers):
            raise PruningError(
                f"This method holds the gradients of {weights} weights in memory at once, {needed / 1e9:.1f} GB of the "
                f"{self.memory_bytes / 1e9:.1f} GB it may take. Use a method that works in blocks, such as chita_bso, "
                "fewer samples, or a larger memory budget."
            )

    def restrict(self, chosen: torch.Tensor) -> Quadratic:
        """Q as a function of the weights at the sorted flat indices ``chosen`` alone, all others being zero.

        Raises:
            PruningError: their gradients would exceed ``memory_bytes``.
        """
        self._check_room(len(chosen))
        rows = []
        for layer, (start, stop) in zip(self.layers, self.bounds, strict=True):
            first, last = torch.searchsorted(chosen, torch.tensor([start, stop]))
            rows.append(layer.gradients.index_select(0, chosen[first:last] - start))
        others = self.dense.clone()
        others[chosen] = 0
        lost = 0.5 * self.damping * float(others.double().square().sum()) - 0.5 * self.samples * self.first_order**2
        return Quadratic(torch.cat(rows), self.dense[chosen], self.first_order - self.times(others), self.damping, lost)
