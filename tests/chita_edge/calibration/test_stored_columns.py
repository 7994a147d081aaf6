from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chita_edge.calibration import StateError
from chita_edge.calibration.stored_columns import Chunk, GradientStore, StoredColumns

P, N = 23, 7


def stored(folder: Path, dtype: torch.dtype, window: int, widths: tuple[int, ...] = (3, 3, 1)) -> torch.Tensor:
    """Aᵀ (P, N), written in chunks of samples to a file each, and its columns."""
    matrix = torch.randn(P, N, generator=torch.Generator().manual_seed(0)).to(dtype)
    chunks, first = [], 0
    for number, width in enumerate(widths):
        path = folder / f"{number}"
        part = matrix[:, first : first + width].contiguous()
        path.write_bytes(b"head" + part.view(torch.uint8).numpy().tobytes())
        chunks.append(Chunk(path, 4, first, width))
        first += width
    store = GradientStore(chunks, dtype, window_bytes=window * 4 * N)
    return matrix.float(), store


@settings(max_examples=60, deadline=None)
@given(
    window=st.integers(1, 30),
    bounds=st.tuples(st.integers(0, P - 1), st.integers(1, P)).filter(lambda b: b[0] < b[1]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    data=st.data(),
)
def test_does_what_the_tensor_does(
    tmp_path_factory: pytest.TempPathFactory,
    window: int,
    bounds: tuple[int, int],
    dtype: torch.dtype,
    data: st.DataObject,
) -> None:
    matrix, store = stored(tmp_path_factory.mktemp("chunks"), dtype, window)
    start, stop = bounds
    expected, found = matrix[start:stop], StoredColumns(store, start, stop)
    m = stop - start
    assert found.shape == expected.shape
    first = data.draw(st.integers(0, m))
    last = data.draw(st.integers(0, m))
    assert torch.equal(found[first:last], expected[first:last])
    index = torch.tensor(sorted(data.draw(st.sets(st.integers(0, m - 1)))), dtype=torch.int64)
    assert torch.equal(found.index_select(0, index), expected.index_select(0, index))
    v, r = torch.randn(m), torch.randn(N)
    torch.testing.assert_close(found.times(v), expected.T @ v, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.transposed_times(r), expected @ r, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.squared_norms(), expected.square().sum(1))
    torch.testing.assert_close(found.gram(0, m), expected @ expected.T, rtol=1e-4, atol=1e-5)


def test_a_window_does_not_depend_on_what_was_read_before(tmp_path: Path) -> None:
    _, store = stored(tmp_path, torch.float32, window=4)
    columns = StoredColumns(store, 3, 20)
    early = columns[5:7]
    columns[0:1]
    late = columns[5:7]
    assert early.storage_offset() == late.storage_offset() == N  # second row of the window from 4 to 8


def test_a_file_that_shrank_or_went_is_a_sentence(tmp_path: Path) -> None:
    _, store = stored(tmp_path, torch.float32, window=4)
    columns = StoredColumns(store, 0, P)
    (tmp_path / "1").write_bytes((tmp_path / "1").read_bytes()[:-4])
    with pytest.raises(StateError, match="end too early"):
        columns[P - 1 : P]
    (tmp_path / "1").unlink()
    with pytest.raises(StateError, match="cannot be read"):
        columns[0:1]
