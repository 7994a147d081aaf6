"""Road of a build: int8 or float32, with which structure and sparsity, from what was asked for and what was not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chita_edge.config import ExportConfig, PruneFileConfig
from chita_edge.errors import UsageError

INT8_STRUCTURES = ("1x4", "2x4")
_BOTH = frozenset(
    {
        "sparsity", "structure", "seed", "distance", "threads", "distill_epochs", "distill_seconds", "distill_rate",
        "memory_budget_bytes", "scratch_dir",
    }
)  # fmt: skip
"""Options of pruning that int8 networks know as well; the others say how float32 networks are pruned."""


@dataclass(frozen=True)
class Road:
    """What is made of a network.

    Attributes:
        dtype: of weights and activations; float16 is of stored weights, and of arithmetic where a processor has it.
        structure: of the zeros; where candidates of several are tried, the first of them.
        sparsity: share of zeros among the prunable weights; of int8, None where candidates are tried.
        reason: why, in a sentence.
        is_asked: int8 was asked for, so that a network without an integer form is refused.
        structures: of int8 candidates, where the structure is chosen too.
    """

    dtype: Literal["int8", "float32", "float16"]
    structure: str
    sparsity: float | None
    reason: str
    is_asked: bool = False
    structures: tuple[str, ...] = ()

    @property
    def tried(self) -> tuple[str, ...]:
        """Structures of the int8 networks that may come of it."""
        return self.structures if self.structures and self.sparsity is None else (self.structure,)


def choose_road(config: PruneFileConfig, export: ExportConfig | None = None) -> Road:
    """The road that a configuration takes.

    With ``dtype`` "auto" an option that only float32 networks know (a method, an allocation, a structure without int8
    kernels, values of float16) means float32; otherwise it is int8. Without a sparsity, int8 candidates are tried.

    Raises:
        UsageError: int8 was asked for together with options of float32 networks.
    """
    prune, dtype = config.prune, config.dtype
    asked = prune.model_fields_set
    of_float = sorted(asked - _BOTH)
    structure = prune.structure if "structure" in asked else INT8_STRUCTURES[0]
    sparsity = prune.sparsity if "sparsity" in asked else None
    several = INT8_STRUCTURES if sparsity is None and "structure" not in asked else ()
    stored = "float32" if export is None else export.values
    if dtype == "int8":
        _check_int8(of_float, structure)
        return Road("int8", structure, sparsity, "int8 was asked for.", is_asked=True, structures=several)
    of_float16 = dtype == "float16" or (dtype == "auto" and stored == "float16")
    kind: Literal["float32", "float16"] = "float16" if of_float16 else "float32"

    def floating(reason: str) -> Road:
        return Road(kind, prune.structure, prune.sparsity, reason)

    if dtype != "auto":
        return floating(f"{dtype} was asked for.")
    if of_float16:
        return floating("Weights of float16 were asked for.")
    if of_float:
        return floating(
            f"float32, since {_listed(of_float)} say how float32 networks are pruned; --dtype int8 is faster."
        )
    if structure not in INT8_STRUCTURES:
        return floating(f"float32, since there are no int8 kernels for the structure {structure}.")
    if several:
        reason = "int8, the fastest candidate that is accurate enough."
        return Road("int8", structure, None, reason, structures=several)
    given = "the given sparsity" if sparsity is not None else "the given structure"
    return Road("int8", structure, sparsity, f"int8 at {given}; --dtype float32 prunes without rounding.")


def _check_int8(of_float: list[str], structure: str) -> None:
    if structure not in INT8_STRUCTURES:
        raise UsageError(
            f"There are no int8 kernels for the structure {structure!r}; take {' or '.join(INT8_STRUCTURES)}, or "
            "--dtype float32."
        )
    if of_float:
        raise UsageError(
            f"An int8 network is pruned and rounded in one pass, which knows no {_listed(of_float)}; leave it out, or "
            "take --dtype float32."
        )


def _listed(names: list[str]) -> str:
    shown = [f"--{name.replace('_', '-')}" for name in names]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
