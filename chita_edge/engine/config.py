"""Configuration of `chita_edge.prune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from chita_edge.engine.device import Device

Kind = Literal["classes", "binary", "values"]


def _tuples(value: Any) -> Any:
    """A file has lists where the configuration has tuples."""
    if isinstance(value, dict):
        return {name: _tuples(item) for name, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, (list, tuple)) else value


Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Patterns = Annotated[tuple[str, ...], BeforeValidator(_tuples)]


class PruneConfig(BaseModel):
    """How to prune; the table ``[prune]``. Frozen, and an unknown key is refused.

    Attributes:
        sparsity: share of the prunable weights that become zero, in [0, 1).
        sparsities: of single layers, by pattern; the last that matches a weight counts.
        only: patterns of the weights that may become zero: names of weights or modules, classes of modules, or ``re:``
            and a regular expression. All that can but the first layer's and depthwise ones when empty.
        ignore: patterns of the weights that stay dense.
        method: a name of `chita_edge.engine.methods.METHODS`.
        structure: a name of `chita_edge.pruning.PATTERNS`.
        equalise: scale the network's inner channels to one size first, its function stays; see
            `chita_edge.tuning.equalisation`. When None, for structures of blocks and N:M.
        allocation: a name of `chita_edge.pruning.ALLOCATIONS`: one budget for all layers, or one each.
        cost_sparsity: with allocation ``flops`` or ``latency``, the share of the cost that goes; that of the weights
            when None.
        cost_table: with allocation ``latency``, for each prunable weight's name (density, cost) pairs of ascending
            density; between them the cost is linear.
        rounds: of gradients and choice, at rising sparsity; the method's own number when None.
        schedule: a name of `chita_edge.pruning.schedules.SCHEDULES`: how sparsity rises over the rounds.
        ridge: λ, in units of the mean diagonal of the empirical Fisher; some methods try several multiples of it.
        first_order: keep the first-order term of the quadratic.
        curvature: what the gradients of masks are of: the "loss" (the empirical Fisher), or the network's outputs (the
            Gauss-Newton matrix of its answers, which needs no labels and has no first-order term, see
            `chita_edge.calibration.OutputCurvature`): "logits" for equal weight of every number, "outputs" for class
            logits measured by KL. When None the loss where one is given, else what the method prefers of the other two.
        loss: "cross_entropy", "bce" or "mse" of outputs and labels, or a function of one's own as
            ``package.module:function``: of (outputs, labels), one value a sample or their mean. None: no labels used.
        distance: "classes" (KL along the class axis), "binary" (Bernoulli KL) or "values" (relative squared error): how
            the outputs of two networks are compared, one for all outputs or one each; found from the outputs when None.
        fit_ridge: pull of the reconstruction towards the dense weights, in units of the mean squared input.
        fit_images: at most so many calibration images refit the layers; as many as fit into memory when None.
        gradient_samples: images whose gradients are taken in a round; None for all calibration images.
        samples_per_row: average so many neighbouring samples' gradients into one row of A.
        augment: take the gradients of shifted and flipped views, of the kind that the network knows from its training.
        gradient_views: average the gradients of so many views of an image, where views are taken; the method's own
            number when None.
        gradient_batch: images a forward pass of the gradients.
        gradient_storage: "float32", or "bfloat16" for half the disk space; of gradients in files.
        memory_budget_bytes: gradients that exceed it go to files, and no more images refit the layers than it holds.
        scratch_dir: the files' folder; the system's temporary folder when None.
        recalibration_views: passes over the calibration images for the batch-norm statistics; none when 0.
        distill_epochs: passes over the calibration images in which the pruned network learns the dense one's answers,
            without labels, its zeros fixed; none when 0.
        distill_seconds: time after which the distillation ends, if it has not ended before.
        distill_optimiser: "sgd" or "adam".
        distill_rate: learning rate at the start of the distillation; the optimiser's own when None.
        distill_temperature: by which both networks' logits are divided in its loss.
        gradual_steps: times that pruning and distillation alternate, at sparsities along `schedule`; the epochs, and
            the seconds, are shared among them.
        device: on which the network is run: "auto", "cpu", "cuda" or "mps"; where it is when None. Gradients are kept,
            and budgets and layers solved for, on the CPU.
        threads: of torch while pruning, whatever the machine has: with as many, the same seed gives the same bytes on
            the same processor.
        seed: of everything random.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sparsity: Share = 0.8
    sparsities: dict[str, Share] = {}
    only: Patterns = ()
    ignore: Patterns = ()
    method: str = "default"
    structure: str = "unstructured"
    equalise: bool | None = None
    allocation: str = "global"
    cost_sparsity: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] | None = None
    cost_table: Annotated[dict[str, tuple[tuple[float, float], ...]] | None, BeforeValidator(_tuples)] = None
    rounds: Annotated[int, Field(ge=1, le=1000)] | None = None
    schedule: str = "exponential"
    ridge: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    first_order: bool = False
    curvature: Literal["loss", "logits", "outputs"] | None = None
    loss: str | None = None
    distance: Annotated[Kind | tuple[Kind, ...] | None, BeforeValidator(_tuples)] = None
    fit_ridge: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.03
    fit_images: Annotated[int, Field(ge=1)] | None = None
    gradient_samples: Annotated[int, Field(ge=1)] | None = None
    samples_per_row: Annotated[int, Field(ge=1)] = 1
    augment: bool = True
    gradient_views: Annotated[int, Field(ge=1, le=100)] | None = None
    gradient_batch: Annotated[int, Field(ge=1)] = 25
    gradient_storage: Literal["float32", "bfloat16"] = "float32"
    memory_budget_bytes: Annotated[int, Field(ge=1 << 20)] = 4 << 30
    scratch_dir: Annotated[Path | None, Field(strict=False)] = None
    recalibration_views: Annotated[int, Field(ge=0, le=100)] = 4
    distill_epochs: Annotated[int, Field(ge=0, le=100_000)] = 0
    distill_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    distill_optimiser: Literal["sgd", "adam"] = "sgd"
    distill_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    distill_temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2.0
    gradual_steps: Annotated[int, Field(ge=1, le=1000)] = 1
    device: Device | None = None
    threads: Annotated[int, Field(ge=1, le=64)] = 2
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
