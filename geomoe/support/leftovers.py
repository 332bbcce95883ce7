"""Remove what a killed process left beside an output, when the same output is written again.

A process holds a lock on its temporary files and folders until it ends. The lock distinguishes the files of a
running process from leftovers.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import time
from typing import TYPE_CHECKING

from geomoe.support.locks import lock, release

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = 86_400.0  # seconds without a change, where the file system has no locks
_LETTERS = "[a-z0-9_]" * 8  # of tempfile


@contextlib.contextmanager
def in_use(path: Path) -> Iterator[None]:
    """Hold a lock on a temporary file or folder while the block runs."""
    handle = os.open(path, os.O_RDONLY) if hasattr(os, "O_DIRECTORY") else -1  # Windows opens no folder
    try:
        if handle >= 0:
            lock(handle, path, "writing it")
        yield
    finally:
        if handle >= 0:
            release(handle)
            os.close(handle)


def sweep(folder: Path, prefix: str, suffix: str = "") -> None:
    """Remove the temporary files and folders of these names that no process uses any more.

    Args:
        folder: where they are; need not exist.
        prefix: begin of their names, as given to :mod:`tempfile`.
        suffix: end of their names.
    """
    for path in folder.glob(f"{glob.escape(prefix)}{_LETTERS}{glob.escape(suffix)}"):
        with contextlib.suppress(OSError):  # gone meanwhile, in use, or not ours to remove
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_symlink():
        return
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        locked = lock(handle, path, "writing it")
        if locked or time.time() - path.stat().st_mtime > DAY:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    finally:
        release(handle)
        os.close(handle)
