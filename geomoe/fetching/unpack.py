"""Unpack untrusted archives: nothing outside the folder, no links out of it, and limited size.

shutil.unpack_archive is not used: it silently skips members of a zip file and does not limit sizes.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from geomoe.errors import DataError, OutputError, one_line
from geomoe.support.files import reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Tell = Callable[[int, int | None], None]

RATIO, SLACK = (
    100,
    1 << 30,
)  # pictures hardly compress, so an archive that expands more is not one of pictures
SPARE = 64 << 20  # bytes that stay free on the disk
MOST_HEADER = 1 << 20  # bytes of a long name or of further facts of a member, which tarfile keeps in memory
MOST_DEEP = 100  # largest depth of nested folders
#: Errors for a name that no file can have: a file used as a folder, the folder itself, too many letters.
_NAMES = (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
_HEADERS = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
_DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError),
    *(RuntimeError, NotImplementedError, KeyError, ValueError),  # bad password, method, link or date
)


def gunzip(content: bytes, where: Path, most: int = SLACK) -> bytes:
    """Decompress a gzipped file up to ``most`` bytes: a small file may expand beyond the memory.

    Raises:
        DataError: the content is larger.
        OSError, EOFError, zlib.error: the file is damaged or truncated, as in :func:`gzip.decompress`.
    """
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        found = file.read(most + 1)
    if len(found) > most:
        raise DataError(f"{where}: refused: it grows beyond {most:,} bytes when it is unpacked")
    return found


def check_python() -> None:
    """Check, before anything is fetched, that Python's tarfile supports the filter "data".

    Raises:
        DataError: this Python is too old.
    """
    if not hasattr(tarfile, "data_filter"):
        msg = "archives are unpacked safely from Python 3.11.4 on; this one is older: update it"
        raise DataError(msg)


def unpack(archive: Path, folder: Path, tell: Tell) -> None:
    """Unpack a zip or tar archive (plain, gz, bz2 or xz) into a new folder.

    Args:
        archive: the file; its first bytes decide the format, not its name.
        folder: created here, and removed on failure.
        tell: called with the processed bytes of the archive, and its total bytes.

    Raises:
        DataError: the file is truncated, damaged, not an archive, or has members not allowed in a data set.
        OutputError: the content does not fit on the disk, or the folder cannot be written.
    """
    check_python()
    try:
        folder.mkdir(parents=True)
        with archive.open("rb") as file:
            zipped = file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
        room = _Room(archive, folder)
        (_unzip if zipped else _untar)(archive, folder, room, tell)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, DataError | OutputError):
            raise
        if isinstance(error, OSError) and error.errno in _NAMES:
            last = Path(str(error.filename or "")).name[:100]
            why = f"it has a member whose name no file can have ({last!r}: {reason(error)})"
            raise DataError(f"{archive}: refused: {why}; nothing of it is kept") from error
        if isinstance(error, OSError) and error.errno is not None:
            raise OutputError(f"{folder}: cannot be written: {reason(error)}; make room") from error
        if isinstance(error, (*_DAMAGE, OSError)):  # bz2 and gzip raise OSErrors without a number
            found = f"{archive}: cannot be unpacked: truncated, damaged or no archive ({one_line(error)})"
            raise DataError(found) from error
        raise


class _Room:
    """Refuses members with names outside the folder, and members that exceed the available space."""

    def __init__(self, archive: Path, folder: Path) -> None:
        self.archive, self.folder = archive, folder
        self.most = RATIO * archive.stat().st_size + SLACK
        self.total = 0

    def name(self, name: str) -> None:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or re.search(r"\\|^[A-Za-z]:", name):
            raise self.refusal(name, "leads out of the folder")
        if len(path.parts) > MOST_DEEP:
            raise self.refusal(f"{name[:100]}...", f"lies more than {MOST_DEEP} folders deep")

    def once(self, name: str) -> None:
        """Refuse a file that exists already, because programs differ in which of two contents they keep."""
        if (self.folder / name).is_file():
            raise self.refusal(name, "is in it twice, on this file system")

    def take(self, name: str, size: int) -> None:
        self.total += size
        if self.total > self.most:
            raise self.refusal(name, f"makes it {self.total:,} bytes, over {RATIO} times the archive's")
        free = shutil.disk_usage(self.folder).free
        if size > free - SPARE:
            msg = f"{self.folder}: no room for {name} ({size:,} bytes, {free:,} are free); make room"
            raise OutputError(msg)

    def refusal(self, name: str, why: str) -> DataError:
        return DataError(f"{self.archive}: refused: its member {name!r} {why}; nothing of it is kept")


def _untar(archive: Path, folder: Path, room: _Room, tell: Tell) -> None:
    total = archive.stat().st_size
    with archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:*", tarinfo=_Member) as tar:
        while (member := tar.next()) is not None:
            room.name(member.name)
            if member.issym() or not (member.isreg() or member.isdir() or member.islnk()):
                raise room.refusal(member.name, "is a link or a device; pack it with tar --dereference")
            room.take(member.name, member.size if member.isreg() else 0)
            if not member.isdir():
                room.once(member.name)
            tar.extract(member, folder, filter="data")
            tar.members = []  # type: ignore[attr-defined]  # half a million of them are hundreds of megabytes
            tell(raw.tell(), total)
        _check_end(tar)


class _Member(tarfile.TarInfo):
    """A member with a limit on its headers, which tarfile reads completely, however well they compress."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _HEADERS and self.size > MOST_HEADER:
            raise DataError(f"{self.name!r}: refused: a header of {self.size:,} bytes; nothing of it is kept")
        return super()._proc_member(tar)  # type: ignore[misc,no-any-return]


def _check_end(tar: tarfile.TarFile) -> None:
    """Check the end marker of a tar archive, which tarfile neither requires nor reads past.

    Raises:
        EOFError: the archive is truncated between two members, or after the last one.
    """
    if tar.fileobj is None:
        return
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        msg = "it has no end"
        raise EOFError(msg)
    while tar.fileobj.read(1 << 20):  # read on to the checksum of a compressed archive
        pass


def _unzip(archive: Path, folder: Path, room: _Room, tell: Tell) -> None:
    with zipfile.ZipFile(archive) as zipped:
        members, seen = zipped.infolist(), dict[str, tuple[int, int]]()
        room.take("all its members", sum(member.file_size for member in members))
        done, total = 0, sum(member.compress_size for member in members)
        for member in members:
            room.name(member.filename)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise room.refusal(member.filename, "is a link or a device")
            place, same = PurePosixPath(member.filename), (member.file_size, member.CRC)
            if place.parts and place.as_posix() not in seen:
                room.once(member.filename)
            if seen.setdefault(place.as_posix(), same) != same:
                raise room.refusal(member.filename, "is in it twice")
            if place.parts:
                zipped.extract(member, folder)
            elif not member.filename.endswith("/"):
                raise room.refusal(member.filename, "has a name that no file can have")
            done += member.compress_size
            tell(done, total)


@contextlib.contextmanager
def unpacked(archive: Path, root: Path, name: str, tell: Tell) -> Iterator[Path]:
    """Yield a hidden folder ``.NAME-unpacking`` in ``root`` with the unpacked archive; remove it at the end.

    Raises:
        DataError, OutputError: those of :func:`unpack`.
    """
    hidden = root / f".{name}-unpacking"
    shutil.rmtree(hidden, ignore_errors=True)  # left by a killed process
    unpack(archive, hidden, tell)
    try:
        yield hidden
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
