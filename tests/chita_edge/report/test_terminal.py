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


def test_a_log_of_a_long_stage_tells_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = iter((0.0, 0.0, 30.0, 60.0, 90.0, 3600.0, 4000.0))
    progress = ProgressBars(clock=lambda: next(seconds))
    for done in (0, 1, 2, 3, 60, 240):
        progress("solve", done, 240)
    assert capsys.readouterr().err == "solve: 1 %, 1 h 59 min left\nsolve: 25 %, 3 h 0 min left\nsolve: done\n"
