"""Refuse a model file that asks a runtime for more than it may, before a device gets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from device_bench.errors import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from device_bench.plan import ModelUnderTest


def check_models(models: Mapping[str, ModelUnderTest], sizes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise MeasurementError that names the first model whose file is out of bounds; trusted ones are not looked at.

    sizes: at which inputs are measured that files leave open.
    """
    from runtimes import SessionError, check_file

    for name, model in models.items():
        for path in (model.path, model.profiled):
            if path is None or model.trusted:
                continue
            try:
                check_file(path, sizes)
            except SessionError as error:
                raise MeasurementError(f"The model {name!r} cannot be measured: {error}") from error
