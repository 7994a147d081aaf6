from pathlib import Path

import pytest

from chita_edge.commands.options import configured
from chita_edge.config import BenchConfig, BuildConfig, ExportConfig, PruneFileConfig, read_toml, validated
from chita_edge.engine.config import PruneConfig
from chita_edge.errors import UsageError

TABLES = ("prune", "export", "bench")

MINIMAL = {"model": "mobilenet", "export": {"target": "arm64"}}


def test_defaults_are_filled_in() -> None:
    config = validated(BuildConfig, dict(MINIMAL))
    assert config.prune == PruneConfig()
    assert (config.export.values, config.bench.threads, config.bench.samples) == ("float32", 1, 200)


def test_build_and_prune_have_the_same_defaults() -> None:
    build = validated(BuildConfig, {**configured(None, {"model": "mobilenet", "target": "arm64"}, *TABLES)})
    assert build.prune == validated(PruneFileConfig, configured(None, {}, "prune")).prune == PruneConfig()
    assert build.calibration_images == validated(PruneFileConfig, {}).calibration_images


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("prune.sparsity", 1.0),
        ("prune.sparsity", -0.1),
        ("prune.sparsity", float("nan")),
        ("prune.sparsity", "much"),
        ("prune.sparsity", "0.5"),
        ("prune.seed", -1),
        ("prune.threads", 0),
        ("bench.threads", 0),
        ("bench.samples", 49),
        ("calibration_images", 0),
    ],
)
def test_a_value_out_of_range_names_option_and_value(option: str, value: object) -> None:
    table, _, name = option.rpartition(".")
    with pytest.raises(UsageError, match=f"Option '{option}' cannot be {value!r}"):
        validated(BuildConfig, {**MINIMAL, **({table: {name: value}} if table else {name: value})})


def test_float16_arithmetic_needs_float16_values() -> None:
    given = {"target": "arm64", "arithmetic": "float16"}
    with pytest.raises(UsageError, match="Option 'arithmetic' cannot be 'float16': float16 arithmetic needs values of"):
        validated(ExportConfig, given)
    assert validated(ExportConfig, given | {"values": "float16"}).arithmetic == "float16"


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no option 'prune\.sparsty'\."):
        validated(BuildConfig, {**MINIMAL, "prune": {"sparsty": 0.5}})
    with pytest.raises(UsageError, match=r"no option 'sparsity' here; it belongs in the table \[prune\]\."):
        validated(BuildConfig, {**MINIMAL, "sparsity": 0.5})
    with pytest.raises(UsageError, match="Option 'export' is missing"):
        validated(BuildConfig, {"model": "mobilenet"})


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(
        "calibration_images = 7\n[prune]\nsparsity = 0.9\nridge = 2\ncost_table = {a = [[0, 1], [1, 2.5]]}\n"
        'scratch_dir = "/x"\n[export]\ntarget = "arm64"\nvalues = "float16"\n[bench]\nsamples = 60\n'
    )
    options = {"sparsity": 0.7, "method": None, "threads": 2, "model": "mobilenet"}
    config = validated(BuildConfig, configured(path, options, *TABLES))
    assert (config.prune.sparsity, config.prune.ridge, config.calibration_images) == (0.7, 2.0, 7)
    assert config.prune.cost_table == {"a": ((0.0, 1.0), (1.0, 2.5))}
    assert config.prune.scratch_dir == Path("/x")
    assert config.bench == BenchConfig(threads=2, samples=60)
    assert config.export == ExportConfig(target="arm64", values="float16")
    alone = validated(PruneFileConfig, configured(path, {"sparsity": 0.7}, "prune"))
    assert alone.prune == config.prune, "one file serves both verbs"
    path.write_text("prune = 3\n")
    with pytest.raises(UsageError, match=r"has to be a table: \[prune\]"):
        configured(path, {}, "prune")


@pytest.mark.parametrize(
    ("options", "epochs"),
    [
        ({}, 0),
        ({"distill": True}, 20),
        ({"distill_seconds": 3.0}, 20),
        ({"gradual_steps": 2}, 20),
        ({"distill": True, "distill_epochs": 4}, 4),
    ],
)
def test_both_verbs_can_distil(options: dict[str, object], epochs: int) -> None:
    values = configured(None, {**options, "target": "arm64", "model": "m"}, *TABLES)
    assert validated(BuildConfig, values).prune.distill_epochs == epochs


def test_toml_is_read_and_its_faults_are_sentences(tmp_path: Path) -> None:
    path = tmp_path / "build.toml"
    path.write_text("sparsity = 0.9\n")
    assert read_toml(path) == {"sparsity": 0.9}
    path.write_text("sparsity = = 0.9")
    with pytest.raises(UsageError, match="not valid TOML"):
        read_toml(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not valid TOML"):
        read_toml(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_toml(tmp_path / "none.toml")
    path.write_bytes(b"#" * (2 << 20))
    with pytest.raises(UsageError, match="larger than"):
        read_toml(path)
