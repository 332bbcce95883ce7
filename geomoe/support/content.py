"""Tell whether the content of a file has changed: cheaply from a sample, or from every byte."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from geomoe.errors import GeomoeError
from geomoe.support.files import open_regular

if TYPE_CHECKING:
    from pathlib import Path

PART = 4096  # bytes of each part of a sample
PARTS = 5  # evenly spaced, the first and the last bytes included
_BLOCK = 1 << 20


def size_and_time(path: Path) -> tuple[int, int]:
    """Bytes of a file and its last change, nanoseconds since 1970; -1, -1 where it cannot be looked at."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return -1, -1
    return found.st_size, found.st_mtime_ns


def sample_of(path: Path) -> str:
    """Hash of a file's size and five parts of 4 KiB, or of every byte up to 20 KiB; empty if unreadable."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            digest = hashlib.blake2b(str(size).encode(), digest_size=16)
            if size <= PART * PARTS:
                digest.update(file.read())
                return digest.hexdigest()
            for k in range(PARTS):
                file.seek(k * (size - PART) // (PARTS - 1))
                digest.update(file.read(PART))
            return digest.hexdigest()
    except (OSError, ValueError, GeomoeError):
        return ""


def content_of(path: Path) -> str:
    """Hash of every byte of a file; empty if it is unreadable."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        with open_regular(path) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except (OSError, ValueError, GeomoeError):
        return ""
    return digest.hexdigest()
