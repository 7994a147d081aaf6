"""The state folder: its fingerprint, and a lock for one process at a time."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from typing import TYPE_CHECKING, Self

from chita_edge.storage.atomic_file import whole_file
from chita_edge.storage.errors import ScratchSpaceError, StateError
from chita_edge.storage.folder_journal import FolderJournal

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from chita_edge.storage.fingerprint import Fingerprint

_FORMAT = 2
_MANIFEST_BYTES = 100_000


class StateFolder:
    """State of one computation, known by its fingerprint; a context manager that holds the folder's lock.

    Layout: ``state.json`` says whose folder it is; ``parts/`` holds finished parts, one file each; ``gradients/STAGE/``
    finished batches of gradients, as long as that stage is not solved.

    Args:
        path: made when it is not there; otherwise empty or of this fingerprint.
        fingerprint: of all that the result depends on.

    Raises:
        StateError: the folder is another computation's, not a state folder, or in use.
        ScratchSpaceError: the folder cannot be made or written.
    """

    def __init__(self, path: Path, fingerprint: Fingerprint) -> None:
        self.path, self._known_by = path, fingerprint
        self.fingerprint = fingerprint.digest

    def __enter__(self) -> Self:
        parts = self.path / "parts"
        manifest = self.path / "state.json"
        try:
            if self.path.is_dir() and not manifest.exists() and self._holds_other_files():
                raise StateError(f"The folder {self.path} holds other files. Name an empty one, or a new one.")
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise ScratchSpaceError(f"The state folder {self.path} cannot be used: {error.strerror}.") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if manifest.exists():
                self._check(manifest)
            else:
                content = {"format": _FORMAT, "fingerprint": self.fingerprint, "parts": dict(self._known_by.parts)}
                with whole_file(manifest) as file:
                    file.write(f"{json.dumps(content)}\n".encode())
            parts.mkdir(exist_ok=True)
        except BlockingIOError as error:
            os.close(self._lock)
            raise StateError(f"Another process is working in the state folder {self.path}.") from error
        except OSError as error:
            os.close(self._lock)
            raise ScratchSpaceError(f"The state folder {self.path} cannot be used: {error.strerror}.") from error
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._lock)

    @property
    def journal(self) -> FolderJournal:
        """Journal for finished parts."""
        return FolderJournal(self.path / "parts", self.fingerprint)

    def gradients(self, stage: str) -> tuple[Path, str]:
        """The folder of a stage's gradient batches, and their fingerprint."""
        return self.path / "gradients" / stage, f"{self.fingerprint}/{stage}"

    def discard_gradients(self, stage: str) -> None:
        """Free the space of a stage's gradients."""
        shutil.rmtree(self.path / "gradients" / stage, ignore_errors=True)

    def _holds_other_files(self) -> bool:
        """Whether the folder holds files that no interrupted start can have left."""
        return any(file.name != "lock" and not file.name.startswith(".state.json.") for file in self.path.iterdir())

    def _check(self, manifest: Path) -> None:
        try:
            with manifest.open("rb") as file:
                content = json.loads(file.read(_MANIFEST_BYTES))
        except ValueError:
            content = None
        if not isinstance(content, dict) or not isinstance(content.get("format"), int):
            raise StateError(f"{manifest} is not the description of a state folder. Name another folder.")
        if content["format"] != _FORMAT:
            raise StateError(
                f"The state folder {self.path} was written by another version of chita-edge (format "
                f"{content['format']}, not {_FORMAT}). Name another folder, or remove this one to start anew."
            )
        if content.get("fingerprint") != self.fingerprint:
            parts = content.get("parts")
            differ = self._known_by.differences(parts if isinstance(parts, dict) else {})
            raise StateError(
                f"The state folder {self.path} belongs to another run. What differs: {', '.join(differ)}. Name another "
                "folder, or remove this one to start anew."
            )
