import pytest

from chita_edge.models import MODELS
from chita_edge.report.models_table import model_rows, print_models


def test_every_model_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    print_models(MODELS.values())
    printed = capsys.readouterr().out
    rows = model_rows(MODELS.values())
    assert {row["name"] for row in rows} == set(MODELS)
    assert all(row["name"] in printed for row in rows)
