"""Store of files on a device by their sha256; complete files are not pushed again."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from device_bench.errors import DeviceBenchError, DeviceUnavailableError
from device_bench.remote.hello import TIMEOUT_S
from device_bench.sampling.context import file_sha256

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from device_bench.remote.transport import Transport

_PUSH_S = 900.0
_STORED = 'cd "$1" && shift && sha256sum -- "$@" 2>/dev/null; exit 0'
_KEEP = """cat > "$1" || exit 74
test "$(sha256sum < "$1" | cut -c 1-64)" = "$3" || { echo 'it arrived damaged' >&2; exit 74; }
chmod 755 "$1" && mv "$1" "$2"
"""


def ensure(transport: Transport, base: str, paths: Iterable[Path], token: str) -> dict[Path, str]:
    """The places on the device of files with the contents of ``paths``, after pushing those that are not there.

    DeviceUnavailableError with the device's own words if one cannot be put there; nothing half is left behind.
    """
    digests = {path: file_sha256(path) for path in paths}
    folder = f"{base}/objects"
    listed = transport.run(["sh", "-c", _STORED, "sh", folder, *sorted(set(digests.values()))], 4 * TIMEOUT_S).output
    # A line is "DIGEST  NAME": the content is what the name promises if both are the same.
    there = {words[0] for line in listed.splitlines() if len(words := line.split()) == 2 and words[0] == words[1]}
    for path, digest in digests.items():
        if digest not in there:
            _push(transport, path, f"{folder}/{digest}", digest, token)
            there.add(digest)
    return {path: f"{folder}/{digest}" for path, digest in digests.items()}


def _push(transport: Transport, path: Path, target: str, digest: str, token: str) -> None:
    arriving = f"{target}.{token}"
    pushed = transport.run(["sh", "-c", _KEEP, "sh", arriving, target, digest], _PUSH_S, stdin=path)
    if pushed.code == 0:
        return
    with suppress(DeviceBenchError):
        transport.run(["rm", "-f", arriving], TIMEOUT_S)
    lines = pushed.errors.strip().splitlines()
    told = lines[-1][:200].rstrip(".") if lines else "the device does not say why"
    raise DeviceUnavailableError(f"{path.name} could not be put on {transport.name}: {told}.")
