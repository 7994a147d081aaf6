"""Sinks on a disk that takes no more. A module of its own, as the limited process imports it by its name."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import torch

from chita_edge.calibration import ScratchSpaceError
from chita_edge.calibration.sinks import AnonymousSink, FolderSink


def write_beyond_limit(folder: Path, said: Path) -> None:
    """Write a batch to each kind of sink where files may have 20,000 bytes; what they say goes to ``said``."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    sizes, batches = {"a": 10_000}, [slice(0, 1), slice(1, 2)]
    sentences = []
    for sink in (
        AnonymousSink(sizes, batches, folder, torch.float32),
        FolderSink(sizes, batches, folder / "kept", torch.float32, "ours"),
    ):
        try:
            with sink.batch(0) as write:
                write("a", torch.zeros(1, 10_000))
        except ScratchSpaceError as error:
            sentences.append(str(error))
    said.write_text("\n".join(sentences))
