from __future__ import annotations

from pathlib import Path

import pytest

from chita_edge.deploy.weights_file import PrunedFile
from chita_edge.engine.result import DistillationStep, LayerFigures, PruneFigures
from chita_edge.report.prune_table import print_prune


def test_says_what_became_of_every_distillation(capsys: pytest.CaptureFixture[str]) -> None:
    steps = DistillationStep.of(0.4, 1, 0.5, 0.25), DistillationStep.of(0.8, 2, 0.5, 0.75)
    figures = PruneFigures(
        "chita_bso", "1x4", 0.8, 1.5, (2.0, 1.5), 6, {"solve": 1.0},
        (LayerFigures("fc.weight", (10, 20), 40, 0.8),), threads=1, distilled_epochs=1, distillation=steps,
    )  # fmt: skip
    print_prune(PrunedFile("resnet20_cifar", Path("out.pt"), 6, figures, None))
    told = capsys.readouterr().out
    assert "fc.weight" in told
    assert "10×20" in told
    assert [step.reason for step in steps] == [line for line in told.splitlines() if line.startswith("Distillation")]
