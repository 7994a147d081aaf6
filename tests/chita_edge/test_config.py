from pathlib import Path

import pytest

from chita_edge.config import BuildConfig, read_toml, validated
from chita_edge.errors import UsageError

MINIMAL = {"model": "mobilenet", "target": "arm64"}


def test_defaults_are_filled_in() -> None:
    assert validated(BuildConfig, dict(MINIMAL)).sparsity == 0.8


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("sparsity", 1.0),
        ("sparsity", -0.1),
        ("sparsity", float("nan")),
        ("sparsity", "much"),
        ("threads", 0),
        ("samples", 49),
        ("seed", -1),
        ("calibration_images", 0),
    ],
)
def test_a_value_out_of_range_names_option_and_value(option: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"Option '{option}' cannot be {value!r}"):
        validated(BuildConfig, {**MINIMAL, option: value})


def test_float16_arithmetic_needs_float16_values() -> None:
    given = {"model": "mobilenet", "target": "arm64", "arithmetic": "float16"}
    with pytest.raises(UsageError, match="Option 'arithmetic' cannot be 'float16': float16 arithmetic needs values of"):
        validated(BuildConfig, given)
    assert validated(BuildConfig, given | {"values": "float16"}).arithmetic == "float16"


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(UsageError, match="no option 'sparsty'"):
        validated(BuildConfig, {**MINIMAL, "sparsty": 0.5})


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
