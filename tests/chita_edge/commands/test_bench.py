"""`chita-edge bench` on a device whose latencies are ordered in advance; `test_pipeline.py` runs a real one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Run
from fake_device import FakeDevice
from onnx import TensorProto, helper

from chita_edge.bundle import write_bundle
from device_bench import Measurement, load

Fake = Callable[..., FakeDevice]
QUICK = {"dense": 9.0, "sparse": 4.0}
SLOW = {"dense": 9.0, "sparse": 5.0}


def test_options_become_the_plan_and_samples_the_file(bundle: Path, fake: Fake, chita_edge: Run) -> None:
    device = fake(QUICK)
    options = ["--threads", "2", "--samples", "70", "--duration", "1.5m", "--cores", "0-2", "--ort", "ort.aar"]
    done = chita_edge("bench", "bundle", "--device", "fake:phone", *options, "--out", "run.json", "--json")
    assert done.returncode == 0, done.stderr
    (plan,) = device.plans
    assert (plan.threads, plan.samples, plan.duration_s, plan.cores) == (2, 70, 90.0, (0, 1, 2))
    assert plan.ort == Path("ort.aar")
    assert "latency: done" in done.stderr
    figures = json.loads(done.stdout)
    assert figures["latency_ms"]["sparse"] == pytest.approx(4.0, rel=0.01)
    assert figures["speedup"] == pytest.approx(2.25, rel=0.01)
    assert "verdict" not in figures
    document = json.loads((bundle.parent / "run.json").read_text())
    assert document["context"]["schema_version"] == 1
    for entry in document["benchmarks"]:
        assert {"name", "time_unit", "samples"} <= set(entry)
        assert len(entry["samples"]) == 70


def test_processes_and_sizes_of_inputs(bundle: Path, fake: Fake, chita_edge: Run) -> None:
    device = fake(QUICK)
    options = ["--device", "fake:x", "--processes", "3", "--input", "x=1x3x32x32", "--samples", "50"]
    done = chita_edge("bench", "bundle", *options, "--out", "run.json")
    assert done.returncode == 0, done.stderr
    assert [plan.input_shapes for plan in device.plans] == [{"x": (1, 3, 32, 32)}] * 3
    assert len({plan.seed for plan in device.plans}) == 3
    assert load(bundle.parent / "run.json").benchmark("sparse").process_samples == (50, 50, 50)
    for options in (["--processes", "0"], ["--input", "x"]):
        assert chita_edge("bench", "bundle", "--device", "fake:x", *options).returncode == 2


def test_three_processes_on_a_device_that_asks_for_them(bundle: Path, fake: Fake, chita_edge: Run) -> None:
    device = fake(QUICK)
    device.default_processes = 3
    assert chita_edge("bench", "bundle", "--device", "fake:x").returncode == 0
    assert len(device.plans) == 3


@pytest.mark.parametrize("cores", ["big", "little"])
def test_cores_by_kind_are_left_to_the_device(cores: str, bundle: Path, fake: Fake, chita_edge: Run) -> None:
    device = fake(QUICK)
    done = chita_edge("bench", "bundle", "--device", "fake:phone", "--cores", cores)
    assert done.returncode == 0
    assert device.plans[0].cores == cores
    assert "sparse is 2.25 times as fast" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nowhere"], 2, "nowhere is not a folder"),
        (["bundle", "--device", "toaster"], 2, "no device 'toaster'"),
        (["bundle", "--device", "emulated:z80"], 2, "no emulated processor 'z80'"),
        (["bundle", "--device", "ssh:-oProxyCommand=x"], 2, "names no host"),
        (["bundle", "--samples", "49"], 2, "50"),
        (["bundle", "--threads", "0"], 2, "1<=x<=64"),
        (["bundle", "--duration", "forever"], 2, "is not a duration"),
        (["bundle", "--duration", "25h"], 2, "cannot be made"),
        (["bundle", "--cores", "3-1"], 2, "not a list of cores"),
        (["bundle", "--cores", "huge"], 2, "not a list of cores"),
        (["bundle", "--cores", "1000"], 2, "cannot be used"),
        (["bundle", "--compare", "none.json"], 1, "none.json cannot be read"),
        (["bundle", "--compare", "good.json", "--max-regression", "lots"], 2, "no allowed regression"),
    ],
)
def test_what_can_be_mistyped(
    arguments: list[str], code: int, sentence: str, bundle: Path, saved: Callable[..., str], chita_edge: Run
) -> None:
    saved("good.json", **QUICK)
    done = chita_edge("bench", *arguments)
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_changed_bundle_is_not_measured(bundle: Path, fake: Fake, chita_edge: Run) -> None:
    device = fake(QUICK)
    (bundle / "model.onnx").write_bytes(b"another")
    done = chita_edge("bench", "bundle", "--device", "fake:phone", "--out", "run.json")
    assert done.returncode == 6
    assert device.plans == []
    assert not (bundle.parent / "run.json").exists()


def test_what_was_measured_before_the_device_went_is_kept(bundle: Path, fake: Fake, chita_edge: Run) -> None:
    fake({})
    done = chita_edge("bench", "bundle", "--device", "fake:phone", "--out", "run.json")
    assert done.returncode == 5
    assert "The cable is out" in done.stderr
    assert len(load(bundle.parent / "run.json").benchmark("sparse").samples) == 5


def test_gate_measures_a_second_time_before_it_calls_a_regression(
    bundle: Path, fake: Fake, saved: Callable[..., str], chita_edge: Run
) -> None:
    baseline = saved("base.json", **QUICK)
    for runs, code, told in (
        ([QUICK], 0, "no regression"),
        ([SLOW, SLOW], 3, "a second run agrees"),
        ([SLOW, QUICK], 4, "the second run says: ok"),
    ):
        device = fake(*runs)
        done = chita_edge(
            *("bench", "bundle", "--device", "fake:phone", "--out", "run.json", "--json"),
            *("--compare", baseline, "--max-regression", "5%"),
        )
        assert done.returncode == code, done.stderr
        verdict = json.loads(done.stdout)["verdict"]
        assert verdict["exit_code"] == code
        assert told in verdict["models"][0]["reason"]
        assert len(device.plans) == len(runs)
        if len(runs) == 2:
            assert device.plans[0].seed != device.plans[1].seed
            assert "latency, second run: done" in done.stderr
            assert load(bundle.parent / "run.second.json").names == ("dense", "sparse")


def test_gate_prints_both_tables(bundle: Path, fake: Fake, saved: Callable[..., str], chita_edge: Run) -> None:
    fake(SLOW)
    done = chita_edge("bench", "bundle", "--device", "fake:x", "--compare", saved("base.json", **QUICK))
    assert done.returncode == 3
    assert "Latency on" in done.stdout
    assert "regression at an allowed regression of 2.0%" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize(("runs", "code"), [([4.0], 0), ([5.0, 5.0], 3), ([5.0, 4.0], 4)])
def test_two_bundles_in_turns(runs: list[float], code: int, bundle: Path, fake: Fake, chita_edge: Run) -> None:
    shutil.copytree(bundle, bundle.parent / "old")
    device = fake(*({"base": 4.0, "new": ms} for ms in runs))
    done = chita_edge("bench", "bundle", "--against", "old", "--device", "fake:x", "--out", "run.json", "--json")
    assert done.returncode == code, done.stderr
    (model,) = json.loads(done.stdout)["verdict"]["models"]
    assert model["name"] == "sparse"
    assert model["ratio"]["estimate"] == pytest.approx(runs[0] / 4.0, rel=0.01)
    assert len(device.plans) == len(runs)
    assert load(bundle.parent / "run.json").names == ("base", "new")


@pytest.mark.parametrize("options", [[], ["--against", "old"]])
def test_a_bundle_that_is_replaced_meanwhile_gives_no_samples(
    options: list[str], bundle: Path, fake: Fake, chita_edge: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(bundle, bundle.parent / "old")
    device = fake({"dense": 9.0, "sparse": 4.0, "base": 4.0, "new": 4.0})
    measure = device.measure

    def measured(*arguments: Any, **options: Any) -> Measurement:
        write_bundle(bundle, {"model.onnx": b"other", "model.dense.onnx": b"dense"}, {}, force=True)
        return measure(*arguments, **options)

    monkeypatch.setattr(device, "measure", measured)
    done = chita_edge("bench", "bundle", *options, "--device", "fake:x", "--out", "run.json")
    assert done.returncode == 1
    assert "was replaced while it was measured" in done.stderr
    assert not (bundle.parent / "run.json").exists()


@pytest.mark.parametrize("options", [[], ["--against", "bundle"]])
def test_a_model_out_of_bounds_is_not_run_though_the_sums_are_right(
    options: list[str], bundle: Path, chita_edge: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    monkeypatch.setattr("device_bench.sampling.in_process.prepare", lambda *arguments: opened.append(arguments))
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    huge = helper.make_node("ConstantOfShape", ["size"], ["big"])  # a tebibyte from eight bytes
    nodes = [
        huge,
        helper.make_node("ReduceSum", ["big"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "g", [x], [y], [helper.make_tensor("size", TensorProto.INT64, [1], [1 << 38])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()
    write_bundle(bundle.parent / "foreign", {"model.onnx": model, "model.dense.onnx": model}, {})
    done = chita_edge("bench", "foreign", *options, "--device", "local")
    assert done.returncode == 1
    assert "foreign/model" in done.stderr
    assert opened == []


def test_against_what_is_no_bundle_and_with_a_file_besides(bundle: Path, fake: Fake, chita_edge: Run) -> None:
    device = fake(QUICK)
    done = chita_edge("bench", "bundle", "--against", "nowhere", "--device", "fake:x")
    assert done.returncode == 2
    assert "nowhere is not a folder" in done.stderr
    both = chita_edge("bench", "bundle", "--against", "bundle", "--compare", "x.json", "--device", "fake:x")
    assert both.returncode == 2
    assert "not both" in both.stderr
    assert device.plans == []


def test_a_long_run_is_not_killed_before_its_end(bundle: Path, fake: Fake, chita_edge: Run) -> None:
    device = fake(QUICK)
    assert chita_edge("bench", "bundle", "--device", "fake:x", "--duration", "2h").returncode == 0
    assert device.plans[0].time_limit_s > device.plans[0].duration_s == 7200.0


def test_a_device_that_goes_away_before_the_second_run(
    bundle: Path, fake: Fake, saved: Callable[..., str], chita_edge: Run
) -> None:
    fake(SLOW, {})
    done = chita_edge("bench", "bundle", "--device", "fake:x", "--compare", saved("base.json", **QUICK))
    assert done.returncode == 5
    assert "The cable is out" in done.stderr
