import importlib

import pytest

import chita_edge


def test_the_public_surface() -> None:
    assert sorted(chita_edge.__all__) == [
        "BenchConfig",
        "BenchPlan",
        "BuildConfig",
        "BuildResult",
        "BundleTamperedError",
        "ChitaEdgeError",
        "ExportConfig",
        "LabelledImages",
        "Latency",
        "PruneConfig",
        "PruneResult",
        "SeveralInputs",
        "SparseModel",
        "TransformConfig",
        "UsageError",
        "bench",
        "build",
        "export",
        "prune",
    ]


@pytest.mark.parametrize("name", sorted(chita_edge.__all__))
def test_each_name_can_be_had(name: str) -> None:
    assert getattr(importlib.import_module("chita_edge"), name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'prun'"):
        chita_edge.prun  # noqa: B018
