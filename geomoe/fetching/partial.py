"""What has come of a file: kept beside the file's place, with a note on what it is of.

No library does it: the hub clients resume their own files alone, without a hash that outlives the process.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from geomoe.errors import DownloadError, OutputError
from geomoe.support.files import made_folders, reason
from geomoe.support.locks import lock, release

if TYPE_CHECKING:
    from geomoe.fetching.digests import Digest

SUFFIX = ".partial"
REJECTED = ".rejected"  # a file that was fetched whole and is not the one that was asked for


class Partial:
    """``NAME.partial`` and, beside it, ``NAME.partial.json``: hash of the whole file, source, validators.

    Bytes that are there are the beginning of the file with the hash of the note, whatever source they came
    from. While it is open, no second process can open it (but on Windows, and on file systems without
    locks: two at once spoil one another's bytes, and the hash tells).

    Args:
        target: where the whole file belongs.
        digest: its hash.

    Raises:
        OutputError: on entering: it cannot be written, another process has it open, or it is of another file.
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
        """Read the note; bytes without one (it is written before them) are somebody else's."""
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self.note.read_text(encoding="utf-8"))
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
        """Forget what has come; the note is about another source from now on.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            os.truncate(self.path, 0)  # first: bytes must never stand beside a note of another source
            self.size, self.about = 0, {"digest": list(self.digest), **about}
            self.note.write_text(json.dumps(self.about), encoding="utf-8")
        except OSError as error:
            raise self._refusal(error) from error

    def append(self, block: bytes) -> None:
        """Keep what has come.

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
        """Compare the hash of what has come, all of it; a file that is not the right one is moved aside.

        Raises:
            DownloadError: another hash.
        """
        found = self.digest.of(self.path)
        if found != self.digest:
            aside = self.reject()
            raise DownloadError(
                f"{self.target.name}: its {self.digest.algorithm} is {found.value}, expected "
                f"{self.digest.value}: not the file that was asked for; kept apart as {aside}, delete it"
            )

    def reject(self) -> Path:
        """Move the file aside, so that the next try begins clean; where it is then."""
        names = (f"{self.target.name}{REJECTED}{number}" for number in ("", *range(2, 1000)))
        aside = next(path for path in map(self.target.with_name, names) if not path.exists())
        os.replace(self.path, aside)
        self.note.unlink(missing_ok=True)
        return aside

    def finish(self) -> None:
        """Give the file its name.

        Raises:
            OutputError: somebody has put a file there meanwhile.
        """
        if self.target.exists():
            msg = f"{self.target}: has appeared meanwhile; nothing is written over; see {self.path}"
            raise OutputError(msg)
        self.path.rename(self.target)
        self.note.unlink(missing_ok=True)

    def discard(self) -> None:
        """Delete it and its note."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def _refusal(self, error: OSError) -> OutputError:
        advice = "what has come is kept" if self.size else "choose another --data-root"
        return OutputError(f"{self.path}: cannot be written: {reason(error)}; {advice}")
