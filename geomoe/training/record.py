"""``run.json``: what is needed to repeat a run: seed, data, device, versions, and every start."""

from __future__ import annotations

import contextlib
import platform
import shlex
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geomoe import __version__
from geomoe.config import RunConfig
from geomoe.errors import DataError, one_line
from geomoe.support.bounded import MOST_BYTES, parse_json
from geomoe.support.files import read_text
from geomoe.support.plain import from_plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PACKAGES = ("torch", "lightning", "timm", "torchgeo", "torchmetrics", "numpy")


@dataclass(frozen=True)
class Start:
    """When and how a run was started or resumed."""

    time: str
    command: tuple[str, ...] | None
    git_commit: str | None
    device: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Trained:
    """The data that a run was trained on."""

    name: str
    hash: str | None = None
    held_out: str | None = None
    split_seed: int | None = None
    samples: dict[str, int] | None = None
    unknown_places: dict[str, int] | None = None


@dataclass(frozen=True)
class Record:
    """The content of ``run.json``; keys that are not listed here are kept."""

    seed: int
    data: Trained
    device: str
    versions: dict[str, str]
    starts: tuple[Start, ...]


def read_record(path: Path) -> dict[str, Any] | None:
    """The content of ``run.json``, including keys that are not in :class:`Record`; None if there is no file.

    Raises:
        DataError: the file is damaged; the error names the fault and its place.
    """
    try:
        found = parse_json(read_text(path, DataError, MOST_BYTES))
        from_plain(Record, found)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        advice = "bring it back, or remove it to go on without its record of starts"
        raise DataError(f"{path}: cannot be read: {one_line(error)}; {advice}") from error
    return found


def facts(
    config: RunConfig, device: str, command: Sequence[str] | str | None, data: Mapping[str, Any]
) -> dict[str, Any]:
    """The facts for ``run.json``: seed, versions, device, data, git commit if there is one, command."""
    words = shlex.split(command) if isinstance(command, str) else list(command or [])
    machine = {"device": device, "versions": _versions()}
    start = {"time": now(), "command": words or None, "git_commit": _git_commit(), **machine}
    return {"seed": config.seed, "data": dict(data), **machine, "starts": [start]}


def _versions() -> dict[str, str]:
    versions = {"geomoe": __version__, "python": platform.python_version(), "system": platform.platform()}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def _git_commit() -> str | None:
    """Commit of the working folder, with ``-dirty`` when files differ from it; None outside git."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None


def now() -> str:
    """The current time in UTC, such as 2025-03-01T09:30:00+00:00."""
    return datetime.now(UTC).isoformat(timespec="seconds")
