"""Locks between processes, released when the holding process ends for any reason.

filelock is not used: it cannot lock a folder, and grants a second lock after the locked file is renamed.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

from geomoe.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

_held: set[int] = set()  # handles of this process


def lock(handle: int, path: Path, busy: str) -> bool:
    """Keep every other process out of a file or folder until :func:`release`.

    Args:
        handle: of the file or folder, open.
        path: its name.
        busy: what another process is doing with it, for the error.

    Returns:
        Whether it is locked: some systems cannot.

    Raises:
        OutputError: another process holds it, or has given the name to another file by now.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    refusal = f"{path}: another process is {busy}; wait for it"
    _leave_locks_to_parents()
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(refusal) from error
    except OSError:  # a file system without locks
        return False
    # Another process may have removed or renamed the file between opening and locking it.
    if not path.exists() or not os.path.samestat(os.fstat(handle), path.stat()):
        raise OutputError(refusal)
    _held.add(handle)
    return True


def release(handle: int) -> None:
    """Forget a handle before it is closed, which releases its lock."""
    _held.discard(handle)


@functools.cache
def _leave_locks_to_parents() -> None:
    """Close inherited handles in forked workers, which would hold a killed parent's lock for seconds."""
    os.register_at_fork(after_in_child=_drop)


def _drop() -> None:
    while _held:
        os.close(_held.pop())
