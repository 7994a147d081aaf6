"""Hash what a Python object computes with: its code, its plain values, its tensors."""

from __future__ import annotations

import enum
import functools
import hashlib
import re
import sys
import types
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import nn

# What these packages compute is known by their versions.
_VERSIONED = frozenset({"torch", "numpy", "scipy", *sys.stdlib_module_names})
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), torch.dtype, torch.device, torch.layout)
_PLAIN_TYPES = (*_PLAIN, torch.memory_format, torch.Size, PurePath, range, slice)
# Keys of hooks are counted up through the life of a process.
_HOOKS = re.compile("_hooks(_|$)")
_UNREAD = {"training", "_parameters", "_buffers", "_modules"}


def tensor_digest(tensor: torch.Tensor) -> bytes:
    """SHA-256 of a tensor's type, shape, order in memory and values."""
    held = tensor.detach()
    strides = held.stride() if held.layout is torch.strided else None
    digest = hashlib.sha256(f"{held.dtype} {tuple(held.shape)} {strides}".encode())
    if held.layout is not torch.strided:
        held = held.to_dense()
    if held.is_quantized:
        held = held.dequantize()
    digest.update(held.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.digest()


class CodeDigest:
    """A SHA-256 over Python objects.

    Of a function it takes the compiled code, defaults, closure, and what it names among its module's globals:
    functions, classes and plain values, and the functions that those name in turn. Of a network it takes, for each
    module, the class with the code of ``forward`` and of the methods that it names, hooks, and all attributes. Source
    files are not read: they may have changed since they were imported.

    What is compiled (C++, CUDA, Triton) is known by its name only, and packages of the standard library, torch and
    numpy by their versions, see `chita_edge.storage.fingerprint`.

    Args:
        known: names of tensors that are hashed elsewhere, by their `id`.
    """

    def __init__(self, known: Mapping[int, str] | None = None) -> None:
        self._digest = hashlib.sha256()
        self._known = known or {}
        self._seen: dict[int, int] = {}
        self._kept: list[object] = []  # so that no number is given twice

    def hexdigest(self) -> str:
        """Of all that was added so far."""
        return self._digest.hexdigest()

    def add(self, value: object) -> None:
        """Add one object with all that it is made of."""
        if isinstance(value, enum.Enum):
            self._say("enum", type(value).__qualname__, value.name)
        elif isinstance(value, _PLAIN_TYPES):
            self._say(type(value).__name__, repr(value))
        elif isinstance(value, np.generic):
            self._say("scalar", value.dtype.str, value.tobytes().hex())
        elif self._again(value):
            return
        elif isinstance(value, torch.Tensor):
            known = self._known.get(id(value))
            self._say("tensor", tensor_digest(value).hex() if known is None else known)
        elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
            self._say("array", value.dtype.str, repr(value.shape), hashlib.sha256(value.tobytes()).hexdigest())
        elif isinstance(value, Mapping):
            self._say("mapping", str(len(value)))
            for key, item in value.items():
                self.add(key)
                self.add(item)
        elif isinstance(value, (set, frozenset)):
            self._say("set", *sorted(self._apart(item) for item in value))
        elif isinstance(value, (list, tuple)):
            self._say("sequence", type(value).__qualname__, str(len(value)))
            for item in value:
                self.add(item)
        elif isinstance(value, functools.partial):
            for item in (value.func, value.args, value.keywords):
                self.add(item)
        elif isinstance(value, types.CodeType):
            self._code(value)
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, types.MethodType):
            self.add(value.__self__)
            self.add(value.__func__)
        elif isinstance(value, (staticmethod, classmethod)):
            self.add(value.__func__)
        elif isinstance(value, (property, functools.cached_property)):
            self.add(value.fget if isinstance(value, property) else value.func)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, nn.Module):
            self._module(value)
        else:
            self._object(value)

    def _module(self, module: nn.Module) -> None:
        self._say("module", _name(type(module)))
        if isinstance(module, torch.jit.ScriptModule):
            self._say(str(module.code))
        self._methods(type(module), ["forward"])
        for name, value in vars(module).items():
            if name not in _UNREAD:
                self._say(name)
                self.add(list(value.values()) if isinstance(value, dict) and _HOOKS.search(name) else value)
        for held in (module._parameters, module._buffers, module._modules):
            for name, item in held.items():
                self._say(name)
                self.add(item)

    def _object(self, value: object) -> None:
        kind = type(value)
        self._say("object", _name(kind))
        if _versioned(kind) or isinstance(value, types.ModuleType):
            self._say(str(getattr(value, "__qualname__", getattr(value, "__name__", ""))))
            return
        self._class(kind)
        slots = (slot for base in _own_bases(kind) for slot in vars(base).get("__slots__", ()))
        held = {slot: getattr(value, slot) for slot in slots if hasattr(value, slot)}
        for name, item in (held | getattr(value, "__dict__", {})).items():
            self._say(name)
            self.add(item)

    def _class(self, kind: type) -> None:
        self._say("class", _name(kind))
        if self._again(kind, "methods") or _versioned(kind):
            return
        if issubclass(kind, nn.Module):
            self._methods(kind, ["__init__", "forward"])
        elif not issubclass(kind, enum.Enum):
            self._methods(kind, [name for base in _own_bases(kind) for name in vars(base)])

    def _methods(self, kind: type, wanted: list[str]) -> None:
        """The methods of these names, and those that they name in turn, of classes that are not versioned."""
        found = {name: value for base in reversed(_own_bases(kind)) for name, value in vars(base).items()}
        done: set[str] = set()
        while wanted:
            name = wanted.pop()
            value = found.get(name)
            if name in done or name not in found:
                continue
            done.add(name)
            inner = inner_function(value)
            if inner is None and not isinstance(
                value, (*_PLAIN_TYPES, torch.Tensor, tuple, list, dict, types.FunctionType)
            ):
                continue
            self._say("method", name)
            self.add(value)
            if inner is not None:
                wanted.extend(sorted(_names(inner.__code__), reverse=True))

    def _function(self, function: types.FunctionType) -> None:
        self._say("function", _name(function))
        if _versioned(function):
            return
        self._code(function.__code__)
        for value in (function.__defaults__, function.__kwdefaults__):
            self.add(value)
        for cell in function.__closure__ or ():
            self.add(_content(cell))
        for name in sorted(_names(function.__code__) & set(function.__globals__)):
            self._say("global", name)
            value = function.__globals__[name]
            if isinstance(value, types.ModuleType):
                if not _versioned(value):
                    for part in sorted(_names(function.__code__) & set(vars(value))):
                        self._global(vars(value)[part])
            else:
                self._global(value)

    def _global(self, value: object) -> None:
        """Digest of a global that code names; of objects that change as a program runs only the type."""
        if isinstance(value, (types.FunctionType, type, nn.Module, torch.Tensor, functools.partial)) or _is_plain(
            value
        ):
            self.add(value)
        else:
            self._say("global object", _name(type(value)))

    def _code(self, code: types.CodeType) -> None:
        self._say("code", code.co_code.hex(), repr(code.co_names), repr(code.co_varnames), repr(code.co_freevars))
        for constant in code.co_consts:
            self.add(constant)

    def _again(self, value: object, kind: str = "value") -> bool:
        """Whether this object was met before: it is then named by its number, which also tells what is shared."""
        key = hash((id(value), kind))
        if key in self._seen:
            self._say("again", str(self._seen[key]))
            return True
        self._seen[key] = len(self._seen)
        self._kept.append(value)
        return False

    def _apart(self, value: object) -> str:
        """A digest of its own, for what has no order."""
        other = CodeDigest(self._known)
        other.add(value)
        return other.hexdigest()

    def _say(self, *words: str) -> None:
        for word in words:
            told = word.encode(errors="surrogatepass")
            self._digest.update(len(told).to_bytes(8, "little") + told)


def inner_function(value: object) -> types.FunctionType | None:
    """The Python function in a method, a property and the like, if there is one."""
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    elif isinstance(value, property):
        value = value.fget
    elif isinstance(value, functools.cached_property):
        value = value.func
    return value if isinstance(value, types.FunctionType) else None


def _names(code: types.CodeType) -> set[str]:
    """Names of globals and attributes that code uses, with the functions inside it."""
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _own_bases(kind: type) -> list[type]:
    return [base for base in kind.__mro__ if not _versioned(base)]


def _versioned(value: Any) -> bool:
    home = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
    return isinstance(home, str) and home.partition(".")[0] in _VERSIONED and home != "__main__"


def _is_plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_plain, (*value.keys(), *value.values())))
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(map(_is_plain, value))
    return isinstance(value, (*_PLAIN_TYPES, enum.Enum, np.generic, torch.Tensor))


def _name(value: Any) -> str:
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"


def _content(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None
