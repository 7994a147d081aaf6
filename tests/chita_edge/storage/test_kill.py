"""A process is killed at its worst moments; the same call afterwards gives the same network, bit for bit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from resumable_pruning import SAMPLES, Deadly, calibration, finish, network, run, start

KILLED = -9


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """What the call writes when nothing happens to it; computed once for each set of options."""
    folder = tmp_path_factory.mktemp("uninterrupted")

    def result(**options: object) -> bytes:
        name = str(sorted(options.items()))
        if not (folder / name).exists():
            run(folder / name, **options)
        return (folder / name).read_bytes()

    return result


@pytest.mark.parametrize(
    ("die_at", "options"),
    [
        ("gradients:4", {}),
        ("solve:3", {}),
        ("reconstruct:3", {}),
        ("batch norm:2", {}),
        ("gradients:12", {"method": "chita_pp", "rounds": 2, "samples_per_row": 2}),
        ("solve:1", {"method": "obs", "gradient_storage": "bfloat16"}),
    ],
)
def test_a_killed_run_is_resumed_to_the_same_result(
    die_at: str, options: dict[str, object], uninterrupted: Callable[..., bytes], tmp_path: Path
) -> None:
    state, out = tmp_path / "state", tmp_path / "out"
    assert finish([start(out, state, die_at, **options)]) == [KILLED]
    assert not out.exists()
    assert any(path.suffix == ".safetensors" for path in state.rglob("*"))
    run(out, state, **options)
    if "gradient_storage" in options:
        run(tmp_path / "again", tmp_path / "other", **options)
        assert out.read_bytes() == (tmp_path / "again").read_bytes()
    else:
        assert out.read_bytes() == uninterrupted(**options)
    assert not list((state / "gradients").iterdir()), "gradients are removed when they are not needed any more"


def test_finished_work_is_not_done_again(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert finish([start(tmp_path / "out", state, "gradients:6")]) == [KILLED]
    batches = {path: path.stat().st_mtime_ns for path in state.rglob("batch-*")}
    assert 0 < len(batches) < SAMPLES / 3
    assert finish([start(tmp_path / "out", state, "solve:3")]) == [KILLED]
    assert all(path.stat().st_mtime_ns == when for path, when in batches.items())
    parts = {path: path.stat().st_mtime_ns for path in state.rglob("*chita_bso*")}
    assert parts
    run(tmp_path / "out", state)
    assert all(path.stat().st_mtime_ns == when for path, when in parts.items())
    seen: list[str] = []
    original = Deadly.__call__
    try:
        Deadly.__call__ = lambda self, stage, done, total: seen.append(stage)  # type: ignore[method-assign]
        run(tmp_path / "again", state)
    finally:
        Deadly.__call__ = original  # type: ignore[method-assign]
    assert "gradients" not in seen
    assert "solve" not in seen
    assert (tmp_path / "again").read_bytes() == (tmp_path / "out").read_bytes()


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "foreign"])
@pytest.mark.parametrize("kind", ["batch-00001.safetensors", "*curvature*"])
def test_a_damaged_file_is_a_sentence(damage: str, kind: str, tmp_path: Path, half_done: Path) -> None:
    state = tmp_path / "state"
    shutil.copytree(half_done, state)
    (victim,) = state.rglob(kind)
    content = bytearray(victim.read_bytes())
    if damage == "flip":
        content[-1] ^= 4
    elif damage == "truncate":
        del content[-3:]
    elif damage == "empty":
        content.clear()
    else:
        content = bytearray(b"\x00" * 8 + b"{}")
    victim.write_bytes(content)
    run(tmp_path / "out", state)
    sentence = (tmp_path / "out").read_text()
    assert sentence.startswith("StateError")
    assert victim.name in sentence
    assert "Remove that file" in sentence
    victim.unlink()
    run(tmp_path / "out", state)
    assert not (tmp_path / "out").read_bytes().startswith(b"StateError")


@pytest.fixture(scope="session")
def half_done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of a run that was killed while it solved."""
    folder = tmp_path_factory.mktemp("half")
    assert finish([start(folder / "out", folder / "state", "solve:3")]) == [KILLED]
    return folder / "state"


@pytest.mark.parametrize(
    "options", [{"sparsity": 0.7}, {"gradient_batch": 4}, {"seed": 1}, {"method": "chita_bso"}, {"threads": 2}]
)
def test_another_configuration_is_refused(options: dict[str, object], half_done: Path, tmp_path: Path) -> None:
    run(tmp_path / "out", half_done, **options)
    sentence = (tmp_path / "out").read_text()
    assert "belongs to another run" in sentence
    assert f"option {next(iter(options))}" in sentence


def test_folders_that_do_not_matter_may_change(
    half_done: Path, tmp_path: Path, uninterrupted: Callable[..., bytes]
) -> None:
    shutil.copytree(half_done, tmp_path / "state")
    run(tmp_path / "out", tmp_path / "state", scratch_dir=tmp_path, memory_budget_bytes=1 << 21)
    assert (tmp_path / "out").read_bytes() == uninterrupted()


def test_another_memory_budget_refits_other_images_and_keeps_the_rest(tmp_path: Path) -> None:
    # 8 MB hold the activations of all 300 images, 1 MB those of a few batches.
    images = {"images": 300, "gradient_samples": 24, "method": "reconstruct"}
    large, small = ({**images, "memory_budget_bytes": size} for size in (1 << 26, 1 << 20))
    for name, options in (("large", large), ("small", small)):
        run(tmp_path / name, tmp_path / f"state-{name}", **options)
    assert (tmp_path / "large").read_bytes() != (tmp_path / "small").read_bytes()
    solved = {path: path.stat().st_mtime_ns for path in (tmp_path / "state-large").rglob("round*")}
    assert solved
    run(tmp_path / "resumed", tmp_path / "state-large", **small)
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "small").read_bytes()
    assert all(path.stat().st_mtime_ns == when for path, when in solved.items())


def test_inputs_are_the_same_every_time() -> None:
    assert str(network()) == str(network())
    assert calibration().images.equal(calibration().images)
