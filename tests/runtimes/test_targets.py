"""The registry of targets."""

from __future__ import annotations

import pytest

from runtimes import PLATFORMS, TARGETS, UnknownTargetError, get_target


def test_the_registry() -> None:
    assert set(TARGETS) == {"arm64", "x86_64"}
    for name, target in TARGETS.items():
        assert get_target(name) is target
        assert target.name == name
        assert set(target.platforms.values()) <= set(PLATFORMS)
        assert all(path.startswith("lib/") and path.endswith("/libchita_edge.so") for path in target.platforms)
        assert target.cost_provenance
    assert "lib/android/arm64-v8a/libchita_edge.so" in get_target("arm64").platforms
    assert "estimate" in get_target("arm64").cost_provenance


def test_an_unknown_target_is_a_sentence() -> None:
    with pytest.raises(UnknownTargetError, match="there is no target 'riscv'; there are arm64, x86_64"):
        get_target("riscv")
