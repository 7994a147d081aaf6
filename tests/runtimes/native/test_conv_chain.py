"""Chains of convolutions: the same bits as their stages one by one, however they are cut into bands and threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from kernel_isas import isas_of

from runtimes.bindings import Kernels, Plan, Stage, csr_stage, dense_stage
from runtimes.packed_weights import Csr
from runtimes.structures import geometry

ISAS = isas_of("conv_chain")
CLIP = (0.0, 6.0)
# (letter, output channels, kernel, stride, padding): S dense, D depthwise, P sparse 1×1.
MOBILE_V1 = (("S", 12, 3, 2, 1), ("D", 12, 3, 1, 1), ("P", 24, 1, 1, 0), ("D", 24, 3, 2, 1), ("P", 40, 1, 1, 0))
MOBILE_V2 = (("P", 48, 1, 1, 0), ("D", 48, 3, 1, 1), ("P", 16, 1, 1, 0))
UNEVEN = (("D", 3, 5, 2, 0), ("P", 7, 1, 1, 0), ("D", 7, 3, 1, 3), ("P", 5, 1, 1, 0), ("D", 5, 3, 2, 1))
WIDE = (("D", 3, 3, 1, 1), ("P", 150, 1, 1, 0), ("D", 150, 3, 1, 1), ("P", 140, 1, 1, 0))


def stages_of(layers: tuple[tuple[str, int, int, int, int], ...], channels: int) -> list[Stage]:
    """Random weights; two thirds of those of the sparse stages are 0."""
    rng = np.random.default_rng(len(layers))
    stages = []
    for letter, out, kernel, stride, pad in layers:
        bias = rng.standard_normal(out).astype(np.float32)
        window = geometry(out, channels, kernel, stride, (pad,) * 4)
        if letter == "P":
            weights = rng.standard_normal((out, channels), np.float32)
            stages.append(
                csr_stage(Csr.of(np.where(rng.random(weights.shape) < 2 / 3, 0, weights)), bias, window, CLIP)
            )
        else:
            shape = (out, 1 if letter == "D" else channels, kernel, kernel)
            op = "depthwise_conv" if letter == "D" else "dense_conv"
            stages.append(dense_stage(op, rng.standard_normal(shape, np.float32), bias, window, CLIP))
        channels = out
    return stages


def plan_of(kernels: Kernels, stage: Stage) -> Plan:
    weights, bias = stage.arrays
    if isinstance(weights, Csr):
        return kernels.csr_conv(weights, bias, stage.window, CLIP)  # type: ignore[arg-type]
    return kernels.dense(stage.op, weights, bias, stage.window, CLIP)  # type: ignore[arg-type]


def one_by_one(kernels: Kernels, stages: list[Stage], x: np.ndarray) -> np.ndarray:
    for stage in stages:
        x = plan_of(kernels, stage).run(x)
    return x


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        (MOBILE_V1, (2, 3, 9, 7)),
        (MOBILE_V1, (1, 3, 65, 70)),
        (MOBILE_V2, (3, 8, 5, 40)),
        (MOBILE_V2, (1, 8, 1, 33)),
        (UNEVEN, (1, 3, 31, 90)),
        (UNEVEN, (1, 3, 200, 9)),
        (WIDE, (2, 3, 33, 67)),  # several bands: what is between the stages exceeds any band's buffers
    ],
)
def test_the_bits_of_the_stages(
    kernels: Callable[[str], Kernels], guarded: Any, isa: str, layers: tuple[Any, ...], shape: tuple[int, ...]
) -> None:
    chosen = kernels(isa)
    stages = stages_of(layers, shape[1])
    x = guarded.array(np.random.default_rng(0).standard_normal(shape, np.float32))
    want = one_by_one(chosen, stages, x)
    plan = chosen.conv_chain(stages)
    assert plan.isa == isa
    assert np.isfinite(want).all()
    assert want.std() > 0
    for threads, guarded.at_end in ((1, True), (1, False), (2, True), (3, False)):
        np.testing.assert_array_equal(plan.run(x, threads=threads), want)


@pytest.mark.parametrize("isa", ISAS)
def test_a_residual_is_added_in_the_last_stage(kernels: Callable[[str], Kernels], guarded: Any, isa: str) -> None:
    chosen = kernels(isa)
    x = guarded.array(np.random.default_rng(1).standard_normal((2, 16, 37, 45), np.float32))
    stages = stages_of((("P", 96, 1, 1, 0), ("D", 96, 3, 1, 1), ("P", 16, 1, 1, 0)), 16)
    before = one_by_one(chosen, stages[:2], x)
    want = plan_of(chosen, stages[2]).run(before, x)
    for threads in (1, 2):
        np.testing.assert_array_equal(chosen.conv_chain(stages).run(x, x, threads), want)


@pytest.mark.parametrize("isa", ISAS)
def test_special_values_in_one_band_stay_where_its_windows_are(kernels: Callable[[str], Kernels], isa: str) -> None:
    chosen = kernels(isa)
    stages = stages_of(WIDE, 3)
    x = np.random.default_rng(2).standard_normal((1, 3, 33, 67), np.float32)
    x[0, :, 20, 30] = np.nan, np.inf, -np.inf
    x[0, :, 5, 5] = -0.0, 1e-41, -1e-41
    np.testing.assert_array_equal(chosen.conv_chain(stages).run(x), one_by_one(chosen, stages, x))


def test_scratch_does_not_grow_with_the_height_of_the_image(kernels: Callable[[str], Kernels]) -> None:
    """A chain is there to keep what passes between its stages small."""
    plan = kernels(ISAS[1]).conv_chain(stages_of(WIDE, 3))
    assert plan.scratch_bytes((1, 3, 400, 100)) == plan.scratch_bytes((1, 3, 4000, 100))
