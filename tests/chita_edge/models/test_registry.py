import pytest
import torch

from chita_edge import datasets
from chita_edge.errors import UsageError
from chita_edge.models import MODELS, get_model, load_weights


@pytest.mark.parametrize("name", sorted(MODELS))
def test_each_entry_is_whole(name: str) -> None:
    entry = get_model(name)
    model = entry.architecture()
    parameters = dict(model.named_parameters())
    assert entry.prunable(model)
    assert all(prunable in parameters for prunable in entry.prunable(model))
    if entry.embedded_weights is not None:
        assert entry.embedded_weights.is_file()
        load_weights(model, entry.embedded_weights)
    if entry.dataset is not None:
        assert datasets.load(entry.dataset).calibration(1).images.shape[1:] == entry.input_shape


def test_unknown_model_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no model 'mobilnet'.*mobilenet"):
        get_model("mobilnet")


def test_the_embedded_network_is_as_accurate_in_torch_as_it_is_said_to_be() -> None:
    """On a tenth of the test images; test_pipeline.py judges the exported network on all of them."""
    entry = get_model("mobilenet")
    model = entry.architecture().eval()
    assert entry.embedded_weights is not None
    load_weights(model, entry.embedded_weights)
    test = datasets.load("fashion_mnist").test(1000)
    with torch.inference_mode():
        predicted = torch.cat([model(batch).argmax(1) for batch in test.images.split(20)])
    assert (predicted == test.labels).float().mean().item() >= 0.93


def test_normalised_pixels_are_those_of_the_definition() -> None:
    entry = get_model("resnet20_cifar")
    image = torch.tensor([0, 128, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    expected = [(0 - 0.4914) / 0.2023, (128 / 255 - 0.4822) / 0.1994, (1 - 0.4465) / 0.2010]
    assert entry.normalisation(image).flatten().tolist() == pytest.approx(expected, rel=1e-5)
