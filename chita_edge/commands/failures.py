"""Conversion of exceptions to a sentence and an exit code, for every verb of the command line."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable

import click

INTERRUPTED = 130  # 128 + SIGINT, as shells count
_DEFAULT = 1


def reported(run: Callable[[], object]) -> int:
    """Run `run`; return the exit code of what happened, after printing its sentence on standard error.

    Without an exception that is the number which `run` returned, as click does for `Context.exit`, else 0.

    An exception that none of our packages raised on purpose is a defect: it passes through with its traceback.
    """
    try:
        code = run()
        sys.stdout.flush()
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort) as interrupt:
        told = str(interrupt.__cause__ or interrupt)  # click turns the one into the other
        return _say(told or "Interrupted; nothing was written.", INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output went away (`| head`). Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _DEFAULT
    except MemoryError:
        return _say("There is not enough memory for this; fewer calibration images need less.", _DEFAULT)
    except OSError as error:
        return _say(_os_sentence(error), _DEFAULT)
    except Exception as error:
        if not isinstance(error, _expected()):
            raise
        return _say(str(error), getattr(error, "exit_code", _DEFAULT))
    return code if isinstance(code, int) else 0


def _expected() -> tuple[type[Exception], ...]:
    # Imported late: `chita-edge --help` needs neither torch nor onnxruntime.
    from chita_edge.errors import ChitaEdgeError
    from device_bench.errors import DeviceBenchError
    from exporters.errors import ExportError
    from runtimes.errors import RuntimesError

    return ChitaEdgeError, DeviceBenchError, ExportError, RuntimesError


def _os_sentence(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full{where}; nothing was left behind. Free some space and run the command again."
    return f"The system refused a file operation{where}: {error.strerror or error}."


def _say(sentence: str, code: int) -> int:
    print(f"chita-edge: {sentence}", file=sys.stderr, flush=True)  # noqa: T201 - told once, here
    return code
