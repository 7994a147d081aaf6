"""A folder in which long work leaves what it has finished, so that it can go on after it was killed."""

from chita_edge.resume.checkpoint import Checkpoint
from chita_edge.resume.errors import ScratchSpaceError, StateError
from chita_edge.resume.fingerprint import Fingerprint, fingerprint
from chita_edge.resume.folder_journal import FolderJournal
from chita_edge.resume.state_folder import StateFolder

__all__ = [
    "Checkpoint",
    "Fingerprint",
    "FolderJournal",
    "ScratchSpaceError",
    "StateError",
    "StateFolder",
    "fingerprint",
]
