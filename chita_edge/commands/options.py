"""Options that several verbs share, and the configuration that they and a TOML file make up together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from chita_edge.errors import UsageError

_DISTILL_EPOCHS: Final = 20
# Where an option of the command line stands in the configuration; the others stand at its top.
_TABLES: Final[dict[str, tuple[str, ...]]] = {
    "prune": (
        "sparsity",
        "method",
        "structure",
        "allocation",
        "seed",
        "loss",
        "distance",
        "device",
        "only",
        "ignore",
        "distill_epochs",
        "distill_seconds",
        "gradual_steps",
    ),
    "quantize": ("weight_bits", "mean_bits", "max_drop"),
    "export": ("target", "values", "arithmetic"),
    "bench": ("threads", "samples"),
}

Command = TypeVar("Command", bound=Callable[..., Any])


def prune_options(command: Command) -> Command:
    """The options of pruning; defaults stand in the configuration, so that there is one of each."""
    for option in reversed(
        (
            click.option(
                "--weights", type=click.Path(path_type=Path), help="State dict of the trained network, or imagenet."
            ),
            click.option(
                "--data",
                metavar="SOURCE",
                help="Calibration samples: FILE.npz, a folder of images, or package.module:dataset, which is run.",
            ),
            click.option("--validation", metavar="SOURCE", help="Samples to judge on, likewise."),
            click.option("--loss", help="cross_entropy, bce, mse or package.module:function; by default no labels."),
            click.option("--metric", help="What to judge by, package.module:function of outputs and labels."),
            click.option("--better", help="Whether a higher (default) or lower figure of --metric is better."),
            click.option("--only", multiple=True, help="Prune what this matches: a name, a class, re:PATTERN."),
            click.option("--ignore", multiple=True, help="Keep dense what this matches, likewise."),
            click.option("--device", help="Where the network is run while pruning: auto, cpu, cuda or mps."),
            click.option("--distance", help="How outputs are compared: classes, binary or values."),
            click.option("--dtype", help="Of the network that is made: auto (default), int8, float32 or float16."),
            click.option("--weight-bits", type=int, help="Of int8's weights, 2 to 8. Default 8."),
            click.option("--mean-bits", type=float, help="Of these on average: layers that need it keep 8 bits."),
            click.option(
                "--model-arg", multiple=True, metavar="KEY=VALUE", help="Argument for MODEL's factory, as TOML."
            ),
            click.option("--input", multiple=True, metavar="NAME=SHAPE", help="Size of an open input: x=1x3x320x320."),
            click.option("--sparsity", type=float, help="Share of zeros among the prunable weights, in [0, 1)."),
            click.option("--method", help="How weights are chosen: a solver, and what follows it."),
            click.option("--structure", help="Sparsity pattern: unstructured, 2:4, 1x4, filter, …"),
            click.option(
                "--allocation",
                help="Budget over layers: global, balanced, uniform, erk, lamp, flops, latency.",
            ),
            click.option("--calibration-images", type=int, help="How many are drawn. Default 1000, or all there are."),
            click.option("--seed", type=int, help="Draws the calibration images, and decides all that is random."),
            click.option(
                "--distill", is_flag=True, help=f"Then learn the dense network's answers, {_DISTILL_EPOCHS} epochs."
            ),
            click.option("--distill-epochs", type=int, help="The same, so many passes over the calibration images."),
            click.option("--distill-seconds", type=float, help="The same, but no longer than that."),
            click.option("--gradual-steps", type=int, help="Alternate pruning and learning so often."),
            click.option(
                "--resume",
                "--state",
                type=click.Path(path_type=Path),
                help="Folder that keeps finished work; goes on from there.",
            ),
            click.option(
                "--config",
                "config_file",
                type=click.Path(path_type=Path),
                help="TOML file with tables [prune], [quantize], [export], [bench]; options given here win.",
            ),
        )
    ):
        command = option(command)
    return command


def configured(config_file: Path | None, options: Mapping[str, Any], *tables: str) -> dict[str, Any]:
    """Values for a configuration, by table: those of the file, below those of the command line and the environment.

    Args:
        config_file: TOML; may hold tables of verbs that are not asked for, so that one file serves all.
        options: of the command line, by parameter name; None where not given. ``distill`` stands for its epochs.
        tables: of the configuration that is made.

    Raises:
        UsageError: the file cannot be read, or a table is none.
    """
    from chita_edge.config import read_toml

    values = read_toml(config_file) if config_file else {}
    for table in _TABLES:
        if not isinstance(values.get(table, {}), dict):
            raise UsageError(f"{table!r} in {config_file} has to be a table: [{table}].")
        found = values.pop(table, {})
        if table in tables:
            values[table] = found
    homes = {option: table for table in tables for option in _TABLES[table]}
    for option, value in options.items():
        if value is not None and value != () and option not in ("distill", "model_arg", "input"):
            (values[homes[option]] if option in homes else values)[option] = value
    _distil(values.get("prune", {}), bool(options.get("distill")))
    _pairs(values, options)
    return values


def _pairs(values: dict[str, Any], options: Mapping[str, Any]) -> None:
    """Options KEY=VALUE, over those of the file."""
    from chita_edge.model_arguments import parse_arguments
    from device_bench.plan import parse_input_shapes

    shapes = parse_input_shapes(options.get("input") or ())
    for table, given in (
        ("model_args", parse_arguments(options.get("model_arg") or ())),
        ("inputs", {name: list(shape) for name, shape in shapes.items()}),
    ):
        if given:
            known = values.get(table, {})
            values[table] = {**known, **given} if isinstance(known, dict) else given


def _distil(prune: dict[str, Any], wanted: bool) -> None:
    """A limit of time, or several steps, mean distillation too."""
    wanted = wanted or prune.get("distill_seconds") is not None or prune.get("gradual_steps", 1) != 1
    if wanted and "distill_epochs" not in prune:
        prune["distill_epochs"] = _DISTILL_EPOCHS
