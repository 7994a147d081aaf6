"""Which road a build takes."""

from __future__ import annotations

from typing import Any

import pytest

from chita_edge.config import BuildConfig, validated
from chita_edge.deploy.road import Road, choose_road
from chita_edge.errors import UsageError


def road(dtype: str = "auto", export: dict[str, Any] | None = None, **prune: Any) -> Road:
    values = {"model": "m", "dtype": dtype, "prune": prune, "export": {"target": "arm64", **(export or {})}}
    config = validated(BuildConfig, values)
    return choose_road(config, config.export)


def test_nothing_asked_for_means_that_int8_candidates_are_tried() -> None:
    found = road(seed=3, distill_epochs=2)
    assert (found.dtype, found.structure, found.sparsity, found.is_asked) == ("int8", "1x4", None, False)
    assert "fastest" in found.reason
    assert found.tried == ("1x4", "2x4")
    assert road(dtype="int8").tried == ("1x4", "2x4")
    assert road(structure="2x4").tried == ("2x4",)
    assert road(sparsity=0.5).tried == ("1x4",)


@pytest.mark.parametrize("structure", ["1x4", "2x4"])
def test_blocks_of_four_channels_are_int8(structure: str) -> None:
    found = road(structure=structure, sparsity=0.6)
    assert (found.dtype, found.structure, found.sparsity) == ("int8", structure, 0.6)
    assert "--dtype float32" in found.reason
    assert road(structure=structure).sparsity is None


@pytest.mark.parametrize(
    "options", [{"method": "default"}, {"structure": "2:4"}, {"allocation": "global"}, {"gradual_steps": 2}]
)
def test_options_of_float32_mean_float32(options: dict[str, Any]) -> None:
    found = road(**options)
    assert found.dtype == "float32"
    assert found.sparsity == 0.8
    assert next(iter(options)).replace("_", "-") in found.reason or "2:4" in found.reason
    with pytest.raises(UsageError, match="float32"):
        road("int8", **options)


def test_what_is_asked_for_is_taken() -> None:
    assert road("float32").structure == "unstructured"
    assert road("float16", sparsity=0.5).dtype == "float16"
    assert road(export={"values": "float16"}).dtype == "float16"
    assert road("float32", structure="1x4").dtype == "float32"
    assert road("int8", sparsity=0.7).is_asked


def test_another_dtype_is_a_sentence() -> None:
    with pytest.raises(UsageError, match="dtype"):
        road("int4")
