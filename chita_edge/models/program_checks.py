"""What may stand in a file of ``torch.export.save`` that is opened: tensors, operators of ATen, sizes."""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chita_edge.models.checkpoints import WeightsError

_MAX_JSON_BYTES = 64 << 20
_MAX_ENTRIES = 100_000
_MAX_UNPACK_RATIO = 4  # torch stores uncompressed
_SLACK_BYTES = 1 << 20
_MAX_EXPRESSION = 2000
_MAX_DEPTH = 200
_NAME = re.compile(r"[A-Za-z0-9_.]*")
_TARGETS = re.compile(
    r"torch\.ops\.aten\.(?!from_file\b)[a-z0-9_]+\.[A-Za-z0-9_]+"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|neg|pos|pow|abs|eq|ne|lt|le|gt|ge|and_|or_|not_|getitem)"
    r"|math\.(ceil|floor|trunc|sqrt|pow)"
    r"|torch\.(sym_int|sym_float|sym_max|sym_min|sym_not|sym_ite|sym_sum)"
)
_EXPRESSIONS = frozenset(
    [
        "Symbol",
        "Integer",
        "Rational",
        "Float",
        "Add",
        "Mul",
        "Pow",
        "Max",
        "Min",
        "Mod",
        "FloorDiv",
        "CeilDiv",
        "CleanDiv",
        "PythonMod",
        "ModularIndexing",
        "Where",
        "Equality",
        "Unequality",
        "StrictLessThan",
        "LessThan",
        "StrictGreaterThan",
        "GreaterThan",
        "Relational",
        "And",
        "Or",
        "Not",
        "Eq",
        "Ne",
        "Lt",
        "Le",
        "Gt",
        "Ge",
        "TruncToInt",
        "IntTrueDiv",
        "FloatTrueDiv",
        "CeilToInt",
        "FloorToInt",
        "RoundToInt",
        "ToFloat",
        "PowByNatural",
        "Identity",
    ]
)
_CONTAINERS = {None, "builtins.tuple", "builtins.list", "builtins.dict"}
_FOLDERS = ("data/weights/", "data/constants/", "data/sample_inputs/", "models/", "extra/")
_FILES = ("archive_format", "archive_version", "byteorder", "version", ".data/version", ".data/serialization_id")


def check_archive(data: bytes, path: Path) -> None:
    """Refuse an archive that holds anything but a program as `chita_edge.models.program` describes it.

    Raises:
        WeightsError: the message names what.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_entries(archive, len(data), path)
            for entry in archive.infolist():
                if entry.filename.endswith(".json"):
                    _check_json(_json(archive, entry, path), path)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError) as error:
        text = str(error).strip().rstrip(".") or type(error).__name__
        raise WeightsError(f"{path} is damaged or no file of torch.export.save: {text}.") from None


def _check_entries(archive: zipfile.ZipFile, size: int, path: Path) -> None:
    entries = archive.infolist()
    if len(entries) > _MAX_ENTRIES or len({entry.filename for entry in entries}) < len(entries):
        raise WeightsError(f"{path} holds {len(entries)} entries, too many or some of them twice; export it again.")
    if sum(entry.file_size for entry in entries) > _MAX_UNPACK_RATIO * size + _SLACK_BYTES:
        raise WeightsError(f"{path} would unpack to many times its size and was not opened.")
    names = [entry.filename.partition("/")[2] for entry in entries]
    if "models/model.json" not in names:
        raise WeightsError(
            f"{path} holds no program of torch.export.save, as torch 2.8 and newer write it; export it again, or name "
            "path/file.py:factory and --weights."
        )
    for name in names:
        if not name.startswith(_FOLDERS) and name not in _FILES:
            raise WeightsError(f"{path} holds {name!r}, which no plain program does, and was not opened.")


def _json(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> Any:
    if entry.file_size > _MAX_JSON_BYTES:
        raise WeightsError(f"{path}: {entry.filename} has {entry.file_size:,} bytes, more than a program needs.")
    try:
        with archive.open(entry) as file:
            return json.loads(file.read(_MAX_JSON_BYTES + 1))
    except (ValueError, RecursionError):
        raise WeightsError(f"{path}: {entry.filename} is no JSON; export it again.") from None


def _check_json(document: Any, path: Path) -> None:
    def refuse(what: str) -> WeightsError:
        return WeightsError(
            f"The program {path} {what}, which could run code, and was not opened. Name path/file.py:factory instead."
        )

    for place, key, value in _entries(document):
        if key == "use_pickle" and value:
            raise refuse(f"holds a pickled object ({_short(place)})")
        if key == "target" and isinstance(value, str) and not _TARGETS.fullmatch(value):
            raise refuse(f"calls {_short(value)}")
        if key == "expr_str" and not _is_expression(value):
            raise refuse(f"holds the expression {_short(value)}")
        if key in ("in_spec", "out_spec") and isinstance(value, str) and not _is_plain_tree(value):
            raise refuse(f"takes or returns containers other than lists, tuples and dicts ({_short(value)})")
        if key == "treespec_namedtuple_fields" and value:
            raise refuse("takes or returns named tuples")
        named = key.endswith("name") or key in ("fqn", "forward_arg_names", "as_string", "as_strings")
        if named and isinstance(value, str) and not _NAME.fullmatch(value):
            raise refuse(f"holds the name {_short(value)}")


def _entries(document: Any) -> Iterator[tuple[str, str, Any]]:
    """Each value with its key and the key above; entries of lists under the list's key, free text left out."""
    waiting: list[tuple[str, str, Any, int]] = [("", "", document, 0)]
    while waiting:
        place, key, value, depth = waiting.pop()
        if depth > _MAX_DEPTH:
            raise WeightsError("A program is nested more deeply than any that torch writes; export it again.")
        yield place, key, value
        if isinstance(value, dict):
            # Traces of the exporting program's source, which torch keeps as text.
            inner = ((k, v) for k, v in value.items() if k != "metadata")
            for k, v in inner:
                yield place, "name", k  # a mapping's keys are names too
                waiting.append((key, k, v, depth + 1))
        elif isinstance(value, list):
            waiting += [(place, key, v, depth + 1) for v in value]


def _is_expression(text: Any) -> bool:
    """Whether a text is a call of sympy's constructors on numbers and names of sizes, and nothing else."""
    if not isinstance(text, str) or len(text) > _MAX_EXPRESSION:
        return False
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Name) or node.func.id not in _EXPRESSIONS:
                return False
        elif isinstance(node, ast.Name):
            if node.id not in _EXPRESSIONS and not re.fullmatch(r"[su]\d+", node.id):
                return False
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, str) and not re.fullmatch(r"[A-Za-z0-9_]+", node.value):
                return False
            if isinstance(node.value, int) and abs(node.value) > 2**63:
                return False
        elif not isinstance(node, ast.Expression | ast.keyword | ast.Load | ast.UnaryOp | ast.USub):
            return False
    return True


def _is_plain_tree(text: str) -> bool:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return all(key != "type" or value in _CONTAINERS for _, key, value in _entries(document)) and all(
        value in (None, "null") or _is_keys(value) for _, key, value in _entries(document) if key == "context"
    )


def _is_keys(text: Any) -> bool:
    """Whether a text is a JSON list of a dict's keys, plain names."""
    try:
        keys = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return False
    return isinstance(keys, list) and all(isinstance(key, str | int) and _NAME.fullmatch(str(key)) for key in keys)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"{text[:77]}…"
