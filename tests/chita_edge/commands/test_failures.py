import errno

import click
import pytest

from chita_edge.commands.failures import reported
from chita_edge.errors import BundleTamperedError, UsageError
from device_bench.errors import DeviceUnavailableError
from exporters.errors import NotOnnxError
from runtimes.errors import SessionError


def _raiser(error: BaseException) -> object:
    def run() -> None:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (UsageError("There is no model 'x'."), 2, "There is no model 'x'."),
        (BundleTamperedError("model.onnx was changed."), 6, "model.onnx was changed."),
        (DeviceUnavailableError("The device is gone."), 5, "The device is gone."),
        (NotOnnxError("It is empty."), 1, "It is empty."),
        (SessionError("ORT refused."), 1, "ORT refused."),
        (KeyboardInterrupt(), 130, "Interrupted"),
        (KeyboardInterrupt("It goes on from there."), 130, "It goes on from there."),
        (click.Abort(), 130, "Interrupted"),
        (MemoryError(), 1, "not enough memory"),
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), 1, "The disk is full (/x/y)"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), 1, "(/x/y): Permission denied."),
        (click.UsageError("No such option: --sparsty"), 2, "No such option"),
    ],
)
def test_a_failure_is_a_sentence_and_a_code(
    error: BaseException, code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reported(_raiser(error)) == code  # type: ignore[arg-type]
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.out == ""


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        reported(_raiser(ZeroDivisionError()))  # type: ignore[arg-type]


def test_success_is_zero() -> None:
    assert reported(lambda: None) == 0
