"""Train the embedded MobileNetV1 (width 0.5, 96×96) on Fashion-MNIST from scratch; about an hour on two idle cores.

    python training/train_mobilenet.py --data /usr/share/datasets/fashion-mnist --out runs/mobilenet

``--data`` is the folder of the four IDX files, as Debian's package ``dataset-fashion-mnist`` installs them. The run can
be stopped and repeated: it goes on from the checkpoint in ``--out``. Most epochs run at 48×48, where a step costs a
quarter, the last ones at the final 96×96; a second, shorter cycle of the learning rate follows without erased squares,
which a schedule this short cannot digest. The test images are looked at once, after the last epoch.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional

from chita_edge.datasets.fashion_mnist import to_input
from chita_edge.models.mobilenet_v1 import MobileNetV1

BATCH = 128
WEIGHT_DECAY = 5e-4
LABEL_SMOOTHING = 0.1
AVERAGE_DECAY = 0.998
WARM_UP = 1 / 12  # of a cycle


@dataclass(frozen=True)
class Epoch:
    """One pass over the images: at which size, with how strong an augmentation, and the learning rate's cycle."""

    size: int
    erase: bool
    peak_rate: float
    begin: float  # share of the cycle that has passed when the epoch begins and ends
    end: float

    def rate(self, progress: float) -> float:
        """Learning rate after that share of the epoch: linear warm-up times half a cosine."""
        passed = self.begin + (self.end - self.begin) * progress
        return self.peak_rate * min(1.0, passed / WARM_UP) * 0.5 * (1 + math.cos(math.pi * passed))


def cycle(sizes: list[int], peak_rate: float, erase: bool) -> list[Epoch]:
    """One cycle of the learning rate, an epoch at each of the sizes."""
    return [Epoch(size, erase, peak_rate, i / len(sizes), (i + 1) / len(sizes)) for i, size in enumerate(sizes)]


SCHEDULE = cycle([48] * 11 + [96] * 5, peak_rate=0.2, erase=True) + cycle([96] * 4, peak_rate=0.05, erase=False)


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array of a gzipped IDX file."""
    raw = gzip.decompress(path.read_bytes())
    rank = raw[3]
    shape = np.frombuffer(raw, ">u4", rank, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def augment(images: torch.Tensor, erase: bool, rng: torch.Generator) -> torch.Tensor:
    """Random flip, shift by up to two pixels and one erased square, at 28×28 where it is cheap; uint8 in and out."""
    n = len(images)
    flip = torch.rand(n, generator=rng) < 0.5
    images = torch.where(flip[:, None, None], images.flip(2), images)
    padded = functional.pad(images, (2, 2, 2, 2))
    top, left = (torch.randint(0, 5, (n, 1, 1), generator=rng) for _ in range(2))
    rows = top + torch.arange(28)[None, :, None]
    columns = left + torch.arange(28)[None, None, :]
    images = padded[torch.arange(n)[:, None, None], rows, columns]
    if not erase:
        return images
    side = torch.randint(0, 11, (n, 1), generator=rng)
    where = torch.arange(28)[None]
    centre_row, centre_column = (torch.randint(0, 28, (n, 1), generator=rng) for _ in range(2))
    in_rows = (where - centre_row).abs() * 2 < side
    in_columns = (where - centre_column).abs() * 2 < side
    return images.masked_fill(in_rows[:, :, None] & in_columns[:, None, :], 0)


def accuracy(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, size: int) -> float:
    """Share of `images` that `model`, put in eval mode, labels correctly."""
    model.eval()
    with torch.inference_mode():
        right = sum(
            int((model(to_input(x, size).to(memory_format=torch.channels_last)).argmax(1) == y).sum())
            for x, y in zip(images.split(500), labels.split(500), strict=True)
        )
    return right / len(images)


def parameter_groups(model: torch.nn.Module) -> list[dict[str, object]]:
    """Decay on the 1×1 convolutions and the classifier only: depthwise filters, BN and biases suffer from it."""
    decayed = [p for p in model.parameters() if p.ndim >= 2 and p.shape[1] > 1]
    kept = {id(p) for p in decayed}
    rest = [p for p in model.parameters() if id(p) not in kept]
    return [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": rest, "weight_decay": 0.0}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    checkpoint = arguments.out / "checkpoint.pt"

    torch.manual_seed(arguments.seed)
    images = torch.from_numpy(read_idx(arguments.data / "train-images-idx3-ubyte.gz").copy())
    labels = torch.from_numpy(read_idx(arguments.data / "train-labels-idx1-ubyte.gz").copy()).long()
    model = MobileNetV1(width=0.5, num_classes=10, in_channels=1).to(memory_format=torch.channels_last)
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(AVERAGE_DECAY), use_buffers=True
    )
    optimizer = torch.optim.SGD(parameter_groups(model), lr=SCHEDULE[0].peak_rate, momentum=0.9, nesterov=True)
    steps_per_epoch = len(images) // BATCH
    done = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        done = state["epochs"]

    for number, epoch in enumerate(SCHEDULE[done:], start=done):
        rng = torch.Generator().manual_seed(arguments.seed * 1000 + number)
        order = torch.randperm(len(images), generator=rng)
        started, running = time.monotonic(), 0.0
        model.train()
        for step in range(steps_per_epoch):
            for group in optimizer.param_groups:
                group["lr"] = epoch.rate(step / steps_per_epoch)
            chosen = order[step * BATCH : (step + 1) * BATCH]
            x = to_input(augment(images[chosen], epoch.erase, rng), epoch.size).to(memory_format=torch.channels_last)
            loss = functional.cross_entropy(model(x), labels[chosen], label_smoothing=LABEL_SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            average.update_parameters(model)
            running += float(loss.detach())
        seconds = time.monotonic() - started
        mean_loss = running / steps_per_epoch
        print(
            f"epoch {number + 1}/{len(SCHEDULE)} at {epoch.size} px: loss {mean_loss:.4f}, {seconds:.0f} s", flush=True
        )
        state = {"model": model.state_dict(), "average": average.state_dict()}
        torch.save({**state, "optimizer": optimizer.state_dict(), "epochs": number + 1}, checkpoint)

    test_images = torch.from_numpy(read_idx(arguments.data / "t10k-images-idx3-ubyte.gz").copy())
    test_labels = torch.from_numpy(read_idx(arguments.data / "t10k-labels-idx1-ubyte.gz").copy()).long()
    score = accuracy(average.module, test_images, test_labels, SCHEDULE[-1].size)
    weights = {name: tensor.contiguous() for name, tensor in average.module.state_dict().items()}
    save_file(weights, arguments.out / "mobilenet_v1_050_96_fashion_mnist.safetensors")
    (arguments.out / "result.json").write_text(json.dumps({"seed": arguments.seed, "test_accuracy": score}) + "\n")
    print(f"test accuracy {score:.4f}")


if __name__ == "__main__":
    main()
