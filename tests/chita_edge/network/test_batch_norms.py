from __future__ import annotations

import torch
from torch import nn

from chita_edge.network.batch_norms import following_batch_norms


class Net(nn.Module):
    """A batch norm right behind a convolution, one behind an activation, and a layer without any."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(2, 2, 1) for _ in range(3))
        self.norm_of_a, self.other = nn.BatchNorm2d(2), nn.BatchNorm2d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm_of_a(self.a(x)) + x
        return self.c(self.other(self.b(x).relu()))


def test_finds_only_what_reads_the_output_itself() -> None:
    net = Net().eval()
    found = following_batch_norms(net, ("a.weight", "b.weight", "c.weight"), torch.ones(1, 2, 3, 3))
    assert found == {"a.weight": net.norm_of_a}
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
