"""Several ONNX Runtimes in one process, each with its own table of functions: nothing of one is handed to another."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import sparse_models

import runtimes
from runtimes.toolchain import NATIVE

P, SIZE, INT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
SLOTS = {
    name: int(number) for number, name in re.findall(r"X\((\d+), (\w+),", (NATIVE / "ort/abi.h").read_text("utf-8"))
}
LAST_SLOT = max(SLOTS.values())
MISSING = 9  # of an attribute; any status that is not 0
NAME, DESTROY, CREATE, COMPUTE = 2, 9, 17, 18  # members of OrtCustomOp, of a pointer each
SOURCES = {"X": (1, 3, 9, 9), "W": (4, 3, 3, 3), "bias": (4,)}


class FakeRuntime:
    """A table of functions that runs one DenseConv, and remembers what was made by it and what came back."""

    def __init__(self, version: str) -> None:
        rng = np.random.default_rng(0)
        self.arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in SOURCES.items()}
        self.arrays["Y"] = np.full((1, 4, 7, 7), np.nan, np.float32)
        self.values = {100 + i: array for i, array in enumerate(self.arrays.values())}
        self.domains: dict[int, list[int]] = {}
        self.added: list[int] = []
        self.blocks: dict[int, Any] = {}
        self.foreign: list[int] = []
        self.keep: list[Any] = []
        self.version = ctypes.create_string_buffer(version.encode())
        minor = int(version.split(".")[1])
        self.table = (P * (LAST_SLOT + 1))()
        for name, result, arguments, function in self.functions():
            if name != "GetTensorElementTypeAndShapeDataReference" or minor >= 24:
                self.table[SLOTS[name]] = self.callback(result, arguments, function)
        self.base = (P * 2)(
            self.callback(P, (ctypes.c_uint32,), lambda _: ctypes.addressof(self.table)),
            self.callback(P, (), lambda: ctypes.addressof(self.version)),
        )

    def callback(self, result: Any, arguments: tuple[Any, ...], function: Callable[..., Any]) -> int | None:
        self.keep.append(ctypes.CFUNCTYPE(result, *arguments)(function))
        return ctypes.cast(self.keep[-1], P).value

    def allocate(self, _: int, size: int, out: Any) -> None:
        room = ctypes.create_string_buffer(size)
        self.blocks[ctypes.addressof(room)] = room
        out[0] = ctypes.addressof(room)

    def free(self, _: int, block: int) -> None:
        if self.blocks.pop(block, None) is None:
            self.foreign.append(block)

    def new_domain(self, _: bytes, out: Any) -> None:
        out[0] = 7000 + len(self.domains) + 1000 * id(self)
        self.domains[out[0]] = []

    def shape(self, value: int, out: Any) -> None:
        out[0] = value

    def refer(self, value: int, kind: Any, dims: Any, rank: Any) -> None:
        array = self.values[value]
        kind[0], rank[0] = 1, array.ndim
        self.keep.append((ctypes.c_int64 * array.ndim)(*array.shape))
        dims[0] = ctypes.addressof(self.keep[-1])

    def functions(self) -> list[tuple[str, Any, tuple[Any, ...], Callable[..., Any]]]:
        of = ctypes.POINTER

        def put(pointer: Any, value: int) -> None:
            pointer[0] = value

        def dims(value: int, out: Any, rank: int) -> None:
            for i in range(rank):
                out[i] = self.values[value].shape[i]

        def name(_: int, out: Any, size: Any) -> None:
            out[0], size[0] = b"\0", 1

        def parallel(_: int, function: int, total: int, batch: int, user: int) -> None:
            for i in range(total):
                ctypes.CFUNCTYPE(None, P, SIZE)(function)(user, i)

        return [
            ("CreateStatus", P, (INT, ctypes.c_char_p), lambda code, text: 1000 + code),
            ("ReleaseStatus", None, (P,), lambda status: None),
            ("HasSessionConfigEntry", P, (P, P, of(INT)), lambda o, key, there: put(there, 0)),
            ("CreateCustomOpDomain", P, (ctypes.c_char_p, of(P)), self.new_domain),
            ("CustomOpDomain_Add", P, (P, P), lambda domain, op: self.domains[domain].append(op)),
            ("AddCustomOpDomain", P, (P, P), lambda options, domain: self.added.append(domain)),
            ("KernelInfoGetAllocator", P, (P, INT, of(P)), lambda info, kind, out: put(out, 5)),
            ("GetAllocatorWithDefaultOptions", P, (of(P),), lambda out: put(out, 5)),
            ("ReleaseAllocator", None, (P,), lambda allocator: None),
            ("AllocatorAlloc", P, (P, SIZE, of(P)), self.allocate),
            ("AllocatorFree", P, (P, P), self.free),
            ("KernelInfo_GetInputCount", P, (P, of(SIZE)), lambda info, out: put(out, 3)),
            ("KernelInfo_GetNodeName", P, (P, of(ctypes.c_char), of(SIZE)), name),
            ("KernelInfoGetAttribute_float", P, (P, P, P), lambda *_: MISSING),
            ("KernelInfoGetAttribute_int64", P, (P, P, P), lambda *_: MISSING),
            ("KernelInfoGetAttribute_string", P, (P, P, P, P), lambda *_: MISSING),
            ("KernelInfoGetAttributeArray_float", P, (P, P, P, P), lambda *_: MISSING),
            ("KernelInfoGetAttributeArray_int64", P, (P, P, P, P), lambda *_: MISSING),
            (
                "KernelInfoGetConstantInput_tensor",
                P,
                (P, SIZE, of(INT), of(P)),
                lambda info, i, constant, out: (put(constant, 1), put(out, 100 + i))[0],
            ),
            ("GetTensorTypeAndShape", P, (P, of(P)), self.shape),
            ("GetTensorElementType", P, (P, of(INT)), lambda shape, out: put(out, 1)),
            ("GetDimensionsCount", P, (P, of(SIZE)), lambda shape, out: put(out, self.values[shape].ndim)),
            ("GetDimensions", P, (P, of(ctypes.c_int64), SIZE), dims),
            ("ReleaseTensorTypeAndShapeInfo", None, (P,), lambda shape: None),
            ("GetTensorMutableData", P, (P, of(P)), lambda value, out: put(out, self.values[value].ctypes.data)),
            ("GetTensorElementTypeAndShapeDataReference", P, (P, of(INT), of(P), of(SIZE)), self.refer),
            ("KernelContext_GetInput", P, (P, SIZE, of(P)), lambda context, i, out: put(out, 100 + i)),
            ("KernelContext_GetOutput", P, (P, SIZE, P, SIZE, of(P)), lambda c, i, d, rank, out: put(out, 103)),
            ("KernelContext_ParallelFor", P, (P, P, SIZE, SIZE, P), parallel),
        ]

    def member(self, op: int, index: int, result: Any, *arguments: Any) -> Any:
        address = ctypes.cast(op, ctypes.POINTER(P))[index]
        return ctypes.CFUNCTYPE(result, *arguments)(address)

    def run(self, library: ctypes.CDLL) -> np.ndarray:
        """Registers, makes a DenseConv, runs it, and lets it go."""
        assert not library.ChitaEdgeRegisterCustomOps(P(1), self.base)
        (op,) = (op for op in self.domains[self.added[-1]] if self.op_name(op) == b"DenseConv")
        kernel = P()
        create = self.member(op, CREATE, P, P, P, P, ctypes.POINTER(P))
        assert not create(op, ctypes.addressof(self.table), 1, kernel)
        assert not self.member(op, COMPUTE, P, P, P)(kernel, 1)
        self.member(op, DESTROY, None, P)(kernel)
        return self.arrays["Y"].copy()

    def op_name(self, op: int) -> bytes:
        found: bytes = self.member(op, NAME, ctypes.c_char_p, P)(op)
        return found


ALIVE: list[FakeRuntime] = []  # the library remembers their tables for the life of the process


def test_what_a_runtime_made_goes_back_to_it() -> None:
    """An old one has not all functions of a newer one, and neither its allocator nor its domains."""
    library = ctypes.CDLL(str(runtimes.library()))
    library.ChitaEdgeRegisterCustomOps.restype = P
    new, old = FakeRuntime("1.27.0"), FakeRuntime("1.20.1")
    ALIVE.extend((new, old))
    results = [runtime.run(library) for runtime in (new, old, new, old, new)]
    expected = sparse_models.reference("DenseConv", new.arrays["X"], new.arrays["W"], new.arrays["bias"])
    for result in results:
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
    for runtime in (new, old):
        assert not runtime.foreign
        assert len(runtime.blocks) <= 1, "a scratch is kept for the next run, all else is freed"
        assert set(runtime.added) == set(runtime.domains)
        assert len(runtime.domains) == 1


class CApi:
    """The library of ONNX Runtime for C, which is another one than Python's, by its table of functions."""

    def __init__(self) -> None:
        folder = Path(ort.__file__).parent / "capi"
        found = sorted(folder.glob("libonnxruntime.so.*"))
        if not found:
            pytest.skip("this package of ONNX Runtime has no library for C")
        base = ctypes.CDLL(str(found[0])).OrtGetApiBase
        base.restype = ctypes.POINTER(P)
        get_api = ctypes.CFUNCTYPE(ctypes.POINTER(P), ctypes.c_uint32)(base()[0])
        self.table = get_api(18)

    def __call__(self, name: str, *arguments: Any) -> None:
        """Calls one that answers with a status; numbers are sizes or flags as wide as they are declared."""
        status = ctypes.CFUNCTYPE(P, *(type(one) for one in arguments))(self.table[SLOTS[name]])(*arguments)
        if status:
            message = ctypes.CFUNCTYPE(ctypes.c_char_p, P)(self.table[SLOTS["GetErrorMessage"]])(status)
            raise AssertionError(f"{name}: {message.decode()}")

    def made(self, name: str, *arguments: Any) -> P:
        """The object that a function makes, whose place is its last argument."""
        out = P()
        self(name, *arguments, ctypes.pointer(out))
        return out


def test_a_session_registers_by_the_name_that_no_other_library_has(tmp_path: Path) -> None:
    """As on Android: by a function that the app has loaded; and beside the sessions of another ONNX Runtime."""
    path = tmp_path / "model.onnx"
    path.write_bytes(sparse_models.small_network(np.random.default_rng(0)))
    x = np.random.default_rng(1).normal(size=(1, 3, 32, 32)).astype(np.float32)
    want = runtimes.session(path, trusted=True).run(None, {"X": x})[0]
    ctypes.CDLL(str(runtimes.library()), mode=ctypes.RTLD_GLOBAL)
    c = CApi()
    text = ctypes.c_char_p
    environment = c.made("CreateEnv", INT(4), text(b"test"))
    options = c.made("CreateSessionOptions")
    c("RegisterCustomOpsUsingFunction", options, text(b"ChitaEdgeRegisterCustomOps"))
    session = c.made("CreateSession", environment, text(str(path).encode()), options)
    memory = c.made("CreateCpuMemoryInfo", INT(0), INT(0))
    shape = (ctypes.c_int64 * 4)(*x.shape)
    value = c.made("CreateTensorWithDataAsOrtValue", memory, P(x.ctypes.data), SIZE(x.nbytes), shape, SIZE(4), INT(1))
    names = (text * 1)(b"X"), (text * 1)(b"Y")
    for _ in range(3):
        y = P()
        c("Run", session, P(), names[0], (P * 1)(value), SIZE(1), names[1], SIZE(1), ctypes.pointer(y))
        data = ctypes.cast(c.made("GetTensorMutableData", y), ctypes.POINTER(ctypes.c_float))
        np.testing.assert_array_equal(np.ctypeslib.as_array(data, want.shape), want)
        assert runtimes.session(path, trusted=True).run(None, {"X": x})[0].tobytes() == want.tobytes()
        ctypes.CFUNCTYPE(None, P)(c.table[SLOTS["ReleaseValue"]])(y)
    for name, made in (("Session", session), ("SessionOptions", options), ("Value", value), ("MemoryInfo", memory)):
        ctypes.CFUNCTYPE(None, P)(c.table[SLOTS[f"Release{name}"]])(made)
    ctypes.CFUNCTYPE(None, P)(c.table[SLOTS["ReleaseEnv"]])(environment)


def test_sessions_made_at_the_same_time_with_different_instruction_sets() -> None:
    """No limit of one of them reaches another, and to ask which there are changes nothing."""
    model = sparse_models.small_network(np.random.default_rng(0))
    x = np.random.default_rng(1).normal(size=(1, 3, 32, 32)).astype(np.float32)

    def run(isa: str) -> bytes:
        runtimes.library.__globals__["_usable"].__wrapped__()
        result: bytes = runtimes.session(model, isa=isa).run(None, {"X": x})[0].tobytes()
        return result

    wanted = {isa: run(isa) for isa in runtimes.isas()}
    turns = [*runtimes.isas()] * 10
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, turns)) == [wanted[isa] for isa in turns]
