"""Download a data set on request: verify files before naming them, and never overwrite existing data.

Readers call this for ``download=True`` or ``checksum=True``; ``geomoe data download`` first shows the
licence and asks for confirmation.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from geomoe.errors import DataError, DownloadError, GeomoeError, OutputError
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
DEPTH = 3  # depth in an archive at which the data set may be
T = TypeVar("T")


def carry_out(plan: Plan, tell: Tell = lambda what, done, total: None) -> tuple[Item, ...]:
    """Fetch the missing files. After an interruption, the same call resumes.

    Args:
        plan: from :func:`~geomoe.fetching.plan.make_plan`.
        tell: called with the current action, the bytes done and the total bytes.

    Returns:
        Every item, with state FETCHED where it was missing.

    Raises:
        DownloadError: downloads are disabled, the source fails, or the received file has another hash.
        DataError: the archive is damaged, unsafe, or of another data set.
        OutputError: the disk is full, or the target already exists.
    """
    plan.check()
    done = []
    for item in plan.items:
        if item.state == MISSING and not item.file.archive and item.place.exists():
            compare(item.place, item.file.digest)  # the archive before it has brought it along
            done.append(item._replace(state=THERE))
        elif item.state == MISSING:
            (_fetch_archive if item.file.archive else _fetch_file)(plan, item, tell)
            done.append(item._replace(state=FETCHED))
        else:
            done.append(item)
    return tuple(done)


def fetch(name: str, root: str | os.PathLike[str]) -> None:
    """Fetch the missing files of a data set from its verified source; the caller has confirmed this.

    Raises:
        DownloadError, DataError, OutputError: as :func:`carry_out`.
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
    """Return what a reader finds; if it finds nothing and may download, fetch and look again.

    Args:
        look: finds the data set, or raises DatasetNotFoundError.
        name: name of the data set.
        root: folder to search.
        download: whether to fetch a missing data set.
        checksum: whether to compare its files with their published hashes.
        folder: takes what was found to the folder of its files.

    Raises:
        DataError: a file has another hash: it is a different file, or damaged.
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
        except DataError as error:  # the hash is right, but the content is unusable
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
    """Make a folder, and remove it if the block leaves it empty."""
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
            remove_empty([item.place])  # if it is not empty, the next line raises
            try:
                folder.rename(item.place)
            except OSError as error:
                msg = f"{item.place}: cannot be made: {reason(error)}; nothing is written over"
                raise OutputError(msg) from error


def _find_inside(plan: Plan, hidden: Path, archive: Path) -> Path:
    """Find the folder of the data set in an unpacked archive, under any name."""
    level = [hidden]
    for _ in range(DEPTH):
        for folder in level:
            if not lacking(plan.facts, folder):
                return folder
        level = [path for folder in level for path in sorted(folder.iterdir()) if path.is_dir()]
    wanted = ", ".join(entry.replace("|", " or ") for entry in plan.facts.expect)
    top = ", ".join(sorted(path.name for path in hidden.iterdir())[:5]) or "nothing"
    raise DataError(f"{archive}: is not {plan.name}: no folder in it has {wanted}; it has {top}")
