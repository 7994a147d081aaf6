"""The whole way to a device and back, the device being this machine's own shell, with the real runner."""

from __future__ import annotations

import os
import shlex
import signal
from dataclasses import replace
from pathlib import Path

import pytest

import runtimes
from device_bench import BenchPlan, Measurement, ModelUnderTest, measure
from device_bench.errors import DeviceUnavailableError, MeasurementError
from device_bench.remote import Transport, machine, measure_remotely
from device_bench.remote.hello import hello
from device_bench.remote.lock import locked
from device_bench.results import parse
from runtimes.toolchain import build_program

Models = dict[str, ModelUnderTest]
OTHER = '{"benchmarks": [{"name": "x", "time_unit": "ns", "samples": [1]}]}'
# Answers as told to every command that writes a file, and obeys all others.
REFUSING = 'case "$1" in *"cat > "*) {answer};; *) eval "$1";; esac'
QUICK = BenchPlan(samples=30, warmup_rounds=10, time_limit_s=60.0)


def logged(shell: Transport, log: Path) -> Transport:
    """The same shell, which notes every command that it is given."""
    return replace(shell, command=("sh", "-c", f'printf "%s\\n" "$1" >> {shlex.quote(str(log))}; eval "$1"', "sh"))


def test_measures_cleans_up_and_pushes_nothing_twice(shell: Transport, models: Models, tmp_path: Path) -> None:
    told: list[float] = []
    log = tmp_path / "log"
    shell = logged(shell, log)
    first = measure_remotely(shell, models, QUICK, told.append)
    context = first.results.context
    assert first.results.names == ("dense", "sparse")
    for benchmark in first.results.benchmarks:
        assert len(benchmark.samples) == len(benchmark.timestamps_s) == 30
        assert list(benchmark.timestamps_s) == sorted(benchmark.timestamps_s)
        assert benchmark.session_ms
        assert benchmark.session_ms > 0
    assert (context.device, context.interleaved, context.threads) == ("shell:here", True, 1)
    assert set(context.sha256) == {"dense", "sparse", "kernel library"}
    assert "onnxruntime" in context.versions
    assert context.cpu
    assert told[-1] == 1.0
    assert log.read_text().count("cat > ") == 6
    base = Path(shell.base)
    assert list((base / "runs").iterdir()) == []
    assert not (base / "lock").is_symlink()
    measure_remotely(shell, models, QUICK)
    assert log.read_text().count("cat > ") == 6


WORD_SHAPES = {"ids": (1, 16), "mask": (1, 16, 1), "image": (1, 16, 64)}


def test_several_inputs_of_any_type_are_measured_there_and_here(shell: Transport, words: Models) -> None:
    for measured in (measure_remotely(shell, words, replace(QUICK, profile=True)), measure(words, plan=QUICK)):
        assert measured.results.names == ("dense", "sparse")
        for benchmark in measured.results.benchmarks:
            assert len(benchmark.samples) == 30
            assert benchmark.input_shapes == WORD_SHAPES


def test_models_of_unlike_inputs_are_not_measured_together(shell: Transport, words: Models, models: Models) -> None:
    with pytest.raises(MeasurementError, match="inputs of different shapes or types"):
        measure_remotely(shell, {"dense": words["dense"], "sparse": models["sparse"]}, QUICK)


def test_a_damaged_file_on_the_device_is_pushed_again(shell: Transport, models: Models) -> None:
    measure_remotely(shell, models, QUICK)
    for stored in (Path(shell.base) / "objects").iterdir():
        stored.chmod(0o644)
        stored.write_bytes(stored.read_bytes()[:-1])
    measure_remotely(shell, models, QUICK)


def test_another_run_holds_the_device(shell: Transport, models: Models) -> None:
    with (
        locked(shell, hello(shell), 100.0),
        pytest.raises(DeviceUnavailableError, match=r"in use by another run, for 1[0-9]{2} s"),
    ):
        measure_remotely(shell, models, QUICK)
    measure_remotely(shell, models, QUICK)


@pytest.mark.parametrize("stale", ["0" * 16 + "." + "0" * 36 + ".99999999999", "nonsense; rm -rf /", "..", "a.b.c"])
def test_a_lock_from_before_a_restart_or_of_nobody_is_void(shell: Transport, stale: str) -> None:
    Path(shell.base).mkdir()
    (Path(shell.base) / "lock").symlink_to(stale)
    with locked(shell, hello(shell), 10.0):
        assert str((Path(shell.base) / "lock").readlink()) != stale


def test_a_run_that_hangs_is_killed_on_the_device_and_its_samples_kept(shell: Transport, models: Models) -> None:
    """The runner is stopped (SIGSTOP) as soon as its first samples arrive."""
    stopped: list[int] = []

    def stop(_share: float) -> None:
        if not stopped:
            stopped.extend(_runners(shell))
            for process in stopped:
                os.kill(process, signal.SIGSTOP)

    plan = BenchPlan(samples=10, duration_s=60.0, warmup_rounds=2, time_limit_s=3.0)
    kept: list[Measurement] = []
    with pytest.raises(MeasurementError, match="did not end within 3 s"):
        measure_remotely(shell, models, plan, stop, kept.append)
    assert stopped
    assert _runners(shell) == []
    (partial,) = kept
    assert len(partial.results.benchmark("dense").samples) == len(partial.results.benchmark("sparse").samples) > 0
    assert "cut off" in partial.warnings[0]
    assert list((Path(shell.base) / "runs").iterdir()) == []


def _runners(shell: Transport) -> list[int]:
    """Processes whose program lies on the device."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str((entry / "exe").readlink()).startswith(shell.base):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_the_runner_is_killed_from_outside(shell: Transport, models: Models) -> None:
    killed: list[int] = []

    def kill(_share: float) -> None:
        if not killed:
            killed.extend(_runners(shell))
            for process in killed:
                os.kill(process, signal.SIGKILL)

    kept: list[Measurement] = []
    with pytest.raises(MeasurementError):
        measure_remotely(
            shell, models, BenchPlan(samples=10, duration_s=60.0, warmup_rounds=2, time_limit_s=30.0), kill, kept.append
        )
    assert len(kept) == 1


@pytest.mark.parametrize(
    ("script", "match"),
    [
        ("echo garbage", "printed this: 'garbage"),
        ("true", "printed no result"),
        ("head -c 100000 /dev/urandom", "printed this"),
        ("echo '{\"benchmarks\": 3}'", "not a results file"),
        ('echo \'{"benchmarks": [{"name": "x", "time_unit": "ns", "samples": [1]}]}\'', "measured x, not dense"),
        ("echo s dense 1 NaN 0", "printed this"),
        ("echo s other 1 1.000 0 0", "printed this"),
        ("echo c 0 41500", "printed this"),
        ("echo z 1 zone", "printed this"),
        ("echo a sentence >&2; exit 3", "status 3: a sentence"),
        ("exit 126", "does not execute"),
    ],
)
def test_whatever_a_runner_prints_is_only_read(shell: Transport, models: Models, script: str, match: str) -> None:
    """A device that answers anything at all when it is told to run the runner."""
    command = ("sh", "-c", f'case "$1" in env*) {script};; *) eval "$1";; esac', "sh")
    with pytest.raises(MeasurementError, match=match):
        measure_remotely(replace(shell, command=command), models, QUICK)


def test_a_disk_that_fills_while_files_are_pushed(shell: Transport, models: Models) -> None:
    command = ("sh", "-c", REFUSING.format(answer='echo "No space left on device" >&2; exit 1'), "sh")
    with pytest.raises(DeviceUnavailableError, match="could not be put on shell:here: No space left"):
        measure_remotely(replace(shell, command=command), models, QUICK)
    assert [path for path in (Path(shell.base) / "objects").iterdir() if "." in path.name] == []
    assert not (Path(shell.base) / "lock").is_symlink()


def test_a_connection_that_breaks_while_files_are_pushed(shell: Transport, models: Models) -> None:
    command = ("sh", "-c", REFUSING.format(answer='echo "lost it" >&2; exit 255'), "sh")
    with pytest.raises(DeviceUnavailableError, match="shell:here cannot be reached: lost it"):
        measure_remotely(replace(shell, command=command), models, QUICK)


@pytest.mark.parametrize("answer", ["echo riscv64", "echo '$(reboot)'", "true", "echo x86_64 and more"])
def test_a_machine_for_which_there_are_no_kernels(shell: Transport, models: Models, answer: str) -> None:
    with pytest.raises(DeviceUnavailableError, match=r"riscv64|answered|cannot be used"):
        measure_remotely(replace(shell, command=("sh", "-c", answer, "sh")), models, QUICK)
    with pytest.raises(DeviceUnavailableError, match="cannot be started"):
        machine(replace(shell, command=("/nowhere/ssh",)))


def test_names_and_folders_are_never_part_of_a_command(shell: Transport, models: Models, tmp_path: Path) -> None:
    """A folder and file names that a shell would act on."""
    odd = tmp_path / "$(touch pwned); `touch pwned` 'x' \"y\".onnx"
    odd.write_bytes(models["dense"].path.read_bytes())
    shell = replace(shell, base=str(tmp_path / "a $(touch pwned) 'b' \"c\""))
    measure_remotely(shell, {"dense": ModelUnderTest(odd, sparse=False)}, QUICK)
    assert list(tmp_path.rglob("pwned")) == []
    assert not Path("pwned").exists()


def test_a_profile_is_brought_back_for_every_node(shell: Transport, models: Models) -> None:
    results = measure_remotely(shell, models, replace(QUICK, profile=True)).results
    for name, op in (("dense", "Relu"), ("sparse", "Sigmoid")):
        profile = results.benchmark(name).profile
        assert [entry.op for entry in profile] == [op]
        assert profile[0].ms >= 0
    assert parse(results.to_json().encode()).benchmark("dense").profile == results.benchmark("dense").profile
    assert measure_remotely(shell, models, QUICK).results.benchmark("dense").profile == ()


def test_a_run_too_long_for_its_results_file_is_thinned_not_lost(
    shell: Transport, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device_bench.remote.job.MAX_ROUNDS", 64)
    measurement = measure_remotely(shell, models, replace(QUICK, samples=1001))
    assert any("Of 1001 rounds one in 16 is kept" in warning for warning in measurement.warnings)
    dense, sparse = (measurement.results.benchmark(name) for name in ("dense", "sparse"))
    assert len(dense.samples) == len(sparse.samples) == 63
    both = zip(dense.timestamps_s, sparse.timestamps_s, strict=True)
    starts = [min(pair) for pair in both]
    assert starts == sorted(starts)
    assert starts[0] < 0.1 * starts[-1]


JUMPING = """
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
__attribute__((visibility("default"))) int clock_gettime(clockid_t which, struct timespec* out) {
  static unsigned calls;
  const int failed = (int)syscall(SYS_clock_gettime, which, out);
  const unsigned call = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
  if (!failed && which == CLOCK_REALTIME) out->tv_sec += call % 2 ? 86400 : -86400;
  /* One call in eight, scattered as by a die: at every n-th, a round of that many calls would meet a jump each time. */
  unsigned die = call * 0x9E3779B9u;
  die = (die ^ die >> 16) * 0x85EBCA6Bu;
  die = (die ^ die >> 13) * 0xC2B2AE35u;
  if (!failed && which == CLOCK_MONOTONIC && (die ^ die >> 16) % 8 == 0) out->tv_sec -= JUMP_S;
  return failed;
}
"""
JUMP_S = 1000


def test_a_clock_that_jumps(shell: Transport, models: Models, tmp_path: Path) -> None:
    """Every program on the device sees a clock that is set back now and then, and a wall clock that lies by a day."""
    (tmp_path / "jumping.c").write_text(JUMPING)
    flags = ("-shared", "-fPIC", f"-DJUMP_S={JUMP_S}")
    preload = build_program(runtimes.host_platform(), [tmp_path / "jumping.c"], tmp_path / "jumping.so", flags)
    command = ("sh", "-c", f'export LD_PRELOAD={shlex.quote(str(preload))}; eval "$1"', "sh")
    measurement = measure_remotely(replace(shell, command=command), models, QUICK)
    assert any("clock went back" in warning for warning in measurement.warnings)
    for benchmark in measurement.results.benchmarks:
        assert len(benchmark.samples) == 30
        assert min(benchmark.samples) > 0
        assert min(benchmark.timestamps_s) >= 0
        assert measurement.summary(benchmark.name).p50 < JUMP_S * 1000 / 2


def test_what_a_lost_run_left_is_taken_over_by_the_next_from_here(
    shell: Transport, models: Models, tmp_path: Path
) -> None:
    """The connection breaks for good in the middle: the lock, the run's folder and half a file stay behind."""
    measure_remotely(shell, models, QUICK)
    here = hello(shell)
    command = ("sh", "-c", f'test -e {shlex.quote(str(tmp_path / "cut"))} && exit 255; eval "$1"', "sh")
    with pytest.raises(KeyboardInterrupt), locked(replace(shell, command=command), here, 1000.0) as token:
        (Path(shell.base) / "objects" / f"{'0' * 64}.{token}").touch()
        (Path(shell.base) / "runs" / token / "profile_x.json").touch()
        with pytest.raises(DeviceUnavailableError, match="in use by another run"):
            measure_remotely(shell, models, QUICK)
        (tmp_path / "cut").touch()
        raise KeyboardInterrupt
    assert (Path(shell.base) / "lock").is_symlink()
    measure_remotely(shell, models, QUICK)
    assert list((Path(shell.base) / "runs").iterdir()) == []
    assert [path for path in (Path(shell.base) / "objects").iterdir() if "." in path.name] == []


def test_the_lock_of_a_run_elsewhere_holds(shell: Transport, models: Models) -> None:
    """The same lock, met by a machine that did not take it."""
    here = hello(shell)
    text = f"{'a' * 16}.{here.boot}.{here.uptime_s + 500}"
    (Path(shell.base) / "lock").symlink_to(text)
    with pytest.raises(DeviceUnavailableError, match="in use by another run"):
        measure_remotely(shell, models, QUICK)
