"""Configuration of `chita-edge build`: one frozen object, from code, the command line or a TOML file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from chita_edge.datasets.transform import TransformConfig
from chita_edge.engine.config import PruneConfig
from chita_edge.export_config import ExportConfig
from chita_edge.validation import read_toml, validated

__all__ = [
    "BenchConfig",
    "BuildConfig",
    "ExportConfig",
    "PruneFileConfig",
    "QuantizeConfig",
    "read_toml",
    "validated",
]


class QuantizeConfig(BaseModel):
    """How a network becomes int8; the table ``[quantize]``.

    `weight_bits` of the weights; below 8 they are rounded with the layer's Gram matrix in mind. With `mean_bits` the
    layers that need it most keep 8, so that prunable layers have so many on average. `activation_range` is a
    name of `chita_edge.quantization.RANGES`. `max_drop` is what the choice of a network may cost: points of accuracy,
    or per cent of a metric of another kind.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    weight_bits: Annotated[int, Field(ge=2, le=8)] = 8
    mean_bits: Annotated[float, Field(ge=2, le=8, allow_inf_nan=False)] | None = None
    activation_range: Literal["mse", "min_max", "percentile"] = "mse"
    max_drop: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 1.0


class BenchConfig(BaseModel):
    """How the models of a bundle are measured on this machine; the table ``[bench]``.

    `samples` are taken of each model, with `threads` threads; `seed` draws the order in which they take turns.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    threads: Annotated[int, Field(ge=1, le=64)] = 1
    samples: Annotated[int, Field(ge=50, le=100_000)] = 200
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


class PruneFileConfig(BaseModel):
    """Everything that decides what `chita-edge prune` writes.

    `calibration_images` are drawn by the seed of `prune`: 1,000, or all there are of fewer, when None. `metric` is what
    networks are judged by, a function of outputs and labels as ``package.module:function``, `better` which of its
    figures are; when None what the labels allow. `transform` is the table of how images become inputs, `model_args`
    that of arguments for the function that makes a user's network, `inputs` of the sizes of inputs that leave theirs
    open. `dtype` is that of the network that is made; `chita_edge.deploy.road` says what becomes of "auto". `quantize`
    is for int8.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    prune: PruneConfig = PruneConfig()
    calibration_images: Annotated[int, Field(ge=1)] | None = None
    metric: str | None = None
    better: Literal["higher", "lower"] = "higher"
    transform: TransformConfig | None = None
    dtype: Literal["auto", "int8", "float32", "float16"] = "auto"
    quantize: QuantizeConfig = QuantizeConfig()
    model_args: dict[str, Any] = {}
    inputs: dict[str, list[Annotated[int, Field(ge=1)]]] = {}


class BuildConfig(PruneFileConfig):
    """Configuration of a build.

    `model` is a network, see `chita_edge.deploy.doors.open_network`; the others are the configurations of the steps. In
    a TOML file `prune`, `quantize`, `export` and `bench` are tables.
    """

    model: str
    export: ExportConfig
    bench: BenchConfig = BenchConfig()
