import pytest

from chita_edge.report.terminal import ProgressBars


def test_without_a_terminal_a_stage_is_one_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBars() as progress:
        for done in range(5):
            progress("gradients", done, 4)
        progress("solve", 0, 10)
    captured = capsys.readouterr()
    assert captured.err == "gradients: done\n"
    assert captured.out == ""
