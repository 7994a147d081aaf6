"""One small network as users bring it: code, a program of torch.export, an ONNX file of another exporter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

CODE = '''
import torch
from torch import nn

class Net(nn.Module):
    """A stem, a pointwise convolution with batch norm, a classifier."""

    def __init__(self, width=16, classes=4):
        super().__init__()
        torch.manual_seed(0)
        self.a = nn.Conv2d(3, width, 3, padding=1, stride=2)
        self.b = nn.Conv2d(width, 32, 1)
        self.n = nn.BatchNorm2d(32)
        self.f = nn.Linear(32, classes)

    def forward(self, image):
        return self.f(torch.relu(self.n(self.b(torch.relu(self.a(image))))).mean((2, 3)))
'''


class Net(nn.Module):
    """The network of CODE."""

    def __init__(self, width: int = 16, classes: int = 4) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a = nn.Conv2d(3, width, 3, padding=1, stride=2)
        self.b = nn.Conv2d(width, 32, 1)
        self.n = nn.BatchNorm2d(32)
        self.f = nn.Linear(32, classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return self.f(torch.relu(self.n(self.b(torch.relu(self.a(image))))).mean((2, 3)))


def as_onnx(sides: tuple[int | str, int | str] = ("height", "width"), opset: int = 11) -> onnx.ModelProto:
    """The network as another exporter writes it: no names of nodes, MatMul + Add, batch norm apart, weights inputs."""
    network = Net().eval()
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items() if tensor.ndim}
    state["f.weight"] = np.ascontiguousarray(state["f.weight"].T)
    nodes = [
        helper.make_node("Conv", ["image", "a.weight", "a.bias"], ["c1"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "b.weight", "b.bias"], ["c2"]),
        helper.make_node("BatchNormalization", ["c2", "n.weight", "n.bias", "n.running_mean", "n.running_var"], ["n"]),
        helper.make_node("Relu", ["n"], ["r2"]),
        helper.make_node("ReduceMean", ["r2"], ["m"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["m", "f.weight"], ["p"]),
        helper.make_node("Add", ["p", "f.bias"], ["classes"]),
    ]
    constants = [helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape) for name, array in state.items()]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, *sides]), *constants],
        [helper.make_tensor_value_info("classes", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(array, name) for name, array in state.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=6)


def as_program(path: Path) -> None:
    """Write the network as a program of torch.export, its height and width open."""
    batch, height, width = (torch.export.Dim(name, min=least) for name, least in (("b", 1), ("h", 4), ("w", 4)))
    sides = {0: batch, 2: height, 3: width}
    program = torch.export.export(Net().eval(), (torch.randn(2, 3, 8, 8),), dynamic_shapes=(sides,))
    torch.export.save(program, path)


def samples(path: Path, count: int = 60) -> None:
    """Write an npz of random images with the classes that the network gives them."""
    images = torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        labels = Net().eval()(images).argmax(1)
    half = count // 2
    x, y = images.numpy(), labels.numpy()
    np.savez(path, x_calib=x[:half], y_calib=y[:half], x_val=x[half:], y_val=y[half:])
