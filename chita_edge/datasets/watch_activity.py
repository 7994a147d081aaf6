"""Seven shoulder exercises by the sensors of a smart watch (Burns et al. 2018, arXiv 1802.01489; BSD, from seglearn).

Ten people did about twenty repetitions of each exercise with each arm. The recordings are those that seglearn ships,
rounded to `STEPS`; people whose windows are judged on are never trained, pruned or calibrated on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from chita_edge.datasets.dataset import Dataset

FILE = Path(__file__).parent / "files" / "watch_activity.npz"
HERTZ = 50
WINDOW = 256  # samples of one input: 5.12 s
STRIDE = WINDOW // 2  # from one window to the next of a recording
STEPS = (512, 512, 512, 256, 256, 256)  # stored numbers per g of acceleration and per rad/s of angular rate
CLASSES = ("pendulum", "abduction", "forward elevation", "internal rotation", "external rotation", "trapezius", "row")
TEST_SUBJECTS = (8, 9, 10)


@dataclass(frozen=True)
class Recording:
    """One exercise of one person and arm.

    Attributes:
        series: int16 (6, samples) in units of 1 / `STEPS`: acceleration and angular rate along x, y and z.
        label: the exercise, a place in `CLASSES`.
        subject: the person, from 1.
    """

    series: torch.Tensor
    label: int
    subject: int


def read_recordings() -> list[Recording]:
    """All recordings, in their published order."""
    with FILE.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        whole = np.stack((arrays["low"], arrays["high"]), axis=-1).view("<i2")[..., 0].astype(np.int16)
        ends = np.cumsum(arrays["lengths"])
        parts = np.split(whole, ends[:-1], axis=1)
        labels, subjects = arrays["labels"].tolist(), arrays["subjects"].tolist()
    return [Recording(torch.from_numpy(part.copy()), *of) for part, *of in zip(parts, labels, subjects, strict=True)]


def to_input(windows: torch.Tensor) -> torch.Tensor:
    """int16 (n, 6, time) → float32 (n, 6, time): acceleration in g, angular rate in rad/s."""
    return windows / torch.tensor(STEPS, dtype=torch.float32)[:, None]


def windows_of(recordings: list[Recording]) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows int16 (n, 6, `WINDOW`) that overlap by half, and their exercises, int64 (n,)."""
    cut = [recording.series.unfold(1, WINDOW, STRIDE).transpose(0, 1) for recording in recordings]
    labels = [torch.full((len(windows),), recording.label) for windows, recording in zip(cut, recordings, strict=True)]
    return torch.cat(cut), torch.cat(labels)


def load_watch_activity() -> Dataset:
    """The embedded windows; those of the people in `TEST_SUBJECTS` are the test set."""
    recordings = read_recordings()
    calibration = windows_of([one for one in recordings if one.subject not in TEST_SUBJECTS])
    test = windows_of([one for one in recordings if one.subject in TEST_SUBJECTS])
    return Dataset("watch_activity", CLASSES, "BSD-3-Clause", to_input, *calibration, *test)
