"""The table that `chita-edge prune` prints."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chita_edge.deploy.weights_file import PrunedFile


def print_prune(result: PrunedFile) -> None:
    """Print the layers, the times, and the accuracy before and after, on standard output."""
    figures = result.figures
    console = Console(highlight=False, soft_wrap=True)
    table = Table(title=f"{result.model}, pruned by {figures.method}, {figures.structure}", title_justify="left")
    for heading, justify in (("weight", "left"), ("shape", "left"), ("not zero", "right"), ("sparsity", "right")):
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for layer in figures.layers:
        table.add_row(Text(layer.name), "×".join(map(str, layer.shape)), f"{layer.nnz:,}", f"{layer.sparsity:.1%}")
    console.print(table)
    for line in _remarks(result):
        console.print(Text(line))


def _remarks(result: PrunedFile) -> list[str]:
    figures, accuracy, metric = result.figures, result.accuracy, result.metric
    spent = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in figures.seconds.items())
    return [
        f"Sparsity: {figures.sparsity:.2%} of the prunable weights are zero.",
        "Objective: none, the method takes no gradients."
        if figures.objective is None
        else f"Objective: {figures.objective:.6g}, from {result.calibration_images} calibration images.",
        *(step.reason for step in figures.distillation),
        *figures.sentences(),
        f"Time: {spent}.",
        "Accuracy: not measured, the data hold no x_val and y_val."
        if accuracy is None
        else f"{metric.title} on validation samples: {metric.value(accuracy.dense)} before, "
        f"{metric.value(accuracy.pruned)} after, {metric.change(accuracy.dense, accuracy.pruned)}.",
        *result.notes,
        f"Written: {result.out}",
    ]
