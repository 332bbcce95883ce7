"""Published hashes of files: sha256 or md5."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from geomoe.errors import ConfigError, DownloadError
from geomoe.support.files import reason

LENGTHS = {"sha256": 64, "md5": 32}  # hexadecimal digits


class Digest(NamedTuple):
    """The expected hash of a file.

    Attributes:
        algorithm: sha256 or md5.
        value: lower-case hexadecimal digits.
    """

    algorithm: str
    value: str

    def __str__(self) -> str:
        """Return the hash as shown to users."""
        return f"{self.algorithm} {self.value}"

    def of(self, path: Path) -> Digest:
        """Compute the hash of a file on disk with the same algorithm.

        Raises:
            DownloadError: the file cannot be read.
        """
        try:
            with path.open("rb") as file:
                # md5 is not used for security here, which systems in FIPS mode allow
                found = hashlib.file_digest(file, lambda: hashlib.new(self.algorithm, usedforsecurity=False))
        except OSError as error:
            raise DownloadError(f"{path}: cannot be read: {reason(error)}") from error
        return Digest(self.algorithm, found.hexdigest())


def parse_digest(algorithm: str, text: str, where: str) -> Digest:
    """Validate a hash given by the user.

    Raises:
        ConfigError: ``text`` is not a hash of this algorithm.
    """
    value = text.strip().lower()
    if re.fullmatch(f"[0-9a-f]{{{LENGTHS[algorithm]}}}", value) is None:
        msg = f"{where}: expected the {LENGTHS[algorithm]} hexadecimal digits of a {algorithm}; got {text!r}"
        raise ConfigError(msg)
    return Digest(algorithm, value)
