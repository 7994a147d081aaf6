"""Configuration of `chita-edge build`: one frozen object, from code, the command line or a TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from chita_edge.datasets.transform import TransformConfig
from chita_edge.engine.config import PruneConfig
from chita_edge.errors import UsageError

_MAX_CONFIG_BYTES = 1 << 20


class ExportConfig(BaseModel):
    """How a pruned network becomes sparse ONNX; the table ``[export]``.

    `target` names the processor whose cost table decides which layers become sparse. `values` is how the weights of
    sparse layers are stored; with `arithmetic` float16, for which they have to be float16, sparse convolutions multiply
    and add in it where the processor can, on arm64, and in float32 elsewhere.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    target: str
    values: Literal["float32", "float16"] = "float32"
    arithmetic: Literal["float32", "float16"] = "float32"

    @field_validator("arithmetic")
    @classmethod
    def _has_values(cls, arithmetic: str, info: ValidationInfo) -> str:
        if arithmetic == "float16" and info.data.get("values") == "float32":
            raise PydanticCustomError("arithmetic", "Float16 arithmetic needs values of float16")
        return arithmetic


class QuantizeConfig(BaseModel):
    """How a network becomes int8; the table ``[quantize]``.

    `weight_bits` of the weights; below 8 they are rounded with the layer's Gram matrix in mind. `activation_range` is a
    name of `chita_edge.quantization.RANGES`. `max_drop` is what the choice of a network may cost: points of accuracy,
    or per cent of a metric of another kind.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    weight_bits: Annotated[int, Field(ge=2, le=8)] = 8
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


Config = TypeVar("Config", bound=BaseModel)


def validated(config_class: type[Config], values: dict[str, Any]) -> Config:
    """`config_class` from `values`; raises UsageError with one sentence for each option that is wrong or unknown."""
    try:
        return config_class.model_validate(values)
    except ValidationError as error:
        raise UsageError(" ".join(_sentence(problem, config_class) for problem in error.errors())) from None


def read_toml(path: Path) -> dict[str, Any]:
    """The options in a TOML file, unchecked; raises UsageError when it cannot be read as one."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise UsageError(f"The configuration file {path} cannot be read: {error.strerror}.") from None
    if len(raw) > _MAX_CONFIG_BYTES:
        raise UsageError(f"The configuration file {path} is larger than {_MAX_CONFIG_BYTES:,} bytes.")
    try:
        return tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The configuration file {path} is not valid TOML: {error}.") from None


def _sentence(problem: Any, config_class: type[BaseModel]) -> str:
    option = ".".join(str(part) for part in problem["loc"]) or "the configuration"
    if problem["type"] == "extra_forbidden":
        tables = [f"[{table}]" for table, known in _tables(config_class).items() if option in known]
        return f"There is no option {option!r}{' here; it belongs in the table ' if tables else ''}{''.join(tables)}."
    if problem["type"] == "missing":
        last = option.rpartition(".")[2].replace("_", "-")
        return f"Option {option!r} is missing: give --{last}, or set it in the configuration."
    return f"Option {option!r} cannot be {problem['input']!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}."


def _tables(config_class: type[BaseModel]) -> dict[str, set[str]]:
    """The options of each table of a configuration."""
    kinds = {name: field.annotation for name, field in config_class.model_fields.items()}
    return {
        name: set(kind.model_fields)
        for name, kind in kinds.items()
        if isinstance(kind, type) and issubclass(kind, BaseModel)
    }
