"""Train the embedded activity network on the embedded smart-watch recordings; a minute of an idle core a seed.

    python training/train_watch.py --out runs/watch [--seeds 5] [--validate]

Each seed trains on people 1 to 7 and is judged once, after its last step, on people 8 to 10; beside it stand the
nearest class mean and a logistic regression on five statistics of each channel of the same windows. The weights of seed
0 are those that the package carries. ``--validate`` holds out two of the seven people in turn instead, and never looks
at the test windows: window, kernels, strides and augmentation were chosen so.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn import functional

from chita_edge.datasets.watch_activity import (
    CLASSES,
    TEST_SUBJECTS,
    WINDOW,
    Recording,
    read_recordings,
    to_input,
    windows_of,
)
from chita_edge.models import get_model

BATCH = 64
STEPS = 600
PEAK_RATE = 3e-3
WEIGHT_DECAY = 1e-2
LABEL_SMOOTHING = 0.1
ROTATION = 0.3  # radians, standard deviation about each axis: a watch is never worn twice the same way
SCALE = 0.1  # of the signals, standard deviation
WARP = 0.15  # largest change of pace
RIDGE = 0.1  # of the logistic regression, chosen among 0.001, 0.01 and 0.1 on people held out of the training ones
HELD_OUT = ((6, 7), (1, 2), (3, 4))


class Windows:
    """Random windows of recordings, each at a pace, in a position and of a strength of its own."""

    def __init__(self, recordings: list[Recording], seed: int) -> None:
        self.series = to_input(torch.cat([one.series for one in recordings], 1)[None])[0]
        ends = torch.tensor([one.series.shape[1] for one in recordings]).cumsum(0)
        begins = torch.cat([torch.zeros(1, dtype=torch.int64), ends[:-1]])
        self.starts = torch.cat([torch.arange(a, b - WINDOW + 1) for a, b in zip(begins, ends, strict=True)])
        self.labels = torch.tensor([one.label for one in recordings])[torch.searchsorted(ends, self.starts, right=True)]
        self.rng = torch.Generator().manual_seed(seed)

    def draw(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Network inputs (count, 6, WINDOW) and their exercises."""
        chosen = torch.randint(0, len(self.starts), (count,), generator=self.rng)
        pace = 1 + WARP * (2 * torch.rand(count, 1, generator=self.rng) - 1)
        times = self.starts[chosen, None] + (WINDOW + (2 * torch.arange(WINDOW) - WINDOW) * pace.double()) / 2
        times = times.clamp(0, self.series.shape[1] - 1.001)
        before = times.long()
        share = (times - before).float()
        x = (self.series[:, before] * (1 - share) + self.series[:, before + 1] * share).transpose(0, 1)
        turn = _rotations(ROTATION * torch.randn(count, 3, generator=self.rng))
        strength = 1 + SCALE * torch.randn(count, 1, 1, generator=self.rng)
        return strength * torch.cat([turn @ x[:, :3], turn @ x[:, 3:]], 1), self.labels[chosen]


def _rotations(vectors: torch.Tensor) -> torch.Tensor:
    """Rotation matrices (n, 3, 3) about vectors (n, 3), by about their lengths in radians: Cayley's transform."""
    zero = torch.zeros(len(vectors))
    x, y, z = vectors.T
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).view(-1, 3, 3) / 2
    return torch.linalg.solve(torch.eye(3) + skew, torch.eye(3) - skew)


def train(recordings: list[Recording], seed: int) -> torch.nn.Module:
    """The network in evaluation mode."""
    torch.manual_seed(seed)
    network, windows = get_model("watch-activity").architecture(), Windows(recordings, seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=STEPS, pct_start=0.2)
    for _ in range(STEPS):
        x, labels = windows.draw(BATCH)
        loss = functional.cross_entropy(network(x), labels, label_smoothing=LABEL_SMOOTHING)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def statistics(inputs: torch.Tensor) -> torch.Tensor:
    """Mean, deviation, least, largest and mean change from sample to sample of each channel: (n, 30)."""
    changes = inputs.diff(dim=2).abs().mean(2)
    return torch.cat([inputs.mean(2), inputs.std(2), inputs.amin(2), inputs.amax(2), changes], 1)


def baselines(recordings: list[Recording], inputs: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """Accuracies of the two simple classifiers on inputs, trained on the windows of the recordings."""
    windows, known = windows_of(recordings)
    features = statistics(to_input(windows))
    mean, std = features.mean(0), features.std(0)
    features, asked = (features - mean) / std, (statistics(inputs) - mean) / std
    means = torch.stack([features[known == label].mean(0) for label in range(len(CLASSES))])
    weight = torch.zeros(features.shape[1], len(CLASSES), requires_grad=True)
    bias = torch.zeros(len(CLASSES), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(features @ weight + bias, known) + RIDGE * weight.square().sum() / 2
        loss.backward()
        return loss

    optimizer.step(closure)
    return {
        "nearest class mean": _share(torch.cdist(asked, means).argmin(1), labels),
        "logistic regression": _share((asked @ weight + bias).argmax(1), labels),
    }


def _share(predicted: torch.Tensor, labels: torch.Tensor) -> float:
    return float((predicted == labels).float().mean())


def judge(people: tuple[int, ...], seeds: int) -> tuple[dict[str, float | list[float]], torch.nn.Module]:
    """Accuracies on the windows of these people of networks and baselines that others of the training people taught."""
    everybody = read_recordings()
    taught = [one for one in everybody if one.subject not in {*TEST_SUBJECTS, *people}]
    windows, labels = windows_of([one for one in everybody if one.subject in people])
    inputs = to_input(windows)
    networks = [train(taught, seed) for seed in range(seeds)]
    with torch.inference_mode():
        shares = [_share(network(inputs).argmax(1), labels) for network in networks]
    result: dict[str, float | list[float]] = {"windows": len(labels), "network": shares}
    return {**result, **baselines(taught, inputs, labels)}, networks[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--validate", action="store_true")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # so that the sums are the same wherever it runs
    results = {}
    for people in HELD_OUT if arguments.validate else (TEST_SUBJECTS,):
        results[str(people)], first = judge(people, arguments.seeds)
        print(f"people {people}: {results[str(people)]}", flush=True)
        if not arguments.validate:
            save_file(first.state_dict(), arguments.out / "watch_activity.safetensors")
    name = "validation.json" if arguments.validate else "result.json"
    (arguments.out / name).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
