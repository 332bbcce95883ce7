"""One process at a time in a folder: a lock that ends with the process that holds it, however it ends."""

from __future__ import annotations

import contextlib
import functools
import os
from typing import TYPE_CHECKING

from geomoe.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_held: set[int] = set()  # handles of this process


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep a second process out of a folder.

    Args:
        folder: is there.

    Raises:
        OutputError: another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # Windows: two at once would redo each other's chunks, with the same bytes
        yield
        return
    _leave_locks_to_parents()
    handle = os.open(folder, os.O_RDONLY)
    _held.add(handle)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = f"{folder}: another process is making this cache; wait for it"
            raise OutputError(msg) from error
        yield
    finally:
        _held.discard(handle)
        os.close(handle)


@functools.cache
def _leave_locks_to_parents() -> None:
    """A forked worker has its parent's handles: it would hold a killed parent's lock for seconds."""
    os.register_at_fork(after_in_child=_drop)


def _drop() -> None:
    while _held:
        os.close(_held.pop())
