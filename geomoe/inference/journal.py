"""Answers as they come, kept so that a prediction that was stopped can go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from geomoe.errors import InputError, OutputError
from geomoe.files import reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

GO_ON = "make room for it, then go on with --resume"


class Journal:
    """One line of JSON for each answer, in ``OUTPUT.partial`` beside the output; removed at the end.

    A line that was cut short by a kill is dropped, and its item asked again.

    Args:
        output: the file that the answers are for.
        key: changes when the inputs, the checkpoint or the options do.
        resume: go on with the answers that are there.

    Raises:
        InputError: the answers that are there are of other inputs, or of another checkpoint.
    """

    def __init__(self, output: Path, key: str, *, resume: bool) -> None:
        self.path = partial_path(output)
        self.done: set[int] = set()
        self._key = key
        if resume and self.path.is_file():
            self._take_up()
        else:
            self._begin()

    def _take_up(self) -> None:
        whole = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file):
                content = _parse(line)
                if content is None:  # killed while it wrote this line
                    break
                if number == 0 and content.get("key") != self._key:
                    msg = f"{self.path}: partial results of other inputs, options or another checkpoint"
                    raise InputError(f"{msg}; leave out --resume to begin anew")
                if number:
                    self.done.add(content["i"])
                whole += len(line)
        with self.path.open("r+b") as file:
            file.truncate(whole)
        if not whole:
            self._begin()

    def _begin(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps({"key": self._key}) + "\n", encoding="utf-8")
        except OSError as error:
            msg = f"{self.path}: cannot be written: {reason(error)}; choose another --output"
            raise OutputError(msg) from error

    def __enter__(self) -> Self:
        self._file = self.path.open("a", encoding="utf-8")
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def add(self, records: Iterable[dict[str, Any]]) -> None:
        """Write answers; each has its item's number ``i``.

        Raises:
            OutputError: the disk is full.
        """
        try:
            for record in records:
                self._file.write(json.dumps(record, separators=(",", ":")) + "\n")
                self.done.add(record["i"])
            self._file.flush()
        except OSError as error:
            msg = f"{self.path}: cannot be written: {reason(error)}; {GO_ON}"
            raise OutputError(msg) from error

    def records(self) -> Iterator[dict[str, Any]]:
        """Every answer, in the order in which it came."""
        with self.path.open(encoding="utf-8") as file:
            next(file)
            for line in file:
                yield json.loads(line)

    def remove(self) -> None:
        """The output is there: the answers are needed no more."""
        self.path.unlink(missing_ok=True)


def partial_path(output: Path) -> Path:
    """Where the answers for an output are kept until it is there."""
    return output.with_name(output.name + ".partial")


def _parse(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        content = json.loads(line)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
