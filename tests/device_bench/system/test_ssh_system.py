"""A whole arm64 machine whose clock counts instructions. Slow: only `CHITA_EDGE_QEMU_SYSTEM=1 pytest` runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import arm64_system
import onnx
import pytest
from onnx import TensorProto, helper

from device_bench import BenchPlan, ModelUnderTest
from device_bench.devices import get_device
from device_bench.devices.shell import ShellDevice
from device_bench.emulation import EmulationUnavailableError
from device_bench.emulation.prepare import onnxruntime_library

PLAN = BenchPlan(samples=30, warmup_rounds=10, time_limit_s=3600.0)


@pytest.mark.skipif(
    os.environ.get("CHITA_EDGE_QEMU_SYSTEM") != "1", reason="takes minutes; CHITA_EDGE_QEMU_SYSTEM=1 runs it"
)
def test_a_whole_machine_measures_and_its_wall_clock_may_jump(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: dict[str, ModelUnderTest]
) -> None:
    try:
        onnxruntime_library()
    except EmulationUnavailableError as error:
        pytest.skip(str(error))
    if why := arm64_system.missing() or (None if shutil.which("ssh") else "there is no ssh here"):
        pytest.skip(why)
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / key)], check=True)
    (tmp_path / "sshd_config").write_text(
        "Port 22\nHostKey /mnt/host\nAuthorizedKeysFile /mnt/user.pub\nUsePAM no\nStrictModes no\n"
        # While the machine idles its clock leaps ahead: no time limit of its own may count.
        "PermitRootLogin yes\nPidFile none\nLoginGraceTime 0\n"
    )
    (tmp_path / "ssh_config").write_text(
        f"Host machine\n  HostName 127.0.0.1\n  Port 2222\n  User root\n  IdentityFile {tmp_path}/user\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {tmp_path}/known\n  StrictHostKeyChecking no\n  LogLevel ERROR\n"
        f"  ControlMaster auto\n  ControlPath {tmp_path}/master\n  ControlPersist 600\n"
    )
    with arm64_system.machine(tmp_path) as beside:
        monkeypatch.setenv("CHITA_EDGE_SSH", " ".join([*beside, "ssh", "-F", f"{tmp_path}/ssh_config"]))
        device = get_device("ssh:machine")
        assert isinstance(device, ShellDevice)
        for _ in range(60):
            found = device.probe()
            if found.reachable:
                break
            time.sleep(1)
        assert found.reachable, f"{found.detail} {(tmp_path / 'console.log').read_text(errors='replace')[-1000:]}"
        device = replace(device, transport=replace(device.transport, base="/data/chita-edge"))
        first = device.measure(models, PLAN)
        assert len(first.results.benchmark("dense").samples) == 30
        jumped: list[object] = []

        def set_clock(_share: float) -> None:
            if not jumped:
                jumped.append(device.transport.run(["date", "-s", "2031-01-01"], 60.0))

        second = device.measure(models, replace(PLAN, samples=300), set_clock)
        assert jumped
        assert "2031" in device.transport.run(["date"], 60.0).output
        figures = [measurement.summary("dense").p50 for measurement in (first, second)]
        # Counted, not timed: what the machine's clock says is its number of instructions in ns.
        assert figures[0] == pytest.approx(figures[1], rel=0.2)
        print(f"p50 by instructions: {figures[0]:.6f} ms, {figures[1]:.6f} ms after the wall clock jumped")


@pytest.fixture
def models(tmp_path: Path) -> dict[str, ModelUnderTest]:
    value = [helper.make_tensor_value_info(side, TensorProto.FLOAT, [1, 5000]) for side in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", value[:1], value[1:])
    path = tmp_path / "relu.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return {"dense": ModelUnderTest(path, sparse=False)}
