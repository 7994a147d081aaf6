"""Architectures with shorter tables: every kind of block and of shortcut once or twice is enough for many tests."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
from torch import nn


def shorter(make: Callable[[], nn.Module], module: ModuleType, **tables: object) -> Callable[[], nn.Module]:
    """`make`, while these tables of the architecture's module have other values."""

    def build() -> nn.Module:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in tables.items():
                patch.setattr(module, name, value)
            return make()

    return build
