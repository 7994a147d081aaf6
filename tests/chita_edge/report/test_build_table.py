from dataclasses import replace
from pathlib import Path

import pytest

from chita_edge.deploy.result import BuildResult, BuiltLayer, Compared, DenseSparse, Latency
from chita_edge.report.build_table import print_build, print_latency

LATENCY = Latency(
    device="local",
    description="A processor, avx2",
    threads=1,
    samples=200,
    p50=Compared(0.8, 0.4, 0.6),
    p90=Compared(0.9, 0.5, 0.7),
    min=Compared(0.7, 0.3, 0.5),
    speedup=2.0,
    speedup_interval=(1.9, 2.1),
    warnings=("The machine was busy.",),
    over_int8=(1.5, 1.4, 1.6),
)
RESULT = BuildResult(
    bundle=Path("/somewhere/mobilenet-arm64"),
    model="mobilenet",
    target="arm64",
    dtype="float32",
    method="default",
    structure="unstructured",
    sparsity=0.8,
    accuracy=Compared(0.931, 0.928, 0.9295),
    size_bytes=Compared(3_000_000, 900_000, 1_000_000),
    layers=(
        BuiltLayer(
            "features.1",
            "CsrConv",
            (32, 16, 1, 1),
            0.8,
            102,
            "csr",
            "80% zeros [pays]",
            DenseSparse(2176, 807),
            DenseSparse(1000, 200),
            (32, 16, 1, 1),
        ),
    ),
    agreement={"stock ONNX Runtime": 1e-7},
    latency=LATENCY,
    not_measured=("latency on arm64; run this there.",),
)


def test_the_table_tells_all_that_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    print_build(RESULT)
    printed = capsys.readouterr().out
    for expected in (
        "features.1", "32×16×1×1", "80.0%", "807", "37.1%", "csr", "80% zeros [pays]", "93.10%", "92.80%",
        "-0.30 points", "900,000", "30.0%", "0.400", "2.00× as fast", "1.90 to 2.10", "200 interleaved",
        "ORT int8", "92.95%", "1,000,000", "0.600", "1.50× as int8", "1.40 to 1.60",
        "Warning: The machine was busy.",
        "Not measured: latency on arm64", "/somewhere/mobilenet-arm64",
    ):  # fmt: skip
        assert expected in printed, expected


def test_latency_alone(capsys: pytest.CaptureFixture[str]) -> None:
    print_latency(LATENCY)
    printed = capsys.readouterr().out
    assert "Latency on local (A processor, avx2)" in printed
    assert "0.500" in printed


def test_the_json_object_has_the_same_figures() -> None:
    printed = RESULT.to_json()
    assert printed["latency_ms"] == {"dense": 0.8, "int8": 0.6, "sparse": 0.4}
    assert printed["accuracy"] == {"dense": 0.931, "int8": 0.9295, "sparse": 0.928}
    assert printed["size_bytes"] == {"dense": 3_000_000, "int8": 1_000_000, "sparse": 900_000}
    assert (printed["speedup_over_int8"], printed["speedup_over_int8_interval"]) == (1.5, [1.4, 1.6])
    assert printed["layers"][0]["bytes"] == {"dense": 2176, "sparse": 807}
    assert printed["bundle"] == "/somewhere/mobilenet-arm64"


def test_smaller_layers_say_what_they_were(capsys: pytest.CaptureFixture[str]) -> None:
    layer = replace(RESULT.layers[0], shape=(16, 8, 1, 1), format="dense")
    print_build(replace(RESULT, structure="filter", layers=(layer,)))
    printed = capsys.readouterr().out
    assert "16×8×1×1 of 32×16×1×1" in printed
    assert "80.00% of the prunable weights are removed." in printed


@pytest.mark.parametrize(("unit", "label"), [("cycles", "an estimate"), ("instructions", "a count")])
def test_what_was_not_timed_is_called_what_it_is(unit: str, label: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_latency(replace(LATENCY, unit=unit))
    told = " ".join(capsys.readouterr().out.split())
    assert f"Sparse needs 1/2.00 of dense's {unit}; that is {label}, not a time." in told
    assert "ms" not in told


def test_without_an_int8_baseline_nothing_is_said_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    pair = replace(LATENCY, p50=Compared(0.8, 0.4), p90=Compared(0.9, 0.5), min=Compared(0.7, 0.3), over_int8=None)
    print_latency(pair)
    assert "int8" not in capsys.readouterr().out
    assert pair.to_json()["latency_ms"] == {"dense": 0.8, "sparse": 0.4}
    assert "speedup_over_int8" not in pair.to_json()
