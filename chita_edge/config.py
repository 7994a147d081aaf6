"""What `chita-edge build` is told: one frozen object, from code, from the command line or from a TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from chita_edge.errors import UsageError

_MAX_CONFIG_BYTES = 1 << 20


class _SparseWeights(BaseModel):
    """How sparse layers' weights are stored and multiplied."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    values: Literal["float32", "float16"] = "float32"
    arithmetic: Literal["float32", "float16"] = "float32"

    @field_validator("arithmetic")
    @classmethod
    def _has_values(cls, arithmetic: str, info: ValidationInfo) -> str:
        if arithmetic == "float16" and info.data.get("values") == "float32":
            raise PydanticCustomError("arithmetic", "Float16 arithmetic needs values of float16")
        return arithmetic


class ExportConfig(_SparseWeights):
    """How a pruned network becomes sparse ONNX.

    `target` names the processor whose cost table decides which layers become sparse. `values` is how the weights of
    sparse layers are stored; with `arithmetic` float16, for which they have to be float16, sparse convolutions multiply
    and add in it where the processor can, on arm64, and in float32 elsewhere.
    """

    target: str


class BuildConfig(_SparseWeights):
    """Everything that decides what a bundle holds.

    `sparsity` is the share of zeros among the prunable weights; `calibration_images` says how many images the pruner
    sees; `threads` and `samples` are those of the measurement on this machine; `seed` draws the calibration images.
    `target`, `values` and `arithmetic` are those of `ExportConfig`.
    """

    model: str
    target: str
    sparsity: Annotated[float, Field(ge=0, lt=1)] = 0.8
    method: str = "default"
    structure: str = "unstructured"
    allocation: str = "balanced"
    calibration_images: Annotated[int, Field(ge=1)] = 1000
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    samples: Annotated[int, Field(ge=50, le=100_000)] = 200


Config = TypeVar("Config", bound=BaseModel)


def validated(config_class: type[Config], values: dict[str, Any]) -> Config:
    """`config_class` from `values`; raises UsageError with one sentence for each option that is wrong or unknown."""
    try:
        return config_class.model_validate(values)
    except ValidationError as error:
        raise UsageError(" ".join(_sentence(problem) for problem in error.errors())) from None


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


def _sentence(problem: Any) -> str:
    option = ".".join(str(part) for part in problem["loc"]) or "the configuration"
    if problem["type"] == "extra_forbidden":
        return f"There is no option {option!r}."
    return f"Option {option!r} cannot be {problem['input']!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}."
