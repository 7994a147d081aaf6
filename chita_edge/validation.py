"""Options from the command line, code or a TOML file → a configuration, or a sentence for each that is wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from chita_edge.errors import UsageError

_MAX_CONFIG_BYTES = 1 << 20
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
