"""Journal of predictions, from which an interrupted run resumes."""

from __future__ import annotations

import json
import re
import zlib
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np

from geomoe.errors import GeomoeError, InputError, OutputError
from geomoe.support.bounded import parse_json
from geomoe.support.files import reason, refuse_special
from geomoe.support.locks import lock, release
from geomoe.support.plain import from_plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

GO_ON = "make room for it, then go on with --resume"


@dataclass(frozen=True)
class _Record:
    """One prediction: number of the item, and an error, or place, shares, gate weights and valid cells."""

    i: int
    error: str | None = None
    at: tuple[float, float] | None = None
    p: tuple[float, ...] = ()
    w: tuple[tuple[float, ...], ...] = ()
    v: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check that there is a prediction or an error.

        Raises:
            InputError: there is neither of them, or both, or the number is negative.
        """
        if self.i < 0 or (self.error is None) != bool(self.p):
            raise InputError("neither a prediction nor an error")


class Journal:
    """One JSON line for each prediction, in ``OUTPUT.partial`` next to the output; removed at the end.

    Each prediction ends with a checksum. A line truncated by a kill, or damaged, is dropped with those after
    it, and their items are predicted again. An open journal is locked: otherwise two processes would write
    predictions for the same items.

    Args:
        output: the output file of the predictions.
        key: hash that changes with the inputs, the checkpoint or the options.
        resume: whether to continue an existing journal.

    Raises:
        InputError: a journal exists and ``resume`` is False, or it belongs to other inputs or another
            checkpoint.
        OutputError: the journal cannot be written, or another process uses it.
    """

    def __init__(self, output: Path, key: str, *, resume: bool) -> None:
        self.path = partial_path(output)
        self.done: set[int] = set()
        self._key, self._ours = key, False
        self._file = self._open()
        try:
            self._take_up(resume)
        except BaseException:
            self.__exit__()
            raise

    def _open(self) -> IO[str]:
        refuse_special(self.path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self.path.open("a", encoding="utf-8")
        except OSError as error:
            msg = f"{self.path}: cannot be written: {reason(error)}; choose another --output"
            raise OutputError(msg) from error
        try:
            lock(file.fileno(), self.path, "predicting into this output")
        except BaseException:
            file.close()
            raise
        return file

    def _take_up(self, resume: bool) -> None:
        """Read the existing predictions, and drop everything from the first damaged line on."""
        whole = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file):
                content = _parse(line, first=number == 0)
                if content is None:
                    break
                if number == 0 and resume and content.get("key") != self._key:
                    msg = f"{self.path}: partial results of other inputs, options or another checkpoint"
                    raise InputError(f"{msg}; delete it to start over")
                if number and not resume:
                    msg = f"{self.path}: an earlier prediction was interrupted and left answers"
                    raise InputError(f"{msg}; continue with --resume, or delete it to start over")
                if number:
                    self.done.add(content["i"])
                whole += len(line)
        if not resume:
            whole = 0
        self._file.truncate(whole)
        if not whole:
            self._write([{"key": self._key}])
        self._ours = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None = None, *rest: object) -> None:
        if self._ours and not self.done and kind is not None and issubclass(kind, GeomoeError):  # a refusal
            self.remove()
        release(self._file.fileno())
        self._file.close()

    def add(self, records: Iterable[dict[str, Any]]) -> None:
        """Write predictions; each has its item's number ``i``.

        Raises:
            OutputError: the disk is full.
        """
        self._write(records)

    def _write(self, records: Iterable[dict[str, Any]]) -> None:
        try:
            for record in records:
                self._file.write(_line(record))
                if "i" in record:
                    self.done.add(record["i"])
            self._file.flush()
        except OSError as error:
            msg = f"{self.path}: cannot be written: {reason(error)}; {GO_ON}"
            raise OutputError(msg) from error

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield every prediction in the order of writing."""
        with self.path.open(encoding="utf-8") as file:
            next(file)
            for line in file:
                yield _content(line)

    def in_order(self) -> Iterator[dict[str, Any]]:
        """Yield predictions by item number; if an item has several, only the first.

        Memory holds only sixteen bytes for each prediction.
        """
        numbers, places = array("q"), array("q")
        with self.path.open("rb") as file:
            at = len(next(file))
            for line in file:
                numbers.append(_number(line))
                places.append(at)
                at += len(line)
            _, first = np.unique(np.frombuffer(numbers, dtype=np.int64), return_index=True)
            for row in first:
                file.seek(places[row])
                yield _content(file.readline())

    def remove(self) -> None:
        """Remove the journal once the output is written."""
        self.path.unlink(missing_ok=True)


def partial_path(output: Path) -> Path:
    """Return the path of the journal of an output."""
    return output.with_name(output.name + ".partial")


def _number(line: bytes) -> int:
    """Return the item number of a record without parsing all of it: it is the first key."""
    found = re.match(rb'\{"i":(\d+)[,}]', line)
    return int(found[1]) if found else int(json.loads(line)["i"])


def _line(record: dict[str, Any]) -> str:
    """Return a record as a line of ASCII; its last key is a checksum of everything before it."""
    text = json.dumps(record, separators=(",", ":"))
    return f'{text[:-1]},"crc":"{zlib.crc32(text[:-1].encode()):08x}"}}\n'


def _content(line: str | bytes) -> dict[str, Any]:
    """Return a record whose checksum was verified before."""
    record = json.loads(line)
    del record["crc"]
    return record


def _parse(line: bytes, *, first: bool) -> dict[str, Any] | None:
    """Return the content of a line; None if it is damaged. The first line may be of any version."""
    said, _, crc = line.rpartition(b',"crc":')
    if not line.endswith(b"\n") or (not first and crc != b'"%08x"}\n' % zlib.crc32(said)):
        return None
    try:
        content = parse_json(line)
        if not first and from_plain(_Record, content).p and not content.keys() >= {"at", "w", "v"}:
            return None
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
