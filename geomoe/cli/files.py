"""Output that is whole or not there: folders are tried before the work, files are put in place at the end."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from geomoe.errors import OutputError


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
        raise _refused(path, error) from error
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


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A scratch file that becomes ``path`` when the block ends well, and vanishes when it does not.

    Raises:
        OutputError: the folder cannot be made or written, or is full.
    """
    path = Path(path)
    scratch = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".geomoe-", suffix=path.suffix)
        os.close(handle)
        scratch = Path(name)
        yield scratch
        scratch.chmod(0o666 & ~_umask())
        os.replace(scratch, path)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise _refused(path, error) from error
    finally:
        if scratch is not None:
            scratch.unlink(missing_ok=True)


def _refused(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path}: cannot be written: {error.strerror or error}; choose another output")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
