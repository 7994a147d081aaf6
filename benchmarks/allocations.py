"""Which allocation should be the default: accuracy of the default method on calibration images that it has not seen.

    python benchmarks/allocations.py --weights FILE.pt --data FILE.npz --json FILE

prunes ResNet-20 (weights and images of the two files) and the embedded MobileNet with 1,000 calibration images and
judges them on 2,000 others of the same split; no test image is used. It prints a line for each network, sparsity,
allocation and seed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import nn

from chita_edge import PruneConfig, datasets, prune
from chita_edge.datasets import LabelledImages
from chita_edge.models import get_model, load_weights

_CALIBRATION, _HELD_OUT = 1000, 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True, help="state dict of ResNet-20")
    parser.add_argument("--data", type=Path, required=True, help="npz with x_calib and y_calib")
    parser.add_argument("--allocations", nargs="+", default=["global", "balanced"])
    parser.add_argument("--sparsities", nargs="+", type=float, default=[0.8, 0.9])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    for name in ("resnet20_cifar", "mobilenet"):
        model, images = _network(name, arguments.weights, arguments.data)
        for seed in arguments.seeds:
            order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
            seen, held_out = order[:_CALIBRATION], order[_CALIBRATION : _CALIBRATION + _HELD_OUT]
            assert images.labels is not None
            judged = LabelledImages(images.images[held_out], images.labels[held_out])
            for sparsity in arguments.sparsities:
                for allocation in arguments.allocations:
                    config = PruneConfig(
                        sparsity=sparsity,
                        allocation=allocation,
                        loss="cross_entropy",
                        seed=seed,
                        threads=arguments.threads,
                    )
                    calibration = LabelledImages(images.images[seen], images.labels[seen])
                    pruned = prune(model, calibration, config, prunable=get_model(name).prunable(model)).model
                    rows.append(
                        {
                            "network": name,
                            "sparsity": sparsity,
                            "allocation": allocation,
                            "seed": seed,
                            "dense": _accuracy(model, judged),
                            "accuracy": _accuracy(pruned, judged),
                        }
                    )
                    print(rows[-1], flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


def _network(name: str, weights: Path, data: Path) -> tuple[nn.Module, LabelledImages]:
    entry = get_model(name)
    model = entry.architecture().eval()
    if entry.dataset is None:
        load_weights(model, weights)
        own = datasets.load_user_data(data, entry.input_shape, 10, entry.normalisation)
        return model, LabelledImages(own.images, own.labels)
    assert entry.embedded_weights is not None
    load_weights(model, entry.embedded_weights)
    return model, datasets.load(entry.dataset).calibration()


def _accuracy(model: nn.Module, data: LabelledImages) -> float:
    assert data.labels is not None
    with torch.inference_mode():
        answers = torch.cat([model(batch).argmax(1) for batch in data.images.split(100)])
    return float((answers == data.labels).float().mean())


if __name__ == "__main__":
    main()
