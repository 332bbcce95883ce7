"""Claims on pieces of work, for processes of one machine or of several that share a folder.

A claim is a file that exists from the moment it is visible with its content (a hard link to a finished
scratch file, or an exclusive creation where links do not exist). Its holder touches it every few seconds. A
claim whose file has not been touched for long, or whose process is gone from this machine, is taken over
under the next number: the creation of that file succeeds once, whoever else tries. So nothing depends on
locks, which not every network file system has, nor on clocks that agree: the age of a claim is measured
against a file that is touched at the same moment in the same folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from geomoe.errors import OutputError
from geomoe.support.files import reason

if TYPE_CHECKING:
    from types import TracebackType

STALE = 120.0  # seconds without a sign of life


class Holder(NamedTuple):
    """Who holds a claim, as its file says; of a damaged file nothing is known."""

    machine: str | None
    pid: int | None

    def __str__(self) -> str:
        name = (self.machine or "an unknown machine").partition("|")[0]
        return f"process {self.pid} on {name}" if self.pid else name

    def is_gone(self) -> bool:
        """Whether the process was one of this machine and has ended."""
        if self.pid is None or self.machine != machine():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:  # it is another user's
            return False
        return False


def machine() -> str:
    """A name of this machine in which process numbers mean the same: host, boot, and pid namespace."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return "|".join(parts)


class Claim:
    """A claim of this process. As a context manager, it is kept alive by a thread and given up at the end.

    Attributes:
        lost: set when another process has taken over, because this one gave no sign of life for too long.
    """

    def __init__(self, path: Path, beat: float) -> None:
        self.path, self._beat = path, beat
        self._file = os.stat(path)
        self.lost, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
        if self._is_mine():
            self.path.unlink(missing_ok=True)

    def _live(self) -> None:
        while not self._end.wait(self._beat):
            if not self._is_mine():
                self.lost.set()
                return
            with contextlib.suppress(OSError):
                os.utime(self.path)

    def _is_mine(self) -> bool:
        """Whether the file is still the one that this process made: a process that takes over removes it."""
        try:
            return os.path.samestat(os.stat(self.path), self._file)
        except OSError:
            return False


class Claims:
    """The claims in one folder.

    Args:
        folder: the folder of the claims; it is made with the first claim.
        stale: seconds without a sign of life after which a claim is taken over.
    """

    def __init__(self, folder: Path, stale: float = STALE) -> None:
        self.folder, self.stale = folder, stale

    def take(self, name: str) -> Claim | None:
        """Claim a piece of work; None: another process has it.

        The work may have been finished between the caller's last look and this claim: look again.

        Args:
            name: a file name.

        Raises:
            OutputError: the folder cannot be written.
        """
        number = self._newest(name)
        if number and not self._is_stale(self._file(name, number)):
            return None
        path = self._file(name, number + 1)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not self._create(path):
                return None
        except OSError as error:
            raise OutputError(
                f"{path}: cannot be written: {reason(error)}; choose another --output"
            ) from error
        for older in range(1, number + 1):
            self._file(name, older).unlink(missing_ok=True)
        return Claim(path, self.stale / 6)

    def holder(self, name: str) -> Holder | None:
        """The holder of a piece of work; None: it is free."""
        number = self._newest(name)
        return _read(self._file(name, number)) if number else None

    def _file(self, name: str, number: int) -> Path:
        return self.folder / f"{name}.{number}"

    def _newest(self, name: str) -> int:
        pattern = re.compile(re.escape(name) + r"\.(\d+)")
        found = (pattern.fullmatch(path.name) for path in self.folder.glob("*") if not path.is_dir())
        return max((int(match[1]) for match in found if match), default=0)

    def _is_stale(self, path: Path) -> bool:
        try:
            if _read(path).is_gone():
                return True
            with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".now-") as probe:
                return os.stat(probe.name).st_mtime - path.stat().st_mtime > self.stale
        except FileNotFoundError:  # given up meanwhile; the next look will show it
            return False

    def _create(self, path: Path) -> bool:
        """Make the file together with its content; returns False if the file exists."""
        text = json.dumps({"machine": machine(), "pid": os.getpid()})
        handle, name = tempfile.mkstemp(dir=self.folder, prefix=".new-")
        try:
            os.write(handle, text.encode())
            os.close(handle)
            try:
                os.link(name, path)
            except FileExistsError:
                return False
            except OSError:  # a file system without hard links
                return _create_exclusively(path, text)
            return True
        finally:
            os.unlink(name)


def _create_exclusively(path: Path, text: str) -> bool:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def _read(path: Path) -> Holder:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        machine_, pid = found["machine"], found["pid"]
    except (OSError, ValueError, KeyError, TypeError):
        return Holder(None, None)
    known = (
        isinstance(machine_, str) and isinstance(pid, int) and not isinstance(pid, bool) and 0 < pid < 2**31
    )
    return Holder(machine_, pid) if known else Holder(None, None)
