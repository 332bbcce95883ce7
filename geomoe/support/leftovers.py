"""Hidden folders to work in: locked while in use, so that those of killed processes can be removed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from geomoe.errors import OutputError
from geomoe.support.locks import lock, release

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = ".new-"
_TRIES = 10
_NAME = re.compile(r"\.new-[a-z0-9_]{8}")


@contextlib.contextmanager
def hidden_folder(parent: Path) -> Iterator[Path]:
    """Yield a new hidden folder inside another one; it is gone at the end.

    Those that killed processes left there are removed first.

    Raises:
        OSError: it cannot be made.
    """
    remove_leftovers(parent)
    with contextlib.ExitStack() as stack:
        for left in reversed(range(_TRIES)):
            path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            try:
                stack.enter_context(_locked(path))
                break
            except (FileNotFoundError, OutputError):  # another process removed it before it was locked
                if not left:
                    raise
        stack.callback(shutil.rmtree, path, ignore_errors=True)
        yield path


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    if os.name == "nt":  # folders cannot be opened, nor are leftovers removed
        yield
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        lock(handle, path, "working in it")
        yield
    finally:
        release(handle)
        with contextlib.suppress(OSError):  # closed already in a forked worker
            os.close(handle)


def remove_leftovers(parent: Path) -> None:
    """Remove the hidden folders that no living process holds; where that is not certain they stay.

    Args:
        parent: the folder that they lie in.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return
    for path in parent.glob(f"{_PREFIX}*"):
        if not _NAME.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
            continue
        with contextlib.suppress(OSError):  # in use, gone, of another user, or on a file system without locks
            handle = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
            finally:
                os.close(handle)
