"""Fetch a data set on request: files get their names after a check of their hashes, and overwrite nothing.

Readers call this module for ``download=True`` or ``checksum=True``; ``geomoe data download`` shows the
licence and asks for consent before it does.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from geomoe.errors import DataError, DatasetNotFoundError, DownloadError, GeomoeError, OutputError
from geomoe.fetching.digests import Digest
from geomoe.fetching.facts import lacking, read_facts
from geomoe.fetching.hub import find_on_hub
from geomoe.fetching.partial import Partial
from geomoe.fetching.plan import (
    MISSING,
    THERE,
    Item,
    Plan,
    compare,
    local,
    make_plan,
    target,
    whole_archive,
)
from geomoe.fetching.transfer import Remote, receive
from geomoe.fetching.unpack import unpacked
from geomoe.support.files import made_folders, reason, remove_empty, whole_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Tell = Callable[[str, int, int | None], None]

log = logging.getLogger(__name__)

FETCHED = "fetched"
DEPTH = 3  # largest number of folders of an archive above the data set
T = TypeVar("T")


def carry_out(plan: Plan, tell: Tell = lambda what, done, total: None) -> tuple[Item, ...]:
    """Fetch what is missing; the same call resumes an interrupted download.

    Args:
        plan: from :func:`~geomoe.fetching.plan.make_plan`.
        tell: called with the name of the step, the bytes done and the total bytes.

    Returns:
        Every item; those that were missing have the state FETCHED.

    Raises:
        DownloadError: downloads are switched off, the source fails, or it sends another file.
        DataError: the archive is damaged, unsafe, or not of this data set.
        OutputError: there is no room, or the target exists.
    """
    plan.check()
    done = []
    for item in plan.items:
        if item.state == MISSING and not item.file.archive and item.place.exists():
            compare(item.place, item.file.digest)  # the archive that was unpacked before contained it
            done.append(item._replace(state=THERE))
        elif item.state == MISSING:
            (_fetch_archive if item.file.archive else _fetch_file)(plan, item, tell)
            done.append(item._replace(state=FETCHED))
        else:
            done.append(item)
    return tuple(done)


def fetch(name: str, root: str | os.PathLike[str]) -> None:
    """Fetch the missing files of a data set from their checked source; the caller has asked for consent.

    Raises:
        DownloadError, DataError, OutputError: errors of :func:`carry_out`.
    """
    plan = make_plan(name, root)
    if plan.missing:
        log.info("%s: fetched into %s; licence: %s", name, plan.root, plan.facts.licence)
        carry_out(plan)


def found_or_fetched(
    look: Callable[[], T],
    name: str,
    root: str | os.PathLike[str],
    *,
    download: bool,
    checksum: bool,
    folder: Callable[[T], Path],
) -> T:
    """Find the data of a reader; if nothing is found and a download was requested, fetch it and look again.

    Args:
        look: finds the data set, or raises DatasetNotFoundError.
        name: name of the data set.
        root: folder in which it is expected.
        download: whether to fetch it if it is missing.
        checksum: whether to compare its files with their published hashes.
        folder: function of the result of ``look``; returns the folder of the files.

    Raises:
        DatasetNotFoundError: the data set is missing, and no download was requested.
        DownloadError: the download failed.
        DataError: a file differs from the published one.
    """
    try:
        found = look()
    except DatasetNotFoundError:
        if not download:
            raise
        fetch(name, root)
        found = look()
    if checksum:
        check_hashes(name, folder(found))
    return found


def check_hashes(name: str, folder: Path) -> None:
    """Compare every file whose hash is published with that hash.

    Args:
        name: name of the data set.
        folder: folder of its files.

    Raises:
        DataError: a file is damaged, or differs from the published one.
    """
    facts = read_facts(name)
    published = {file.name: file.digest for file in facts.files if not file.archive}
    published |= {file: Digest("md5", value) for file, value in (facts.md5s or {}).items()}
    paths = {place / file: digest for file, digest in published.items() for place in (folder, folder.parent)}
    there = {path: digest for path, digest in paths.items() if path.is_file()}
    if not there:
        log.warning("%s: no hash is published for any file in %s; nothing was checked", name, folder)
    for path, digest in there.items():
        found = digest.of(path)
        if found != digest:
            raise DataError(
                f"{path}: its {digest.algorithm} is {found.value}, published is {digest.value}; copy it again"
            )


def _fetch_file(plan: Plan, item: Item, tell: Tell) -> None:
    path = local(item.file.url)
    if path is not None:
        _check_source(path, item)
        with whole_file(item.place, "choose another --data-root") as scratch:
            shutil.copyfile(path, scratch)
        return
    with Partial(item.place, item.file.digest) as partial:
        _receive(item, partial, tell)
        partial.finish()


def _fetch_archive(plan: Plan, item: Item, tell: Tell) -> None:
    path = local(item.file.url) or whole_archive(plan, item)
    if path is not None:
        _check_source(path, item)
        with _folder(plan.root):
            _unpack(plan, item, path, tell)
        return
    with Partial(target(plan, item), item.file.digest) as partial:
        _receive(item, partial, tell)
        try:
            _unpack(plan, item, partial.path, tell)
        except DataError as error:  # its hash is right, but it cannot be used
            raise DataError(f"{error}; it is kept apart as {partial.reject()}, delete it") from error
        partial.discard()


def _receive(item: Item, partial: Partial, tell: Tell) -> None:
    file = item.file
    remote = find_on_hub(file.hub, file.digest) if file.hub else Remote(file.url)
    remote = remote._replace(size=file.size or remote.size)
    receive(remote, partial, lambda done, total: tell(file.name, done, total))
    log.info("%s: checking its %s", file.name, file.digest.algorithm)
    partial.check()


def _check_source(path: Path, item: Item) -> None:
    digest = item.file.digest
    log.info("%s: checking its %s", path, digest.algorithm)
    found = digest.of(path)
    if found != digest:
        raise DownloadError(
            f"{path}: its {digest.algorithm} is {found.value}, expected {digest.value}: not the file that "
            "was asked for; nothing was done with it"
        )


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[None]:
    """Make a folder, and remove it again if it is empty after the block."""
    try:
        with made_folders(path):
            yield
    except OSError as error:
        if isinstance(error, GeomoeError):
            raise
        raise OutputError(
            f"{path}: cannot be written: {reason(error)}; choose another --data-root"
        ) from error


def _unpack(plan: Plan, item: Item, archive: Path, tell: Tell) -> None:
    def told(done: int, total: int | None) -> None:
        tell(f"unpacking {item.file.name}", done, total)

    with unpacked(archive, plan.root, item.place.name, told) as hidden:
        folder = _find_inside(plan, hidden, archive)
        with _folder(item.place.parent):
            remove_empty([item.place])  # if it is not empty, the next line refuses
            try:
                folder.rename(item.place)
            except OSError as error:
                msg = f"{item.place}: cannot be made: {reason(error)}; nothing is written over"
                raise OutputError(msg) from error


def _find_inside(plan: Plan, hidden: Path, archive: Path) -> Path:
    """Find the data set's folder in an unpacked archive, by its content and not by its name."""
    level = [hidden]
    for _ in range(DEPTH):
        for folder in level:
            if not lacking(plan.facts, folder):
                return folder
        level = [path for folder in level for path in sorted(folder.iterdir()) if path.is_dir()]
    wanted = ", ".join(entry.replace("|", " or ") for entry in plan.facts.expect)
    top = ", ".join(sorted(path.name for path in hidden.iterdir())[:5]) or "nothing"
    raise DataError(f"{archive}: is not {plan.name}: no folder in it has {wanted}; it has {top}")
