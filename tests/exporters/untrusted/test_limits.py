"""Densified weights may be larger than the file by a factor, and never larger than everything."""

from __future__ import annotations

import pytest

from exporters import Limits


@pytest.mark.parametrize(("file_bytes", "dense_bytes"), [(0, 100), (10, 100), (50, 200), (10**6, 1000)])
def test_dense_bytes(file_bytes: int, dense_bytes: int) -> None:
    assert Limits(dense_factor=4, dense_bytes_always=100, total_bytes=1000).dense_bytes(file_bytes) == dense_bytes
