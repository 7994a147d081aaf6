import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Run
from fake_device import FakeDevice, results_of

from device_bench import save

Fake = Callable[..., FakeDevice]
Saved = Callable[..., str]


@pytest.mark.parametrize(
    ("sparse", "code", "words"),
    [
        (4.0, 0, "no regression"),
        (3.0, 0, "faster"),
        (5.0, 3, "in both halves of the run"),
        (4.2, 4, "spans the allowed"),
    ],
)
def test_the_exit_code_is_the_verdict(sparse: float, code: int, words: str, saved: Saved, chita_edge: Run) -> None:
    base, new = saved("base.json", 1, dense=9.0, sparse=4.0), saved("new.json", 2, dense=9.0, sparse=sparse)
    done = chita_edge("compare", base, new, "--max-regression", "5%")
    assert done.returncode == code, done.stdout
    assert words in done.stdout
    assert "dense: the control, moved by" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("at an allowed regression of 5.0%")
    as_json = chita_edge("compare", base, new, "--max-regression", "5%", "--json")
    assert as_json.returncode == code
    verdict = json.loads(as_json.stdout)
    assert verdict["exit_code"] == code
    assert verdict["models"][0]["name"] == "sparse"


def test_the_program_ends_with_the_exit_code(saved: Saved, tmp_path: Path) -> None:
    saved("base.json", 1, sparse=4.0)
    saved("new.json", 2, sparse=5.0)
    program = [sys.executable, "-c", "from chita_edge.cli import main; main()", "compare", "base.json", "new.json"]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 3, done.stderr


def test_three_fields_are_enough(tmp_path: Path, chita_edge: Run) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        samples = list(results_of(seed, sparse=4.0).benchmarks[0].samples)
        bare = {"benchmarks": [{"name": "sparse", "time_unit": "ms", "samples": samples}], "unknown": 1}
        (tmp_path / f"{name}.json").write_text(json.dumps(bare))
    assert chita_edge("compare", "a.json", "b.json").returncode == 0


def test_a_second_file_confirms_or_refutes(saved: Saved, chita_edge: Run) -> None:
    base, slow = saved("base.json", 1, sparse=4.0), saved("slow.json", 2, sparse=5.0)
    confirmed = chita_edge("compare", base, slow, "--again", saved("slow2.json", 3, sparse=5.0))
    assert confirmed.returncode == 3
    assert "a second run agrees" in confirmed.stdout
    refuted = chita_edge("compare", base, slow, "--again", saved("quick.json", 3, sparse=4.0))
    assert refuted.returncode == 4
    assert "the second run says: ok" in refuted.stdout


def test_a_bundle_is_measured_again_only_if_it_seems_slower(
    bundle: Path, fake: Fake, saved: Saved, chita_edge: Run
) -> None:
    base, slow = saved("base.json", 1, dense=9.0, sparse=4.0), saved("slow.json", 2, dense=9.0, sparse=5.0)
    device = fake({"dense": 9.0, "sparse": 5.0})
    rerun = ["--rerun", "bundle", "--device", "fake:phone"]
    assert chita_edge("compare", base, base, *rerun).returncode == 0
    assert device.plans == []
    done = chita_edge("compare", base, slow, *rerun)
    assert done.returncode == 3, done.stderr
    assert "a second run agrees" in done.stdout
    assert [plan.samples for plan in device.plans] == [60]
    fake({})
    assert chita_edge("compare", base, slow, *rerun).returncode == 5


def test_the_bundle_of_another_product_is_no_second_run(
    bundle: Path, fake: Fake, tmp_path: Path, saved: Saved, chita_edge: Run
) -> None:
    slow = results_of(2, dense=9.0, sparse=5.0)
    other = slow.model_copy(update={"context": slow.context.model_copy(update={"sha256": {"dense": "other"}})})
    save(other, tmp_path / "slow.json")
    fake({"dense": 9.0, "sparse": 5.0})
    base = saved("base.json", 1, dense=9.0, sparse=4.0)
    done = chita_edge("compare", base, "slow.json", "--rerun", "bundle", "--device", "fake:x")
    assert done.returncode == 2
    assert "bundle holds another 'dense'" in done.stderr


def test_pairs(saved: Saved, chita_edge: Run) -> None:
    base, new = saved("base.json", 1, m=4.0), saved("new.json", 2, m=5.0)
    assert chita_edge("compare", base, new, "--paired").returncode == 3
    refused = chita_edge("compare", base, new, "--paired", "--again", new)
    assert refused.returncode == 2
    assert "has no pairs" in refused.stderr
    both = chita_edge("compare", base, new, "--rerun", "bundle", "--again", new)
    assert both.returncode == 2
    assert "not both" in both.stderr


GOOD: dict[str, Any] = {
    "benchmarks": [{"name": "sparse", "time_unit": "ms", "samples": [1.0 + i / 1000 for i in range(20)]}]
}


def changed(**fields: Any) -> str:
    return json.dumps({"benchmarks": [{**GOOD["benchmarks"][0], **fields}]})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is not a results file"),
        (json.dumps(GOOD)[:-9], "is not a results file"),
        ("[1]", "is not a results file"),
        ('{"benchmarks": []}', "benchmarks"),
        (changed(samples=[]), "samples"),
        (changed(samples=[1.0, float("nan")]), "samples[1]"),
        (changed(samples=[1.0, -1.0]), "samples[1]"),
        (changed(samples=[1.0, 0]), "samples[1]"),
        (changed(samples=[1.0, 1e300]), "samples[1]"),
        (changed(samples=["1; rm -rf"]), "samples[0]"),
        (changed(time_unit="moons"), "time_unit"),
        (changed(name="other"), "no model in common: sparse against other"),
        (changed(time_unit="instructions"), "the base holds measured times and the new side counts instructions"),
        (json.dumps({**GOOD, "context": {"kind": "estimate"}}), "the new side is an estimate"),
        (json.dumps({**GOOD, "context": {"schema_version": 9}}), "schema version 9 is not 1"),
    ],
)
def test_files_that_say_nothing(text: str, sentence: str, tmp_path: Path, chita_edge: Run) -> None:
    (tmp_path / "good.json").write_text(json.dumps(GOOD))
    (tmp_path / "bad.json").write_text(text)
    done = chita_edge("compare", "good.json", "bad.json")
    assert done.returncode == 1, done.stdout
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_files_that_are_none(tmp_path: Path, saved: Saved, chita_edge: Run) -> None:
    good = saved("good.json", sparse=4.0)
    (tmp_path / "folder").mkdir()
    with (tmp_path / "huge.json").open("w") as file:
        os.truncate(file.fileno(), 1 << 40)
    for name, sentence in (("none", "No such file"), ("folder", "cannot be read"), ("huge.json", "64 MiB")):
        done = chita_edge("compare", good, name)
        assert done.returncode == 1
        assert sentence in done.stderr


@pytest.mark.parametrize("share", ["", "five", "-5%", "nan", "2000%"])
def test_an_allowed_regression_that_is_none(share: str, saved: Saved, chita_edge: Run) -> None:
    good = saved("good.json", sparse=4.0)
    done = chita_edge("compare", good, good, "--max-regression", share)
    assert done.returncode == 2
    assert "no allowed regression" in done.stderr


def test_unfit_samples_are_named(saved: Saved, tmp_path: Path, chita_edge: Run) -> None:
    good = saved("good.json", sparse=4.0)
    few = {"benchmarks": [{"name": "sparse", "time_unit": "ms", "samples": [4.0] * 8}]}
    (tmp_path / "few.json").write_text(json.dumps(few))
    done = chita_edge("compare", good, "few.json")
    assert done.returncode == 4
    assert "few samples: 8 on one side" in done.stdout


def test_a_hostile_name_is_printed_as_it_is(tmp_path: Path, chita_edge: Run) -> None:
    (tmp_path / "a.json").write_text(changed(name="[red]x[/red]"))
    done = chita_edge("compare", "a.json", "a.json")
    assert done.returncode == 0
    assert "[red]x[/red]" in done.stdout
