"""A partially downloaded file, stored next to its target with a note on its source.

No library does this: the hub clients resume only their own files, without a hash that outlives the process.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from geomoe.errors import DownloadError, OutputError
from geomoe.support.bounded import read_json
from geomoe.support.files import made_folders, reason
from geomoe.support.locks import lock, release

if TYPE_CHECKING:
    from geomoe.fetching.digests import Digest

SUFFIX = ".partial"
REJECTED = ".rejected"  # suffix of a complete download that has the wrong hash


class Partial:
    """``NAME.partial`` and its note ``NAME.partial.json``: hash of the complete file, source, validators.

    The stored bytes are the beginning of the file with the hash in the note, from any source. While it is
    open, it is locked against other processes. On Windows and on file systems without locks, two processes
    can corrupt each other's bytes, which the hash detects.

    Args:
        target: path of the complete file.
        digest: hash of the complete file.

    Raises:
        OutputError: on entering the context: the partial file cannot be written, is open in another process,
            or is of another file.
    """

    def __init__(self, target: Path, digest: Digest) -> None:
        self.target, self.digest = target, digest
        self.path = target.with_name(target.name + SUFFIX)
        self.note = target.with_name(target.name + SUFFIX + ".json")
        self.size = 0
        self.about: dict[str, Any] = {}
        self._stack = contextlib.ExitStack()
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        try:
            self._stack.enter_context(made_folders(self.path.parent))
            self._file = self.path.open("ab")
            lock(self._file.fileno(), self.path, "fetching this file")
            self.size = self.path.stat().st_size
            self._take_up()
        except OSError as error:
            self._leave()
            if isinstance(error, OutputError):
                raise
            raise self._refusal(error) from error
        return self

    def _take_up(self) -> None:
        """Read the note; it is written before the bytes, so bytes without a note are not ours."""
        with contextlib.suppress(ValueError):
            found = read_json(self.note, 1_000_000)
            self.about = found if isinstance(found, dict) else {}
        if self.size == 0:
            self.begin_again()
        elif self.about.get("digest") != list(self.digest):
            other = " ".join(map(str, self.about.get("digest") or ["unknown"]))
            msg = f"{self.path}: is of another file (hash: {other}), not of {self.digest}; move it away"
            raise OutputError(msg)

    def __exit__(self, *exception: object) -> None:
        empty = self._file is not None and self.path.exists() and self.path.stat().st_size == 0
        if empty:
            self.discard()
        self._leave()

    def _leave(self) -> None:
        if self._file is not None:
            release(self._file.fileno())
            self._file.close()
            self._file = None
        self._stack.close()

    def begin_again(self, **about: str | int | None) -> None:
        """Discard the stored bytes and write a note on a new source.

        Raises:
            OutputError: the file or note cannot be written.
        """
        try:
            os.truncate(self.path, 0)  # first: bytes must never be paired with the note of another source
            self.size, self.about = 0, {"digest": list(self.digest), **about}
            self.note.write_text(json.dumps(self.about), encoding="utf-8")
        except OSError as error:
            raise self._refusal(error) from error

    def append(self, block: bytes) -> None:
        """Append received bytes.

        Raises:
            OutputError: the disk is full.
        """
        if self._file is None:
            msg = "the partial file is not open"
            raise RuntimeError(msg)
        try:
            self._file.write(block)
            self._file.flush()
        except OSError as error:
            raise self._refusal(error) from error
        self.size += len(block)

    def check(self) -> None:
        """Verify the hash of the complete download; a wrong file is moved aside.

        Raises:
            DownloadError: the hash differs.
        """
        found = self.digest.of(self.path)
        if found != self.digest:
            aside = self.reject()
            raise DownloadError(
                f"{self.target.name}: its {self.digest.algorithm} is {found.value}, expected "
                f"{self.digest.value}: not the file that was asked for; kept apart as {aside}, delete it"
            )

    def reject(self) -> Path:
        """Move the file aside so that the next attempt starts clean; return its new path."""
        names = (f"{self.target.name}{REJECTED}{number}" for number in ("", *range(2, 1000)))
        aside = next(path for path in map(self.target.with_name, names) if not path.exists())
        os.replace(self.path, aside)
        self.note.unlink(missing_ok=True)
        return aside

    def finish(self) -> None:
        """Rename the file to its target.

        Raises:
            OutputError: the target has been created in the meantime.
        """
        if self.target.exists():
            msg = f"{self.target}: has appeared meanwhile; nothing is written over; see {self.path}"
            raise OutputError(msg)
        self.path.rename(self.target)
        self.note.unlink(missing_ok=True)

    def discard(self) -> None:
        """Delete the file and its note."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def _refusal(self, error: OSError) -> OutputError:
        advice = "what has come is kept" if self.size else "choose another --data-root"
        return OutputError(f"{self.path}: cannot be written: {reason(error)}; {advice}")
