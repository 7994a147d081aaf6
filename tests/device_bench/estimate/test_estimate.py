from __future__ import annotations

import struct
from pathlib import Path

import pytest

from device_bench.errors import DeviceUnavailableError, MeasurementError
from device_bench.estimate.blocks import parse_blocks
from device_bench.estimate.estimate import hottest_blocks, weighed
from device_bench.estimate.mca import Analyser, analyser, cycles


def code(*words: int) -> bytes:
    return b"".join(struct.pack("<I", word) for word in words)


NOP = 0xD503201F
CHAIN = 0x1F000400  # fmadd s0, s0, s0, s1: each waits for the one before
LOOSE = [0x1F010020 + index for index in range(8)]  # fmadd sN, s1, s1, s0
CALL, RETURN, BROKEN = 0x94000004, 0xD65F03C0, 0xFFFFFFFF


@pytest.fixture(scope="module")
def tools() -> Analyser:
    try:
        return analyser()
    except DeviceUnavailableError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("core", ["cortex-a53", "cortex-a55", "cortex-a72", "neoverse-n1"])
def test_a_chain_costs_its_latency_and_loose_instructions_less(tools: Analyser, core: str) -> None:
    """Eight dependent multiply-adds take twice what four take; eight loose ones take less; every block has a figure."""
    four, eight, loose = cycles(tools, core, [code(*[CHAIN] * 4), code(*[CHAIN] * 8), code(*LOOSE)])
    assert four is not None
    assert eight is not None
    assert loose is not None
    assert eight == pytest.approx(2 * four, rel=0.05)
    assert loose < eight / 2


def test_figures_stay_with_their_blocks(tools: Analyser) -> None:
    """Padding, calls and what is no instruction neither shift nor stop anything."""
    blocks = [code(NOP), code(BROKEN), code(CALL), code(*[CHAIN] * 8), code(RETURN, NOP), code(CHAIN, BROKEN, CHAIN)]
    found = cycles(tools, "cortex-a53", blocks)
    alone = [cycles(tools, "cortex-a53", [block])[0] for block in blocks]
    assert found == alone
    assert found[1] is None
    assert found[2] is not None
    assert found[2] < 10  # a call is not what it leads to
    assert cycles(tools, "cortex-a53", []) == []


def test_no_analyser_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceUnavailableError, match=r"llvm-mca is not installed.*apt-get"):
        analyser()
    for name, text in (("llvm-mca", "echo nonsense"), ("llvm-mc", "echo nop")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(MeasurementError, match="cannot be read"):
        cycles(analyser(), "cortex-a53", [code(NOP)])


def test_blocks_are_read_and_added_up() -> None:
    a, b = code(NOP), code(NOP, CHAIN)
    assert parse_blocks(f"3 {a.hex()}\n4 {b.hex()}\n5 {a.hex()}\n") == {a: 8, b: 4}
    for line in ("x", "1", "1 zz", "-1 1f2003d5", "1 1f2003", f"{10**20} 1f2003d5"):
        with pytest.raises(MeasurementError, match="should not"):
            parse_blocks(line)


def test_the_sum_over_blocks_against_one_by_hand() -> None:
    hot, warm, rare = code(*[NOP] * 4), code(*[NOP] * 2), code(NOP)
    executions = {rare: 1.0, warm: 100.0, hot: 1000.0}
    assert hottest_blocks(executions) == [hot]
    assert set(hottest_blocks({warm: 10.0, hot: 5.0, rare: 20.0})) == {hot, warm, rare}
    found = weighed(executions, {hot: 6.0, warm: None})
    assert found.instructions == 4 * 1000 + 2 * 100 + 1
    assert found.covered == pytest.approx(4000 / 4201)
    assert found.cycles == pytest.approx(6.0 * 1000 * 4201 / 4000)
    assert weighed(executions, {hot: 6.0, warm: 5.0, rare: 2.0}).cycles == 6000 + 500 + 2
    with pytest.raises(MeasurementError, match="none of the blocks"):
        weighed(executions, {hot: None})
