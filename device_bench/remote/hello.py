"""First query to a device, in one round trip: kind, folder, boot id, uptime, processor."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from device_bench.errors import DeviceUnavailableError
from device_bench.sampling import context

if TYPE_CHECKING:
    from device_bench.remote.transport import Transport

TIMEOUT_S = 60.0
_ASK = """uname -m
{ mkdir -p "$1/objects" "$1/runs" && cd "$1" && pwd; } || exit 73
cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo 00000000-0000-0000-0000-000000000000
cat /proc/uptime
od -An -tx1 -j4 -N16 /proc/self/exe 2>/dev/null
echo
cat /proc/cpuinfo
echo ----
cat /proc/device-tree/model 2>/dev/null
echo ====
test -e /system/bin/linker64 || exit 0
echo android
getprop ro.product.model
getprop ro.soc.model
exit 0
"""


@dataclass(frozen=True)
class Hello:
    """Answer of the device: its kind, the absolute folder, boot id, uptime in seconds, its processor.

    ``programs`` is the ELF number of what kind of machine its own programs are for, None if it did not tell;
    ``android`` says that its C library is Android's.
    """

    machine: str
    base: str
    boot: str
    uptime_s: int
    cpu: str | None
    isa: str | None
    programs: int | None = None
    android: bool = False


def machine(transport: Transport) -> str:
    """Output of the device's ``uname -m``. DeviceUnavailableError if it says nothing of the kind."""
    answer = transport.run(["uname", "-m"], TIMEOUT_S)
    if answer.code is None:
        raise DeviceUnavailableError(f"{transport.name} did not answer within {TIMEOUT_S:.0f} s.")
    return _machine(transport, answer.output.strip())


def hello(transport: Transport) -> Hello:
    """Ask, and make the folder that everything goes to. DeviceUnavailableError if no such device answers."""
    answer = transport.run(["sh", "-c", _ASK, "sh", transport.base], TIMEOUT_S)
    if answer.code is None:
        raise DeviceUnavailableError(f"{transport.name} did not answer within {TIMEOUT_S:.0f} s.")
    head, _, rest = answer.output.partition("\n\n")
    kind, _, told = head.partition("\n")
    kind = _machine(transport, kind)
    found = re.fullmatch(r"(/[^\n\0]{1,300})\n([0-9a-f-]{36})\n(\d{1,12})\.\d+ [\d.]+((?:\s+[0-9a-f]{2})*)\s*", told)
    if answer.code != 0 or not found:
        lines = answer.errors.strip().splitlines()
        why = lines[-1][:200].rstrip(".") if lines else "it does not say why"
        raise DeviceUnavailableError(f"{transport.base} on {transport.name} cannot be used: {why}.")
    cpuinfo, _, rest = rest.partition("----\n")
    board, _, system = rest.partition("====\n")
    android, _, phone = system.partition("\n")
    cpu, isa = _processor(kind, cpuinfo, board or " ".join(phone.split()))
    elf = bytes.fromhex(found[4])
    programs = int.from_bytes(elf[14:16], "little") if len(elf) == 16 else None
    return Hello(kind, found[1], found[2], int(found[3]), cpu, isa, programs, android == "android")


def _machine(transport: Transport, told: str) -> str:
    if not re.fullmatch(r"\w{2,20}", told):
        raise DeviceUnavailableError(f"{transport.name} answered {told[:80]!r} when asked what machine it is.")
    return told


def _processor(kind: str, cpuinfo: str, board: str) -> tuple[str | None, str | None]:
    with tempfile.TemporaryDirectory(prefix="chita-edge-") as name:
        root = Path(name)
        for path, text in (("proc/cpuinfo", cpuinfo), ("proc/device-tree/model", board)):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
        features = context.cpu_features(root)
        return context.cpu_name(root, kind), features[-1] if features else None
