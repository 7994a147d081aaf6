"""The embedded recordings are whole, and nobody is in both splits."""

from __future__ import annotations

import torch

from chita_edge.datasets import watch_activity
from chita_edge.datasets.watch_activity import CLASSES, TEST_SUBJECTS, WINDOW, load_watch_activity, read_recordings


def test_ten_people_do_seven_exercises_with_both_arms() -> None:
    recordings = read_recordings()
    pairs = [(recording.subject, recording.label) for recording in recordings]
    assert sorted(pairs) == [(person, label) for person in range(1, 11) for label in range(7) for _ in range(2)]
    assert sum(recording.series.shape[1] for recording in recordings) == 244_102


def test_stored_numbers_are_the_published_ones() -> None:
    """The first samples of the first recording, in g and rad/s, to half a step."""
    series = watch_activity.to_input(read_recordings()[0].series[None, :, :2])[0]
    published = torch.tensor(
        [
            [-1.083608, -0.018609, -0.02726, 0.41141, -1.603097, -2.488642],
            [-1.077527, -0.021503, -0.018727, 0.456227, -1.778859, -2.354247],
        ]
    )
    error = (series.T - published).abs()
    assert (error <= 0.5 / torch.tensor(watch_activity.STEPS)).all()


def test_windows_overlap_by_half_and_no_person_is_in_both_splits() -> None:
    data = load_watch_activity()
    recordings = read_recordings()
    counts = dict.fromkeys(range(1, 11), 0)
    for recording in recordings:
        counts[recording.subject] += 1 + (recording.series.shape[1] - WINDOW) // (WINDOW // 2)
    assert len(data.test_images) == sum(counts[person] for person in TEST_SUBJECTS)
    assert len(data.calibration_images) == sum(counts.values()) - len(data.test_images)
    assert torch.equal(data.test_images[0, :, WINDOW // 2 :], data.test_images[1, :, : WINDOW // 2])
    test = {window.numpy().tobytes() for window in data.test_images}
    assert not any(window.numpy().tobytes() in test for window in data.calibration_images)
    assert torch.bincount(data.test_labels, minlength=len(CLASSES)).tolist() == [59, 94, 96, 81, 81, 61, 69]


def test_inputs_are_in_g_and_radians_per_second() -> None:
    inputs = load_watch_activity().calibration(500).images
    assert inputs.dtype == torch.float32
    assert inputs.shape == (500, 6, WINDOW)
    # A watch that is moved slowly measures gravity.
    assert 0.9 < inputs[:, :3].norm(dim=1).mean() < 1.2
