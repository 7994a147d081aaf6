"""Whatever changes what a network computes changes its fingerprint; whatever does not, does not."""

from __future__ import annotations

import copy
import functools
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from chita_edge.storage.code_digest import CodeDigest
from chita_edge.storage.fingerprint import fingerprint

SCALE = 2.0


def doubled(x: torch.Tensor) -> torch.Tensor:
    return x * SCALE


class Net(nn.Module):
    """Two layers, a hidden buffer, an attribute, and a helper."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("hidden", torch.zeros(3), persistent=False)
        self.power = 1
        self.rows = [torch.ones(3)]

    def helper(self, x: torch.Tensor) -> torch.Tensor:
        return doubled(x) ** self.power

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.helper(self.first(x - self.mean - self.hidden)))


class Renamed(Net):
    """Another forward."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.first(self.helper(self.second(x)))


def other_helper(net: Net) -> None:
    class Other(Net):
        def helper(self, x: torch.Tensor) -> torch.Tensor:
            return doubled(x) ** (self.power + 1)

    net.__class__ = Other


def patched(net: Net) -> None:
    net.forward = functools.partial(torch.add, 1)  # type: ignore[method-assign]


def hooked(net: Net) -> None:
    net.first.register_forward_hook(lambda module, given, result: result + 1)


def tied(net: Net) -> None:
    net.second.weight = net.first.weight


def untied_but_equal(net: Net) -> None:
    net.second.weight = nn.Parameter(net.first.weight.detach().clone())


def add_to(name: str) -> Callable[[Net], None]:
    def change(net: Net) -> None:
        with torch.no_grad():
            net.get_parameter(name).add_(1) if name.endswith("weight") else net.get_buffer(name).add_(1)

    return change


CHANGES: dict[str, Callable[[Net], None]] = {
    "a parameter": add_to("first.weight"),
    "a buffer": add_to("mean"),
    "a buffer that is not stored": add_to("hidden"),
    "a number": lambda net: setattr(net, "power", 2),
    "a tensor in a list": lambda net: net.rows[0].add_(1),
    "the type of a parameter": lambda net: net.first.double(),
    "the forward": lambda net: setattr(net, "__class__", Renamed),
    "a method that forward calls": other_helper,
    "a forward of its own": patched,
    "a hook": hooked,
    "tied weights": tied,
    "equal weights": untied_but_equal,
}


def test_the_same_network_is_the_same() -> None:
    first, second = Net(), Net()
    assert fingerprint(first, {}) == fingerprint(second, {}) == fingerprint(copy.deepcopy(first), {})
    first(torch.ones(1, 3))
    handle = first.first.register_forward_hook(lambda *args: None)
    handle.remove()
    assert fingerprint(first.train(), {}) == fingerprint(second.eval(), {})


def test_each_change_is_another_fingerprint() -> None:
    found = {"none": fingerprint(Net(), {}).digest}
    for name, change in CHANGES.items():
        net = Net()
        change(net)
        found[name] = fingerprint(net, {}).digest
    assert len(set(found.values())) == len(found), found


def test_a_global_that_forward_uses_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(Net(), {})
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 3.0)
    after = fingerprint(Net(), {})
    assert after.differences(before.parts) == ("code and attributes of the network",)


def test_the_parts_that_differ_are_named() -> None:
    net, other = Net(), Net()
    other.hidden.add_(1)
    options = {"images": torch.zeros(2), "option seed": 0}
    first = fingerprint(net, options)
    second = fingerprint(other, {**options, "option seed": 1})
    assert second.differences(first.parts) == ("buffers", "option seed")
    assert first.extended({"option seed": 1}).differences(first.parts) == ("option seed",)


def test_threads_and_settings_of_torch_count() -> None:
    net, before = Net(), torch.get_num_threads()
    first = fingerprint(net, {})
    try:
        torch.set_num_threads(before + 1)
        assert fingerprint(net, {}).differences(first.parts) == ("threads",)
    finally:
        torch.set_num_threads(before)
    precision = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert fingerprint(net, {}).differences(first.parts) == ("settings of torch",)
    finally:
        torch.set_float32_matmul_precision(precision)


def test_order_in_memory_counts_since_sums_follow_it() -> None:
    images = torch.arange(24.0).view(1, 2, 3, 4)
    last = images.contiguous(memory_format=torch.channels_last)
    assert fingerprint(Net(), {"images": images}) != fingerprint(Net(), {"images": last})


def test_it_is_the_same_in_every_process(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import torch
        from torch import nn
        from chita_edge.storage.fingerprint import fingerprint
        torch.manual_seed(0)
        KINDS = {"relu", "gelu", "none"}
        class Net(nn.Linear):
            def forward(self, x):
                return super().forward(x) if self.kind in {"relu", "gelu", "silu"} and KINDS else x
        net = Net(2, 2)
        net.kind = "relu"
        print(fingerprint(net, {}).digest)
        """)
    )
    seen = {
        subprocess.run(
            [sys.executable, *arguments],
            env={"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1", "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, arguments in (("1", [str(script)]), ("2", ["-c", script.read_text()]))
    }
    assert len(seen) == 1, "code without a file on disk is known as well"


def test_objects_that_refer_to_each_other_end() -> None:
    class Node:
        other: Node

    first, second = Node(), Node()
    first.other, second.other = second, first
    digest = CodeDigest()
    digest.add(first)
    assert len(digest.hexdigest()) == 64
