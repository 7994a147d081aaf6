"""Configuration of `chita-edge export`; it needs no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError


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
