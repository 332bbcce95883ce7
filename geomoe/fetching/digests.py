"""Hashes of files, as they are published: sha256 or md5."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from geomoe.errors import ConfigError, DownloadError
from geomoe.support.files import reason

LENGTHS = {"sha256": 64, "md5": 32}  # hexadecimal digits


class Digest(NamedTuple):
    """A hash that a file ought to have.

    Attributes:
        algorithm: sha256 or md5.
        value: in lower-case hexadecimal digits.
    """

    algorithm: str
    value: str

    def __str__(self) -> str:
        """As it is shown to people."""
        return f"{self.algorithm} {self.value}"

    def of(self, path: Path) -> Digest:
        """The hash, by the same algorithm, of a file on disk.

        Raises:
            DownloadError: the file cannot be read.
        """
        try:
            with path.open("rb") as file:
                # md5 is not used against an enemy here; machines that forbid it for that allow this
                found = hashlib.file_digest(file, lambda: hashlib.new(self.algorithm, usedforsecurity=False))
        except OSError as error:
            raise DownloadError(f"{path}: cannot be read: {reason(error)}") from error
        return Digest(self.algorithm, found.hexdigest())


def parse_digest(algorithm: str, text: str, where: str) -> Digest:
    """Check a hash that somebody gave.

    Raises:
        ConfigError: it is not a hash of that kind.
    """
    value = text.strip().lower()
    if re.fullmatch(f"[0-9a-f]{{{LENGTHS[algorithm]}}}", value) is None:
        msg = f"{where}: expected the {LENGTHS[algorithm]} hexadecimal digits of a {algorithm}; got {text!r}"
        raise ConfigError(msg)
    return Digest(algorithm, value)
