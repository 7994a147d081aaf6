import torch

from chita_edge.datasets.fashion_mnist import CLASSES, load_fashion_mnist, to_input


def test_the_embedded_splits_are_balanced_and_complete() -> None:
    data = load_fashion_mnist()
    assert data.test_images.shape == (10_000, 28, 28)
    assert data.calibration_images.shape == (2_000, 28, 28)
    assert torch.bincount(data.test_labels).tolist() == [1_000] * len(CLASSES)
    assert torch.bincount(data.calibration_labels).tolist() == [200] * len(CLASSES)


def test_no_calibration_image_is_a_test_image() -> None:
    data = load_fashion_mnist()
    test = {image.numpy().tobytes() for image in data.test_images}
    assert not any(image.numpy().tobytes() in test for image in data.calibration_images)


def test_inputs_are_normalised_and_scaled() -> None:
    data = load_fashion_mnist()
    images = data.calibration().images
    assert images.shape == (2_000, 1, 96, 96)
    assert abs(float(images.mean())) < 0.05
    # A constant image stays constant under bilinear scaling.
    assert torch.unique(to_input(torch.full((1, 28, 28), 255, dtype=torch.uint8))).numel() == 1
