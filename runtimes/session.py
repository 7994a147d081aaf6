"""ONNX Runtime sessions, with the kernel library and without it, under the same settings.

Threads. By default a session's worker threads go on spinning for a while after a run, in the way of whichever session
runs next. Both kinds of session therefore stop that at the end of a run (`session.force_spinning_stop`), so that in
interleaved measurements neither is measured in the other's shadow, and neither is favoured.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import onnxruntime as ort

from runtimes.errors import OptionError, SessionError
from runtimes.library import isas, library

MAX_THREADS = 256


def _options(threads: int, profile: bool | str) -> ort.SessionOptions:
    if not 1 <= threads <= MAX_THREADS:
        raise OptionError(f"threads must be from 1 to {MAX_THREADS}, not {threads}")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.enable_profiling = bool(profile)
    if isinstance(profile, str):
        options.profile_file_prefix = profile
    options.log_severity_level = 4  # errors are raised: they need not be printed over a table as well
    return options


def check_file(path: str | Path, sizes: Mapping[str, tuple[int, ...]] | None = None) -> bytes:
    """Read an untrusted model file as `exporters.load` does, and return bytes that may be handed to a runtime.

    A runtime believes a file: it reads external data from wherever the file says, and computes and allocates what the
    file asks for. What is returned has its external data in it, from its own folder, and is bounded. `sizes` are those
    of inputs that the file leaves open; the bounds are for these.

    Raises:
        SessionError: the file is no ONNX model, asks for too much, or uses what cannot be bounded.

    """
    # Who only opens files of his own making needs neither of these, and they take half a second to import.
    from exporters.errors import LoadError
    from exporters.load import load

    if not Path(path).is_file():
        raise SessionError(f"the model {path} is not a file")
    try:
        content: bytes = load(path, needs_bodies=False, sizes=sizes).SerializeToString()
    except LoadError as error:
        raise SessionError(
            f"{error} (It was checked before a runtime sees it; trusted=True opens a file of your own unchecked.)"
        ) from error
    return content


def _open(model: str | Path | bytes, options: ort.SessionOptions, trusted: bool) -> ort.InferenceSession:
    where = "the model" if isinstance(model, bytes) else f"the model {model}"
    if isinstance(model, bytes):
        source: str | bytes = model
    elif trusted:
        source = os.fspath(model)
        if not Path(model).is_file():
            raise SessionError(f"{where} is not a file")
    else:
        source = check_file(model)
    try:
        return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exception classes have no common base but this
        raise SessionError(f"ONNX Runtime refused {where}: {error}") from error


def session(
    path: str | Path | bytes,
    threads: int = 1,
    isa: str | None = None,
    profile: bool | str = False,
    *,
    trusted: bool = False,
) -> ort.InferenceSession:
    """Open a session for `path` (a file, or the bytes of a model) that runs chita.edge ops with the kernel library.

    A file is checked first, as by `check_file`, but for one that is `trusted`; bytes are the caller's own and are not.
    `threads` is the size of the intra-op pool. `isa` hides all instruction sets above the one named, for tests and
    comparisons (see `isas`). `profile` makes ONNX Runtime write its per-node profile, into a file that begins with the
    path that is given, if one is.

    Raises:
        SessionError: the file, ONNX Runtime or a kernel refused the model.
        LibraryMissingError: this machine has no kernel library.
        OptionError: `threads` or `isa` is out of range.

    """
    options = _options(threads, profile)
    file = library()
    if isa is not None:
        if isa not in isas():
            raise OptionError(
                f"there are no kernels for the instruction set {isa!r} here; there are {', '.join(isas())}"
            )
        options.add_session_config_entry("chita_edge.isa", isa)
    # ONNX Runtime tells a custom op nothing about its thread pool: this is how the kernels learn its size.
    options.add_session_config_entry("chita_edge.intra_op_threads", str(threads))
    try:
        options.register_custom_ops_library(str(file))
    except Exception as error:
        raise SessionError(
            f"ONNX Runtime {ort.__version__} could not load the kernel library {file}: {error}"
        ) from error
    return _open(path, options, trusted)


def dense_session(
    path: str | Path | bytes, threads: int = 1, profile: bool | str = False, *, trusted: bool = False
) -> ort.InferenceSession:
    """Open a session of the baseline: stock ONNX Runtime, settings as in `session`, no kernel library.

    Raises:
        SessionError: ONNX Runtime refused the model.
        OptionError: `threads` is out of range.

    """
    return _open(path, _options(threads, profile), trusted)
