from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from chita_edge.models.checkpoints import find_state
from chita_edge.models.weights import WeightsError, load_weights

State = dict[str, torch.Tensor]


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4), nn.Sequential(nn.Linear(4, 2)))


def state() -> State:
    torch.manual_seed(3)
    return {name: tensor.clone() for name, tensor in network().state_dict().items()}


def under(prefix: str, tensors: State) -> State:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def without_counters(tensors: State) -> State:
    return {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}


def masked(tensors: State) -> State:
    weight = tensors.pop("0.weight")
    return {**tensors, "0.weight_orig": weight * 2, "0.weight_mask": torch.full_like(weight, 0.5)}


FORMS: dict[str, tuple[Callable[[State], Any], str]] = {
    "plain": (lambda s: s, ""),
    "DataParallel": (lambda s: under("module.", s), "without their prefix 'module.'"),
    "torch.compile": (lambda s: under("_orig_mod.", s), "without their prefix '_orig_mod.'"),
    "both": (lambda s: under("module._orig_mod.", s), "without their prefix 'module._orig_mod.'"),
    "with an epoch": (lambda s: {"state_dict": s, "epoch": 3, "arch": "net"}, "taken from 'state_dict'"),
    "Lightning": (
        lambda s: {"state_dict": {**under("model.", s), "loss.weight": torch.ones(1)}, "hyper_parameters": {"lr": 0.1}},
        "taken from 'state_dict'; names without their prefix 'model.'; 1 entries outside it left out, such as "
        "'loss.weight'",
    ),
    "averaged and plain": (
        lambda s: {"model": {name: tensor + 1 for name, tensor in s.items()}, "model_ema": s},
        "taken from 'model_ema'; 'model' would have fitted as well",
    ),
    "averaged below DataParallel": (
        lambda s: {"state_dict_ema": under("module.", s), "state_dict": {}},
        "taken from 'state_dict_ema'; names without their prefix 'module.'",
    ),
    "nested": (lambda s: {"ema": {"params": s}, "step": 1}, "taken from 'ema' / 'params'"),
    "of old torch": (without_counters, "no num_batches_tracked"),
    "in half precision": (
        lambda s: {n: t.half().float().half() if t.is_floating_point() else t for n, t in s.items()},
        "8 tensors converted from float16",
    ),
    "in bfloat16, below params": (
        lambda s: {"params": {n: t.bfloat16() if t.is_floating_point() else t for n, t in s.items()}},
        "taken from 'params'; 8 tensors converted from bfloat16",
    ),
    "with masks": (masked, "masks applied to 1 weights, such as '0.weight'"),
}


@pytest.mark.parametrize("form", FORMS)
def test_checkpoints_as_people_have_them(form: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make, said = FORMS[form]
    expected, model, path = state(), network(), tmp_path / "weights.pt"
    torch.save(make(state()), path)
    with caplog.at_level(logging.WARNING):
        load_weights(model, path)
    for name, tensor in model.state_dict().items():
        wanted = expected[name]
        if tensor.is_floating_point() and "half" in form:
            wanted = wanted.half().float()
        elif tensor.is_floating_point() and "bfloat16" in form:
            wanted = wanted.bfloat16().float()
        assert torch.equal(tensor, wanted)
    assert [record.name for record in caplog.records] == (["chita_edge.models.weights"] if said else [])
    assert said in caplog.text


def test_prefixes_of_safetensors_files(tmp_path: Path) -> None:
    path, model = tmp_path / "weights.safetensors", network()
    safetensors.torch.save_file(under("module.", state()), path)
    load_weights(model, path)
    assert torch.equal(model.state_dict()["0.weight"], state()["0.weight"])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda s: {**under("teacher.", s), **under("student.", s)}, "holds the network twice, under 'teacher.' and"),
        (lambda s: {**s, "0.weight": s["0.weight"].to_sparse()}, r"stores 0.weight as a sparse tensor.*to_dense\(\)"),
        (
            lambda s: {**under("module.", s), "module.more": torch.ones(1)},
            r"0 of its 9 entries are missing, 1 are not the network's \('more'\)",
        ),
        (
            lambda s: {"state_dict": {name: s[name] for name in ("0.weight", "0.bias")}},
            r"6 of its 9 entries are missing \(such as '1.weight', '1.bias', '1.running_mean'\)",
        ),
        (lambda s: {"epoch": 3}, "holds no state dict"),
        (lambda s: {"model": [s]}, "holds no state dict"),
    ],
)
def test_what_does_not_fit_is_a_sentence(make: Callable[[State], Any], reason: str, tmp_path: Path) -> None:
    path, model = tmp_path / "weights.pt", network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.save(make(state()), path)
    with pytest.raises(WeightsError, match=reason):
        load_weights(model, path)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_dict_that_holds_itself_ends() -> None:
    loaded: dict[str, Any] = {"model": None, "ema": None, **state()}
    loaded["model"] = loaded["ema"] = loaded
    assert find_state(loaded, network().state_dict()) is None


@settings(deadline=None)
@given(st.lists(st.sampled_from(["module", "_orig_mod", "model", "x", "0"]), max_size=4))
def test_any_one_prefix_is_found(parts: list[str]) -> None:
    prefix = "".join(f"{part}." for part in parts)
    found = find_state(under(prefix, state()), network().state_dict())
    assert found is not None
    assert {name: tensor.tolist() for name, tensor in found.tensors.items()} == {
        name: tensor.tolist() for name, tensor in state().items()
    }
