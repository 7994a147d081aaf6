"""Exchange two names of a folder in one step of the operating system, where it has one."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_RENAME_EXCHANGE = 2  # linux/fs.h
_AT_FDCWD = -100  # fcntl.h
_UNKNOWN = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)

# Linux since 3.15, called by glibc since 2.28; other systems' C libraries have no function of that name.
_renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


def exchange(a: Path, b: Path) -> bool:
    """Give each of two paths what the other names; False, and nothing is done, where the system or the disk cannot.

    At every moment both names are there. Network disks and FAT cannot. Raises OSError for what the system refuses.
    """
    if _renameat2 is None:
        return False
    if _renameat2(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNKNOWN:
        return False
    raise OSError(code, os.strerror(code), str(a), None, str(b))
