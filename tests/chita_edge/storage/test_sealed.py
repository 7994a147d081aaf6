from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from chita_edge.storage.errors import ScratchSpaceError, StateError
from chita_edge.storage.sealed import HEADER_BYTES, check_sealed, seal, sealing, unseal

SHAPE = (5, 3)


def layout(dtype: torch.dtype = torch.float32) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    return {"gradients": (dtype, SHAPE)}


def written(path: Path, dtype: torch.dtype = torch.float32, fingerprint: str = "ours", key: str = "3") -> torch.Tensor:
    rows = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0)).to(dtype)
    with sealing(path, layout(dtype), fingerprint, key) as write:
        write(rows[:2])
        write(rows[2:])
    return rows


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_is_a_safetensors_file(dtype: torch.dtype, tmp_path: Path) -> None:
    path = tmp_path / "batch.safetensors"
    rows = written(path, dtype)
    assert torch.equal(load_file(path)["gradients"], rows)
    check_sealed(path, layout(dtype), "ours", "3")
    assert torch.equal(unseal(path, "ours", "3")[0]["gradients"], rows)
    assert path.stat().st_size == HEADER_BYTES + rows.numel() * rows.element_size()
    assert list(tmp_path.iterdir()) == [path]


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=8),
        st.tuples(
            st.sampled_from(
                [torch.bool, torch.uint8, torch.int64, torch.float16, torch.float32, torch.float64, torch.bfloat16]
            ),
            st.lists(st.integers(0, 3), max_size=3),
        ),
        max_size=4,
    ),
    st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False) | st.integers(-9, 9), max_size=3),
)
def test_gives_back_what_was_sealed(
    tmp_path_factory: pytest.TempPathFactory, kinds: dict[str, tuple[torch.dtype, list[int]]], numbers: dict[str, float]
) -> None:
    path = tmp_path_factory.getbasetemp() / "sealed"
    tensors = {name: torch.randint(0, 2, tuple(shape)).to(dtype) for name, (dtype, shape) in kinds.items()}
    seal(path, tensors, "ours", "any/key é", numbers)
    found, told = unseal(path, "ours", "any/key é")
    assert told == numbers
    assert found.keys() == tensors.keys()
    assert all(
        torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype for name, tensor in tensors.items()
    )


def test_every_flipped_bit_and_every_cut_is_found(tmp_path: Path) -> None:
    path = tmp_path / "batch.safetensors"
    written(path)
    whole = path.read_bytes()
    places = [*range(0, 500, 7), 1000, HEADER_BYTES - 1, HEADER_BYTES, len(whole) - 1]
    for number, at in enumerate(places):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << number % 8
        path.write_bytes(damaged)
        for read in (lambda: unseal(path, "ours", "3"), lambda: check_sealed(path, layout(), "ours", "3")):
            with pytest.raises(StateError, match=r"(is damaged|belongs to another).*Remove that file"):
                read()
    for length in (0, 1, 8, 10, HEADER_BYTES, len(whole) - 1, len(whole) + 1):
        path.write_bytes(whole.ljust(length, b"x")[:length])
        with pytest.raises(StateError, match="is damaged"):
            unseal(path, "ours", "3")


@pytest.mark.parametrize("size", [1 << 20, 1 << 62, (1 << 64) - 1])
def test_a_file_is_not_believed_about_its_size(size: int, tmp_path: Path) -> None:
    path = tmp_path / "batch.safetensors"
    path.write_bytes(size.to_bytes(8, "little") + b"{}")
    with pytest.raises(StateError, match="is damaged"):
        unseal(path, "ours", "3")


@pytest.mark.parametrize("header", [b"[]", b"{}", b'{"__metadata__":{}}', b"[" * 5000, b"\xff", b"null"])
def test_another_files_header_is_a_sentence(header: bytes, tmp_path: Path) -> None:
    path = tmp_path / "batch.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(StateError, match="is damaged"):
        unseal(path, "ours", "3")


@pytest.mark.parametrize("other", [{"fingerprint": "theirs"}, {"key": "4"}])
def test_another_runs_file_or_another_part_is_refused(other: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "batch.safetensors"
    written(path, **other)
    with pytest.raises(StateError, match="another network"):
        check_sealed(path, layout(), "ours", "3")
    with pytest.raises(StateError, match="another network"):
        unseal(path, "ours", "3")


def test_another_layout_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "batch.safetensors"
    written(path)
    with pytest.raises(StateError, match="is damaged"):
        check_sealed(path, {"gradients": (torch.float32, (3, 5))}, "ours", "3")


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), sealing(tmp_path / "a", layout(), "ours", "3") as write:
        write(torch.zeros(2, 3))
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(ScratchSpaceError, match="cannot be written"),
        sealing(tmp_path / "missing" / "a", layout(), "ours", "3"),
    ):
        pass
