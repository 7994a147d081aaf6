from __future__ import annotations

import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

import runtimes
from device_bench import BenchPlan, ModelUnderTest
from device_bench.errors import DeviceUnavailableError, PlanError
from device_bench.remote import Transport, files, measure_remotely
from device_bench.remote.hello import hello

ARM64 = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 3, 183) + b"the rest"
X86 = ARM64.replace(struct.pack("<HH", 3, 183), struct.pack("<HH", 3, 62))
MEMBER = "jni/arm64-v8a/libonnxruntime.so"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHITA_EDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def aar(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_the_library_of_an_aar_is_unpacked_once(tmp_path: Path, cache: Path) -> None:
    given = aar(tmp_path / "app.aar", {"AndroidManifest.xml": b"<x/>", MEMBER: ARM64, "jni/x86/libonnxruntime.so": X86})
    for platform in ("android-aarch64", "linux-aarch64"):
        assert files.onnxruntime(platform, given).read_bytes() == ARM64
    assert {path.suffix for path in cache.iterdir()} == {".so"}
    assert files.onnxruntime("android-aarch64", given) == files.onnxruntime("android-aarch64", given)
    library = tmp_path / "libonnxruntime.so"
    library.write_bytes(ARM64)
    assert files.onnxruntime("android-aarch64", library) == library


def hostile(folder: Path) -> dict[str, Path]:
    good = aar(folder / "good.aar", {MEMBER: ARM64 * 1000}).read_bytes()
    damaged = bytearray(good)
    damaged[len(MEMBER) + 60] ^= 0xFF
    lying = bytearray(good)
    at = lying.rindex(b"PK\x01\x02")
    struct.pack_into("<I", lying, at + 24, 1 << 31)  # the size that it says it has when unpacked
    secret = bytearray(good)
    secret[secret.rindex(b"PK\x01\x02") + 8] |= 1
    secret[6] |= 1
    odd = bytearray(good)
    struct.pack_into("<H", odd, odd.rindex(b"PK\x01\x02") + 10, 99)  # a method that nobody knows
    struct.pack_into("<H", odd, 8, 99)
    contents = {
        "empty": b"",
        "no zip": b"PK nothing of the kind",
        "cut": good[: len(good) // 2],
        "damaged": bytes(damaged),
        "lying": bytes(lying),
        "encrypted": bytes(secret),
        "odd": bytes(odd),
    }
    found = {}
    for name, data in contents.items():
        found[name] = folder / f"{name}.aar"
        found[name].write_bytes(data)
    found["other"] = aar(folder / "other.aar", {"jni/arm64-v8a/libother.so": ARM64, f"../{MEMBER}": ARM64})
    found["for x86"] = aar(folder / "x86.aar", {MEMBER: X86})
    found["text"] = aar(folder / "text.aar", {MEMBER: b"a text"})
    found["folder"] = folder / "folder.aar"
    found["folder"].mkdir()
    found["missing"] = folder / "missing.aar"
    return found


def test_hostile_aars_are_refused_with_a_sentence(tmp_path: Path, cache: Path) -> None:
    for name, path in hostile(tmp_path).items():
        with pytest.raises(PlanError, match=r"\.$") as caught:
            files.onnxruntime("android-aarch64", path)
        assert "aar" in str(caught.value) or "libonnxruntime" in str(caught.value), name
    assert not [path for path in tmp_path.rglob("libonnxruntime*") if not path.is_relative_to(cache)]
    assert not [path for path in cache.glob("*") if path.name.startswith(".")]


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_MAX_LIBRARY_BYTES", 1000)
    with pytest.raises(PlanError, match="too large to be a library"):
        files.onnxruntime("android-aarch64", aar(tmp_path / "bomb.aar", {MEMBER: bytes(10**6)}))
    monkeypatch.setattr(files, "_MAX_AAR_BYTES", 10)
    with pytest.raises(PlanError, match="too large to be an AAR"):
        files.onnxruntime("android-aarch64", aar(tmp_path / "huge.aar", {MEMBER: ARM64}))


def test_android_needs_the_apps_own_runtime_and_loads_linuxs_kernels() -> None:
    with pytest.raises(PlanError, match="give its AAR"):
        files.onnxruntime("android-aarch64")
    assert files.kernel_library("android-aarch64") == runtimes.library("linux-aarch64")
    assert files.platform_of("aarch64", 183, android=True) == "android-aarch64"
    with pytest.raises(DeviceUnavailableError, match="64-bit Arm only"):
        files.platform_of("x86_64", 62, android=True)
    with pytest.raises(DeviceUnavailableError, match="32-bit programs"):
        files.platform_of("aarch64", 40)


PHONE = """case "$1" in
*linker64*) {{ eval "$1"; printf 'android\\nPixel $(reboot)\\nT"ensor\\n'; }} | sed -e '1s/.*/aarch64/' \\
  -e 's/^ 02 01 .*/ 02 01 01 00 00 00 00 00 00 00 00 00 03 00 b7 00/' -e '/^model name/d' -e '/^Hardware/d';;
*) eval "$1";;
esac"""


def test_a_phone_is_recognised(shell: Transport, models: dict[str, ModelUnderTest]) -> None:
    phone = replace(shell, command=("sh", "-c", PHONE.format(), "sh"))
    device = hello(phone)
    assert (device.machine, device.programs, device.android) == ("aarch64", 183, True)
    assert device.cpu == 'Pixel $(reboot) T"ensor'
    with pytest.raises(PlanError, match="--ort"):
        measure_remotely(phone, models, BenchPlan(samples=5))
