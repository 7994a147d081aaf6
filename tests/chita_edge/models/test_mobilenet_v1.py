import torch

from chita_edge.models.mobilenet_v1 import MobileNetV1


def test_full_width_has_the_papers_size() -> None:
    # Howard et al. 2017, table 4: 4.2 million parameters, 569 million multiply-adds at 224×224.
    model = MobileNetV1()
    assert sum(p.numel() for p in model.parameters()) == 4_231_976
    macs = 0
    side = 224
    for name, parameter in model.named_parameters():
        if parameter.ndim == 4:
            block, half = name.split(".")[1:3]
            if block == "0" or (half == "0" and int(block) in (2, 4, 6, 12)):
                side //= 2
            macs += parameter.numel() * side * side
        elif parameter.ndim == 2:
            macs += parameter.numel()
    assert round(macs / 1e6) == 569


def test_forward_at_the_embedded_size() -> None:
    model = MobileNetV1(width=0.5, num_classes=10, in_channels=1).eval()
    assert model(torch.zeros(2, 1, 96, 96)).shape == (2, 10)


def test_parameter_names_follow_torchvisions_manner() -> None:
    names = list(MobileNetV1(width=0.25).state_dict())
    assert names[:2] == ["features.0.0.weight", "features.0.1.weight"]
    assert "features.13.1.0.weight" in names
    assert names[-2:] == ["classifier.1.weight", "classifier.1.bias"]
