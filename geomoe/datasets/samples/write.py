"""The single entry point for writing small data sets in the layouts of the real ones."""

from __future__ import annotations

import importlib
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from geomoe.errors import ConfigError, OutputError
from geomoe.fetching.facts import read_facts
from geomoe.support.files import check_folder, no_empty_folders

if TYPE_CHECKING:
    from geomoe.fetching.facts import Facts


class Sample(NamedTuple):
    """A small data set that was written.

    Attributes:
        data: name of the data set.
        folder: where it is; the ``data.root`` of a run.
        files: number of files.
        flags: further words of the command ``geomoe train`` that try it.
    """

    data: str
    folder: Path
    files: int
    flags: tuple[str, ...]


def make_sample(name: str, folder: Path, seed: int = 0) -> Sample:
    """Write a small data set into a new or empty folder, completely or not at all.

    Args:
        name: a data set of the catalogue.
        folder: made if it does not exist.
        seed: seed of the sample's random parts.

    Raises:
        ConfigError: the data set comes with geomoe and needs no sample.
        OutputError: the folder is not empty, or cannot be written.
    """
    facts = read_facts(name)
    if not facts.sample:
        raise ConfigError(f"{name}: needs no sample, it comes with geomoe; geomoe train {name}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder}: is there and not empty; nothing is written over; choose a new folder")
    check_folder(folder)
    with no_empty_folders(folder):
        try:
            write_sample(facts, folder.absolute(), seed)
        except BaseException:
            for path in folder.glob("*"):  # the folder was new or empty
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            raise
    files = sum(path.is_file() for path in folder.rglob("*"))
    return Sample(name, folder, files, tuple(shlex.split(facts.try_flags)))


def write_sample(facts: Facts, folder: Path, seed: int = 0) -> None:
    """Write a small data set in the layout of the real one, without a check that the folder is empty.

    Args:
        facts: facts about a data set that has a sample.
        folder: made if it does not exist.
        seed: seed of the sample's random parts.
    """
    module, _, name = facts.sample.partition(":")
    write = importlib.import_module(f"geomoe.datasets.samples.{module}").write
    write(folder, seed=seed, **({"name": name} if name else {}))
