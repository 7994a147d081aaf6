from __future__ import annotations

import pytest
import torch
from mixed_networks import SmallMixed, SmallMixedSeries, SmallNext, SmallTokens
from small_networks import SmallMobile, SmallRecording, SmallResidual, SmallSeries, inputs_of, pictures, series, settled
from torch import nn
from torch.nn import functional

from chita_edge.models import get_model
from chita_edge.quantization import CompressionConfig, UnsupportedNetworkError, compress, trace
from chita_edge.quantization.integer_reference import integer_forward


@pytest.mark.parametrize("kind", [SmallResidual, SmallMobile, SmallSeries, SmallRecording])
def test_is_the_networks_function_with_batch_norm_folded(kind: type[nn.Module]) -> None:
    model, images = settled(kind), inputs_of(kind)(4, 0)
    graph = trace(model)
    with torch.no_grad():
        torch.testing.assert_close(graph(images), model(images), rtol=1e-4, atol=1e-5)
    assert not [step for step in graph.steps if "norm" in step.name]


@pytest.mark.parametrize(
    "name", ["mobilenet", "resnet20_cifar", "mobilenet_v3_small", "efficientnet_lite0", "ds_cnn", "watch-activity"]
)
def test_knows_our_networks(name: str) -> None:
    entry = get_model(name)
    model = entry.architecture().eval()
    graph = trace(model)
    modules = [key for key, module in model.named_modules() if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear)]
    assert set(graph.layers) == set(modules)
    known = {"input", "layer", "add", "multiply", "table", "average_pool", "max_pool", "flatten"}
    assert {step.op for step in graph.steps} <= known


def test_batch_norm_without_a_layer_before_it_is_a_depthwise_layer() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 4, 1), nn.Flatten()).eval()
    model[0].running_mean.copy_(torch.tensor([0.5, -1.0, 0.0]))
    graph, images = trace(model), pictures(2)
    assert graph.layers["0"].groups == 3
    with torch.no_grad():
        torch.testing.assert_close(graph(images), model(images))


class TwoReaders(nn.Module):
    """The batch norm of a layer whose own output is read too cannot be folded into it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layer(x)
        return torch.relu(self.norm(y)) + torch.relu(y)


def test_what_has_two_readers_stays() -> None:
    model = TwoReaders().eval()
    nn.init.uniform_(model.norm.running_mean)
    with torch.no_grad():
        torch.testing.assert_close(trace(model)(pictures(2)), model(pictures(2)))


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(self.layer(x))


class Depends(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if float(x.sum()) > 0 else -x


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Twice(), "layer is used twice"),
        (Depends(), "cannot be traced"),
        (nn.Sequential(nn.Conv2d(3, 4, 1), nn.GELU()), "no integer form of the GELU 1"),
        (nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")), "0 pads with reflect"),
        (nn.Sequential(nn.Conv1d(3, 4, 1), nn.Unflatten(2, (2, 2)), nn.Conv2d(4, 4, 1)), "Unflatten"),
        (nn.Sequential(nn.Conv1d(3, 4, 1), nn.Conv2d(4, 4, 1)), "Conv2d 1 in a network of series"),
        (nn.Sequential(nn.Conv1d(3, 4, 1), nn.MaxPool1d(2, ceil_mode=True)), "MaxPool1d 1"),
        (nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4)), "behind what is no linear layer"),
        (nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)), "keeps no statistics"),
        (nn.Bilinear(2, 2, 2), "more than one input|no integer form|arguments"),
    ],
)
def test_refusals_name_the_place(model: nn.Module, message: str) -> None:
    with pytest.raises(UnsupportedNetworkError, match=message):
        trace(model.eval())


class PaddedConvolution(nn.Conv2d):
    """A convolution that pads as TensorFlow does, in a forward of its own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(functional.pad(x, (0, 1, 0, 1)))


def test_zeros_before_a_convolution_become_its_own() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.ZeroPad2d((1, 2, 0, 1)), nn.Conv2d(3, 8, 3, 2, (1, 0)), nn.BatchNorm2d(8), nn.ReLU(),
        PaddedConvolution(8, 8, 3, 2, groups=8), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    ).eval()  # fmt: skip
    graph, images = trace(model), pictures(4)
    assert [layer.pads for layer in graph.layers.values()][:2] == [(1, 1, 2, 2), (0, 0, 1, 1)]
    torch.testing.assert_close(graph(images), model(images))
    config = CompressionConfig(sparsity=0.5, rows=200, curvature_images=8, activation_rounds=1)
    network = compress(model, pictures(40, 5), config).network
    assert network is not None
    wanted = integer_forward(network, images)
    for step, values in network.walk(images):
        assert (values.numpy() == wanted[step.name]).all(), step.name


class Functional(nn.Module):
    """Pools as functions, with the whole image by name."""

    def __init__(self) -> None:
        super().__init__()
        self.causal = nn.Conv2d(3, 4, 3, padding="valid")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool2d(self.causal(functional.pad(x, (2, 0, 1, 0))), 3, stride=2, padding=1)
        x = functional.avg_pool2d(x, kernel_size=2)
        return torch.flatten(torch.cat((x.amax((2, 3), keepdim=True), functional.adaptive_max_pool2d(x, 1)), 1), 1)


def test_pools_may_be_functions_and_zeros_may_be_more_before_than_after() -> None:
    model, images = Functional().eval(), pictures(4)
    graph = trace(model)
    assert graph.layers["causal"].pads == (1, 2, 0, 0)
    torch.testing.assert_close(graph(images), model(images))


def test_same_padding_of_an_even_window_is_one_longer_behind() -> None:
    layer = nn.Conv1d(3, 4, 4, padding="same")
    graph, values = trace(layer_alone := nn.Sequential(layer).eval()), series(2)
    assert graph.layers["0"].pads == (0, 1, 0, 2)
    layer_alone[0].padding = (0,)
    torch.testing.assert_close(graph(values), layer_alone(functional.pad(values, (1, 2))))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (nn.ConstantPad1d((2, 0), 1.0), nn.Conv1d(3, 4, 3)),
        (nn.ZeroPad2d((2, 0, 0, -1)), nn.Conv2d(3, 4, 3)),
        (nn.ZeroPad2d(1), nn.MaxPool2d(2)),
        (nn.ReflectionPad2d(1), nn.Conv2d(3, 4, 3)),
    ],
)
def test_other_padding_is_refused(first: nn.Module, second: nn.Module) -> None:
    with pytest.raises(UnsupportedNetworkError, match="float32"):
        trace(nn.Sequential(first, second))


@pytest.mark.parametrize("kind", [SmallResidual, SmallMobile, SmallSeries, SmallRecording])
def test_what_has_an_integer_form_is_the_same_with_an_example(kind: type[nn.Module]) -> None:
    model, images = settled(kind), inputs_of(kind)(2, 0)
    steps = [(step.name, step.op, step.inputs, step.clip) for step in trace(model).steps]
    assert [(step.name, step.op, step.inputs, step.clip) for step in trace(model, images).steps] == steps


@pytest.mark.parametrize("kind", [SmallMixed, SmallMixedSeries, SmallTokens, SmallNext])
def test_what_has_none_becomes_float_steps_of_the_same_function(kind: type[nn.Module]) -> None:
    model, images = settled(kind), inputs_of(kind)(4, 0)
    graph = trace(model.train(), images[:2])  # whatever its flags say
    with torch.no_grad():
        torch.testing.assert_close(graph(images), model.eval()(images), rtol=1e-4, atol=1e-5)
    with pytest.raises(UnsupportedNetworkError):
        trace(model)


def test_steps_of_a_network_with_attention() -> None:
    graph = trace(settled(SmallMixed), pictures(2))
    assert [step.op for step in graph.steps] == [
        "input", "table", "layer", "table", "layer", "float", "quantise", "layer", "float", "quantise", "layer",
        "float", "quantise", "add", "layer", "float", "quantise", "concat", "layer", "table", "average_pool", "flatten",
        "layer", "float",
    ]  # fmt: skip
    norm, attention, moved, upsampling, probabilities = graph.floats
    assert (norm.reasons, moved.reasons) == (("the LayerNorm norm",), ())
    assert attention.reasons == ("matmul", "mul on values of 3 dimensions", "softmax")
    assert (upsampling.reasons, probabilities.reasons) == (("interpolate",), ("softmax",))
    assert graph.stays_real(graph["classifier"])
    assert not graph.stays_real(graph["down"])


def test_the_input_as_it_comes_is_what_a_float_step_reads() -> None:
    graph = trace(settled(SmallMixedSeries), series(2))
    assert [(step.op, step.series) for step in graph.steps[:3]] == [
        ("given", False), ("float", False), ("quantise", True),
    ]  # fmt: skip
    assert [step.name for step in graph.steps if step.op == "input"] == []
    assert graph.steps[3].name == "first"


class Rows(nn.Module):
    """Changes of shape that the sizes tell to be rows, values of unlike sizes, and a tensor of the network's own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Conv2d(3, 4, 1), nn.Linear(4 * 36, 4)
        self.shift = nn.Parameter(torch.ones(1, 4, 1, 1))
        self.pool = nn.AdaptiveAvgPool2d(6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.layer(x) + self.shift)
        x = x + x.mean((2, 3), keepdim=True)
        return self.head(x.view(x.shape[0], 4 * 36))


def test_sizes_decide() -> None:
    model, images = Rows().eval(), pictures(3)
    graph = trace(model, images)
    assert [step.op for step in graph.steps] == ["input", "layer", "float", "quantise", "layer"]
    assert graph.floats[0].reasons == (
        "add with a tensor of the network's own",
        "add on values of different sizes",
    )
    with torch.no_grad():
        torch.testing.assert_close(graph(images), model(images))


def test_a_padding_before_a_layer_without_an_integer_form_is_part_of_the_float_step() -> None:
    layers = [nn.Conv2d(3, 4, 1), nn.ZeroPad2d(1), nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")]
    model, images = nn.Sequential(*layers, nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1)).eval(), pictures(3)
    graph = trace(model, images)
    assert [step.op for step in graph.steps] == ["input", "layer", "float", "quantise", "layer"]
    with torch.no_grad():
        torch.testing.assert_close(graph(images), model(images))


def test_a_layer_that_is_used_twice_is_one_of_integers_and_one_of_float32() -> None:
    model, images = Twice().eval(), pictures(3)
    graph = trace(model, images)
    assert [step.op for step in graph.steps] == ["input", "layer", "float"]
    assert graph.floats[0].reasons == ("layer is used twice; a quantised layer has one input.",)
    with torch.no_grad():
        torch.testing.assert_close(graph(images), model(images))


def test_an_example_of_another_shape_is_a_sentence() -> None:
    with pytest.raises(UnsupportedNetworkError, match=r"does not run on an input of shape \(2, 5\)"):
        trace(nn.Linear(4, 4), torch.zeros(2, 5))


class Recurrent(nn.Module):
    """A module that gives several values, of which one is read."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.recurrent, self.head = nn.Conv1d(3, 8, 3), nn.GRU(8, 6, batch_first=True), nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        moved, _ = self.recurrent(self.first(x).transpose(1, 2))
        return self.head(moved[:, -1])


def test_a_module_of_several_outputs_is_a_float_step() -> None:
    model, images = Recurrent().eval(), series(3)
    graph = trace(model, images)
    assert [step.op for step in graph.steps] == ["input", "layer", "float", "quantise", "layer"]
    assert graph.floats[0].reasons == ("the GRU recurrent",)
    with torch.no_grad():
        torch.testing.assert_close(graph(images), model(images))


def test_linear_layers_on_rows_within_an_image_are_convolutions_of_one_pixel() -> None:
    graph = trace(settled(SmallTokens), pictures(2))
    assert {name: tuple(layer.weight.shape) for name, layer in graph.layers.items()} == {
        "patches": (16, 3, 4, 4), "query": (48, 16, 1, 1), "out": (16, 16, 1, 1), "wide.1": (32, 16, 1, 1),
        "wide.4": (16, 32, 1, 1), "head.0": (8, 16, 1, 1), "head.2": (3, 8, 1, 1),
    }  # fmt: skip
    assert [step.op for step in graph.steps if step.name.startswith("wide")] == [
        "float", "quantise", "layer", "table", "layer",
    ]  # fmt: skip
    assert not graph["head.0"].clip.is_none
    assert graph[graph.output].op == "float"  # the rows as the network gives them
    shapes = {step.name: value.shape[1:] for step, _, value in graph.walk(pictures(2))}
    assert shapes["wide.1"] == (32, 9, 1) and shapes[graph.output] == (9, 3)


def test_channels_that_are_last_for_a_while_are_the_same_codes() -> None:
    graph = trace(settled(SmallNext), pictures(2))
    assert [step.op for step in graph.steps] == [
        "input", "layer", "layer", "float", "quantise", "layer", "table", "layer", "add", "average_pool", "flatten",
        "layer",
    ]  # fmt: skip
    assert [step.rows for step in graph.steps if step.op == "quantise"] == [True]


class Across(nn.Module):
    """A linear layer along the width of an image, whose channels stay where they are."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.width, self.head = nn.Conv2d(3, 8, 1), nn.Linear(12, 12), nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.width(self.stem(x))))


def test_a_linear_layer_along_the_width_is_a_float_step() -> None:
    model, images = Across().eval(), pictures(3)
    graph = trace(model, images)
    assert [step.op for step in graph.steps] == ["input", "layer", "float", "quantise", "layer"]
    assert graph.floats[0].reasons == ("the Linear width on values of 4 dimensions",)
    with torch.no_grad():
        torch.testing.assert_close(graph(images), model(images))


class Padded(nn.Module):
    """A sum between a table and a pool with padding, which no integer op does."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        y = functional.softmax(x, 1)
        return self.second(functional.avg_pool2d(x + y, 3, 2, 1).view(-1, 8, 6, 6))


def test_what_is_between_float_steps_is_part_of_them_and_all_are_told_of() -> None:
    model, images = Padded().eval(), pictures(3)
    graph = trace(model, images)
    assert [step.op for step in graph.steps] == ["input", "layer", "float", "quantise", "layer"]
    assert graph.floats[0].reasons == ("softmax",)
    with torch.no_grad():
        torch.testing.assert_close(graph(images), model(images))


class Shuffled(nn.Module):
    """Channels that are halved, and shuffled."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Conv2d(3, 8, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = self.first(x).chunk(2, 1)
        x = torch.cat((a, self.second(b)), 1)
        return self.third(x.view(-1, 2, 4, 12, 12).transpose(1, 2).reshape(-1, 8, 12, 12))


def test_float_steps_that_move_numbers_have_no_reasons() -> None:
    model, images = Shuffled().eval(), pictures(3)
    graph = trace(model, images)
    assert [step.reasons for step in graph.floats] == [(), ()]
    with torch.no_grad():
        torch.testing.assert_close(graph(images), model(images))


def test_float_steps_of_what_has_integer_forms_are_told_by_what_they_do() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.AvgPool2d(3, 2, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 4, 1))
    assert trace(model.eval(), pictures(2)).floats[0].reasons == ("the AvgPool2d 1",)
