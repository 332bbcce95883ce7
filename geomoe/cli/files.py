"""Folders for output: tried before the work, and gone again when nothing came of it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from geomoe.errors import OutputError
from geomoe.files import reason


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """Check, before any work, that a folder can be made and written; nothing is left behind.

    Raises:
        OutputError: it is a file, lies under one, or cannot be written.
    """
    path = Path(folder)
    nearest = next(parent for parent in [path, *path.absolute().parents] if parent.exists())
    if not nearest.is_dir():
        msg = f"{path}: cannot be a folder, {nearest} is a file; choose another output"
        raise OutputError(msg)
    try:
        with tempfile.TemporaryFile(dir=nearest) as probe:
            probe.write(b"geomoe")
            probe.flush()
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {reason(error)}; choose another output") from error
    return path


@contextlib.contextmanager
def no_empty_folders(folder: str | os.PathLike[str]) -> Iterator[None]:
    """When the block fails, remove the folders that it made and in which it left no file."""
    path = Path(folder).absolute()
    new = [place for place in (path, *path.parents) if not place.exists()]
    try:
        yield
    except BaseException:
        inside = sorted(path.rglob("*"), reverse=True) if new and path.is_dir() else []
        for place in [*inside, *new]:
            with contextlib.suppress(OSError):  # not a folder, or not empty
                place.rmdir()
        raise
