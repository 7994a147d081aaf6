"""Options of compression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chita_edge.pruning import get_pattern
from chita_edge.quantization.errors import QuantizationOptionError
from chita_edge.quantization.ranges import RANGES

_LEAST_BITS, _MOST_BITS = 2, 8


@dataclass(frozen=True)
class CompressionConfig:
    """How `compress` prunes and rounds.

    Attributes:
        sparsity: share of zeros over the prunable layers, 0 for none; with a budget in multiplications, the share of
            all the network's multiplications that goes.
        budget: "weights" or "multiplications".
        structure: a name of `chita_edge.pruning.PATTERNS`.
        dtype: "int8" for weights and activations, "float32" to prune and refit only.
        weight_bits: of the weights, 2 to 8.
        mean_bits: what the bits of the prunable layers' weights are on average at most, where those that need more than
            ``weight_bits`` keep eight, see `share_bits`; all have ``weight_bits`` when None.
        weight_rounding: "nearest", "gram" (`round_with_gram`), or "auto": to nearest at 8 bits.
        activation_range: a name of `RANGES`.
        equalise: rescale channels first.
        search: look for a better support in each layer; otherwise that of the largest weights stays.
        ridge: pull of the refit towards the dense weights, in units of the mean squared input; a tenth of the columns a
            position is added.
        activation_rounds: refits of a layer with the activation behind it in mind.
        curvature_images: images that the shares of the layers are found on.
        rows: about so many positions of a layer's inputs are looked at.
        seed: of positions and labels.
    """

    sparsity: float = 0.75
    budget: Literal["weights", "multiplications"] = "weights"
    structure: str = "1x4"
    dtype: Literal["int8", "float32"] = "int8"
    weight_bits: int = 8
    mean_bits: float | None = None
    weight_rounding: Literal["auto", "nearest", "gram"] = "auto"
    activation_range: str = "mse"
    equalise: bool = True
    search: bool = True
    ridge: float = 1e-2
    activation_rounds: int = 6
    curvature_images: int = 200
    rows: int = 1 << 15
    seed: int = 0

    def __post_init__(self) -> None:
        get_pattern(self.structure)
        if not 0 <= self.sparsity < 1:
            raise QuantizationOptionError(
                f"A sparsity of {self.sparsity} is outside [0, 1): it is the share of weights set to zero."
            )
        if not _LEAST_BITS <= self.weight_bits <= _MOST_BITS:
            raise QuantizationOptionError(f"Weights of {self.weight_bits} bits are not possible; 2 to 8 are.")
        if self.mean_bits is not None and not self.weight_bits <= self.mean_bits <= _MOST_BITS:
            raise QuantizationOptionError(
                f"Weights of {self.weight_bits} to {_MOST_BITS} bits cannot have {self.mean_bits:g} on average. Take a "
                "number between these, or fewer weight_bits."
            )
        if self.activation_range not in RANGES:
            raise QuantizationOptionError(
                f"There is no activation range {self.activation_range!r}; there are: {', '.join(RANGES)}."
            )
        if self.dtype not in ("int8", "float32"):
            raise QuantizationOptionError(f"There is no dtype {self.dtype!r} of compression; there are int8, float32.")
        if self.budget not in ("weights", "multiplications"):
            raise QuantizationOptionError(
                f"There is no budget in {self.budget!r}; there are: weights, multiplications."
            )
        if self.weight_rounding not in ("auto", "nearest", "gram"):
            raise QuantizationOptionError(
                f"There is no rounding {self.weight_rounding!r}; there are: auto, nearest, gram."
            )
        if self.rows < 1 or self.curvature_images < 1 or self.activation_rounds < 0 or not self.ridge >= 0:
            raise QuantizationOptionError(
                "rows and curvature_images are at least 1, the ridge and activation_rounds at least 0."
            )

    def rounds_with_gram(self, bits: int) -> bool:
        """Whether weights of so many bits are rounded with the Gram matrix."""
        return self.weight_rounding == "gram" or (self.weight_rounding == "auto" and bits < _MOST_BITS)
