"""Search a folder and follow its links; each entry that is not followed is listed with the reason."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Found(NamedTuple):
    """What is below a folder.

    Attributes:
        files: regular files, sorted.
        left_out: files and folders that were not followed, sorted, and why.
    """

    files: list[Path]
    left_out: list[tuple[Path, str]]


def walk(
    folder: Path,
    wanted: Callable[[str], bool],
    *,
    within: bool = False,
    ignored: Callable[[str], bool] = lambda name: False,
) -> Found:
    """List the files below a folder, also in folders that are links.

    Args:
        folder: where to begin; may be a link itself.
        wanted: function of a file's name; whether the file is listed.
        within: whether links that lead out of ``folder`` are left out instead of followed.
        ignored: function of a name; whether the entry is skipped and not even listed as left out.
    """
    search = _Search(folder, wanted, within, ignored, [], [])
    search.go(folder, (os.path.realpath(folder),))
    return Found(sorted(search.files), sorted(search.left_out))


class _Search(NamedTuple):
    """The arguments of :func:`walk`, and what was found."""

    start: Path
    wanted: Callable[[str], bool]
    within: bool
    ignored: Callable[[str], bool]
    files: list[Path]
    left_out: list[tuple[Path, str]]

    def go(self, folder: Path, above: tuple[str, ...]) -> None:
        """Look into one folder; ``above`` are the real paths of it and of the folders that led to it."""
        try:
            with os.scandir(folder) as entries:
                names = [entry.name for entry in entries]
        except OSError as error:
            self.left_out.append((folder, f"the folder cannot be opened: {error.strerror or error}"))
            return
        for path in (folder / name for name in names if not self.ignored(name)):
            is_folder = path.is_dir()
            # a link to nothing may have been one to a folder
            gone = path.is_symlink() and not path.exists() and not path.suffix
            if not (is_folder or gone or self.wanted(path.name)):
                continue
            reason = self.reason(path, is_folder, above)
            if reason:
                self.left_out.append((path, reason))
            elif is_folder:
                self.go(path, (*above, os.path.realpath(path)))
            else:
                self.files.append(path)

    def reason(self, path: Path, is_folder: bool, above: tuple[str, ...]) -> str:
        """Return why a file or folder is not followed; empty if it is."""
        real = os.path.realpath(path)
        if path.is_symlink() and not path.exists():
            return "a link to nothing"
        if self.within and path.is_symlink() and not Path(real).is_relative_to(above[0]):
            what = "folder" if is_folder else "file"
            return f"a link that leads out of {self.start}; give its {what} by name"
        if is_folder and real in above:
            return "a link to a folder that it is in"
        return "" if is_folder or path.is_file() else "no regular file"
