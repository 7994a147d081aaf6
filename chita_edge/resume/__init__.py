"""A folder in which long work leaves what it has finished, so that it can go on after it was killed."""

from chita_edge.resume.fingerprint import Fingerprint, fingerprint
from chita_edge.resume.folder_journal import FolderJournal
from chita_edge.resume.state_folder import StateFolder

__all__ = ["Fingerprint", "FolderJournal", "StateFolder", "fingerprint"]
