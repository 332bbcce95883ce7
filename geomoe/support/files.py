"""Atomic output files, and input that is restricted to regular files."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from geomoe.errors import InputError, OutputError
from geomoe.support.leftovers import in_use, sweep
from geomoe.support.names import file_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from typing import BinaryIO

    from geomoe.errors import GeomoeError


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str], advice: str = "choose another output") -> Iterator[Path]:
    """Yield a temporary file that is renamed to ``path`` on success and deleted on failure.

    Folders created for it are removed on failure too.

    Args:
        path: the file; its folder is created if needed.
        advice: what the error message tells the user to do.

    Raises:
        OutputError: the folder cannot be created or written, or is full.
    """
    path = Path(path)
    refuse_virtual(path)
    try:
        with made_folders(path.parent):
            sweep(path.parent, f".{path.stem}-", path.suffix)
            folder = path.parent.absolute()  # a:b/ would be an address to some libraries
            handle, name = tempfile.mkstemp(dir=folder, prefix=f".{path.stem}-", suffix=path.suffix)
            os.close(handle)
            scratch = Path(name)
            try:
                with in_use(scratch):
                    yield scratch
                    scratch.chmod(0o666 & ~_umask())
                    os.replace(scratch, path)
            finally:
                scratch.unlink(missing_ok=True)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{path}: cannot be written: {reason(error)}; {advice}") from error


def refuse_virtual(path: Path) -> None:
    """Refuse an output that GDAL would keep in its memory or send away, whatever the system has there.

    Raises:
        OutputError: it begins with ``/vsi``.
    """
    if path.as_posix().startswith("/vsi"):
        raise OutputError(f"{path}: is a name that GDAL does not take for a file; choose another output")


@contextlib.contextmanager
def made_folders(folder: Path) -> Iterator[None]:
    """Create a folder and its parents; at the end, remove created folders that are empty.

    Raises:
        OSError: the folder cannot be created.
    """
    missing = missing_folders(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        remove_empty(missing)


def missing_folders(folder: Path) -> list[Path]:
    """Return the missing ones of a folder and its parents, innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove the folders, given innermost first, that exist and are empty."""
    for folder in folders:
        with contextlib.suppress(OSError):  # missing, not a folder, or not empty
            folder.rmdir()


def reason(error: OSError) -> str:
    """Return a short reason why something could not be written."""
    return (error.strerror or str(error)).splitlines()[0]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


class Workplace:
    """An output folder whose files become visible only when all are complete.

    Files are made in a hidden folder inside the output folder (so that the final step is a rename on
    one file system) and moved by :meth:`finish`. If anything fails before, the output folder is as
    it was: its old files untouched, the folder itself gone if it was not there.

    Args:
        folder: the output folder; checked immediately, so that a typing error does not waste hours of work.
        what: description of the output, for errors.

    Raises:
        OutputError: on entering the context: the folder cannot be created or written.
    """

    def __init__(self, folder: Path, what: str) -> None:
        self.folder, self.what = folder, what
        self._leave = contextlib.ExitStack()
        self._hidden: Path | None = None
        self._names: list[str] = []
        self._outdated: list[str] = []

    def __enter__(self) -> Self:
        refuse_virtual(self.folder)
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(made_folders(self.folder))
                sweep(self.folder, ".new-")
                self._hidden = Path(tempfile.mkdtemp(prefix=".new-", dir=self.folder.absolute()))
                stack.callback(shutil.rmtree, self._hidden, ignore_errors=True)
                stack.enter_context(in_use(self._hidden))
                self._leave = stack.pop_all()
        except OSError as error:
            raise self._refusal(error) from error
        return self

    def write(self, name: str, writer: Callable[[Path], object]) -> None:
        """Let ``writer`` make a file of this name; :meth:`finish` moves it to the output folder.

        Raises:
            OutputError: it could not be written.
        """
        if file_name(name) != name:  # such as one that leads out of the folder
            raise OutputError(f"{self.folder}: {name!r} cannot be the name of a file of {self.what}")
        if self._hidden is None:
            msg = "the workplace is not open"
            raise RuntimeError(msg)
        try:
            writer(self._hidden / name)
        except OSError as error:
            raise self._refusal(error) from error
        self._names.append(name)

    def outdates(self, name: str) -> None:
        """Let :meth:`finish` remove an older file of this name, such as the figure in another format."""
        self._outdated.append(name)

    def finish(self) -> tuple[Path, ...]:
        """Move every file into the output folder, over older ones of the same name.

        Raises:
            OutputError: the folder has changed meanwhile and cannot be written any more.
        """
        try:
            for name in self._names:
                os.replace(self._hidden / name, self.folder / name)  # type: ignore[operator]
            for name in set(self._outdated) - set(self._names):
                (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise self._refusal(error) from error
        return tuple(self.folder / name for name in self._names)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave.close()

    def _refusal(self, error: OSError) -> OutputError:
        found = f"{self.folder}: cannot write {self.what}: {reason(error)}"
        return OutputError(f"{found}; choose another --output")


def cache_folder(root: str | os.PathLike[str] | None = None) -> Path:
    """Return the cache folder: ``root``, else GEOMOE_CACHE, else the system's cache folder for geomoe."""
    if root is not None:
        return Path(root).expanduser()
    from platformdirs import user_cache_dir

    return Path(os.environ.get("GEOMOE_CACHE") or user_cache_dir("geomoe", appauthor=False)).expanduser()


def path_of(given: Any, name: str) -> Path:  # noqa: ANN401 - whatever a caller gave
    """The path that an argument of a function gives.

    Raises:
        InputError: it is no path, or an empty text, which would stand for the folder of the process.
    """
    if isinstance(given, str | os.PathLike) and isinstance(text := os.fspath(given), str) and text.strip():
        return Path(text)
    raise InputError(f"{name}: expected the path of a file or folder; got {given!r:.80}")


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """Check, before any work, that a folder can be made and written; nothing is left behind.

    Raises:
        OutputError: it is a file, lies under one, or cannot be written.
    """
    path = Path(folder)
    try:
        nearest = next(parent for parent in [path, *path.absolute().parents] if parent.exists())
        if not nearest.is_dir():
            msg = f"{path}: cannot be a folder, {nearest} is a file; choose another output"
            raise OutputError(msg)
        with tempfile.TemporaryFile(dir=nearest) as probe:
            probe.write(b"geomoe")
            probe.flush()
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {reason(error)}; choose another output") from error
    return path


@contextlib.contextmanager
def no_empty_folders(folder: str | os.PathLike[str]) -> Iterator[None]:
    """If the block fails, remove the folders that it created and left empty."""
    path = Path(folder).absolute()
    new = missing_folders(path)
    try:
        yield
    except BaseException:
        inside = sorted(path.rglob("*"), reverse=True) if new and path.is_dir() else []
        remove_empty([*inside, *new])
        raise


def refuse_special(path: str | os.PathLike[str], kind: type[GeomoeError] = InputError) -> None:
    """Refuse a pipe, a socket or a device without opening it: reading it might never end.

    Missing files and folders pass: opening them raises the error.

    Args:
        path: a path given by the user.
        kind: the error to raise.

    Raises:
        GeomoeError: of that kind.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise kind(f"{path}: is {_what(mode)}, not a file; give a file")


def open_regular(path: str | os.PathLike[str], kind: type[GeomoeError] = InputError) -> BinaryIO:
    """Open a file for reading bytes; never waits for the other end of a pipe.

    Args:
        path: the file.
        kind: the error to raise for what is no file.

    Raises:
        GeomoeError: of that kind: a pipe, a socket, a device.
        OSError: as :func:`open` does.
    """
    refuse_special(path, kind)
    # The path may have changed since the check, so check the open file again.
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))  # noqa: SIM115
    mode = os.fstat(file.fileno()).st_mode
    if not stat.S_ISREG(mode):
        file.close()
        raise kind(f"{path}: is {_what(mode)}, not a file; give a file")
    return file


def read_text(path: str | os.PathLike[str], kind: type[GeomoeError] = InputError, most: int = 2**30) -> str:
    """The text of a file in UTF-8, also with a byte order mark.

    Args:
        path: the file.
        kind: the error to raise.
        most: limit for its bytes, also of those that say they have none (``/proc``).

    Raises:
        GeomoeError: of ``kind``: what is there is no file, or too large.
        OSError: as :func:`open` does.
        UnicodeDecodeError: it is in another encoding.
    """
    return read_bytes(path, kind, most).decode("utf-8-sig")


def read_bytes(
    path: str | os.PathLike[str], kind: type[GeomoeError] = InputError, most: int = 2**30
) -> bytes:
    """The bytes of a file; arguments and errors are those of :func:`read_text`.

    Raises:
        GeomoeError: of ``kind``: what is there is no file, or too large.
        OSError: as :func:`open` does.
    """
    with open_regular(path, kind) as file:
        raw = file.read(most + 1)
    if len(raw) > most:
        raise kind(f"{path}: has more than {most:,} bytes; give another file")
    return raw


def _what(mode: int) -> str:
    kinds = {"a pipe": stat.S_ISFIFO, "a socket": stat.S_ISSOCK, "a folder": stat.S_ISDIR}
    return next((name for name, test in kinds.items() if test(mode)), "a device")
