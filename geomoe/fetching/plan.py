"""Plan a download before anything is changed: which files, from which source, to which folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from geomoe.errors import ConfigError, DownloadError, OutputError
from geomoe.fetching.digests import Digest
from geomoe.fetching.facts import Facts, File, find, lacking, read_facts
from geomoe.fetching.partial import SUFFIX
from geomoe.fetching.unpack import check_python
from geomoe.support.offline import offline

MISSING, THERE, UNCHECKED = "missing", "there", "there, unchecked"


class Item(NamedTuple):
    """One file of a plan, which may already exist.

    Attributes:
        file: name, source and hash.
        place: path on disk; for an archive, the folder that it is unpacked to.
        state: MISSING, THERE (with the right hash) or UNCHECKED (exists, but no hash is known).
    """

    file: File
    place: Path
    state: str


class Plan(NamedTuple):
    """The steps to obtain a data set.

    Attributes:
        name: name of the data set.
        facts: facts about the data set.
        root: target folder.
        items: files, in the order in which they are fetched.
    """

    name: str
    facts: Facts
    root: Path
    items: tuple[Item, ...]

    @property
    def missing(self) -> tuple[Item, ...]:
        """The items that are still missing."""
        return tuple(item for item in self.items if item.state == MISSING)

    @property
    def to_come(self) -> int | None:
        """Return the number of bytes still to download; None if a size is unknown."""
        sizes = [self._to_come(item) for item in self.missing]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def _to_come(self, item: Item) -> int | None:
        path = local(item.file.url)
        if item.file.archive:
            path = path or whole_archive(self, item)
            if path is not None:
                return 0  # unpacked from its current location
        size = item.file.size if path is None else path.stat().st_size
        return None if size is None else max(0, size - _arrived(target(self, item)))

    @property
    def needed(self) -> int:
        """Return the required free bytes, as far as known: an archive and its content exist together."""
        unpacked = [item.file.size or 0 for item in self.missing if item.file.archive]
        return (self.to_come or 0) + sum(unpacked)

    @property
    def free(self) -> int:
        """Return the free bytes at the target."""
        path = self.root.absolute()
        return shutil.disk_usage(next(one for one in (path, *path.parents) if one.is_dir())).free

    def check(self) -> None:
        """Check in advance whether the plan can succeed.

        Raises:
            DownloadError: a switch forbids network access.
            OutputError: there is not enough disk space.
        """
        remote = [item for item in self.missing if local(item.file.url) is None]
        remote = [item for item in remote if not (item.file.archive and whole_archive(self, item))]
        switch = offline()
        if remote and switch is not None:
            names = ", ".join(item.file.name for item in remote)
            raise DownloadError(f"{self.name}: {switch} forbids downloads; unset it to fetch {names}")
        if self.needed > self.free:
            raise OutputError(
                f"{self.root}: {self.needed:,} bytes are needed for {self.name}, {self.free:,} are free; "
                "make room or choose another --data-root"
            )


def make_plan(
    name: str, root: str | os.PathLike[str], url: str | None = None, digest: Digest | None = None
) -> Plan:
    """Determine the missing files of a data set. Existing files are compared with published hashes.

    Args:
        name: name of the data set.
        root: current or future folder of the data set.
        url: another source: one file or archive, or, if it ends in ``/``, a folder with the published file
            names. A local path is also accepted.
        digest: hash of the file at ``url``, if it is not a published file.

    Raises:
        ConfigError: this data set cannot be fetched, or ``url`` and ``digest`` do not match.
        DownloadError: no verified source is known and none was given.
        OutputError: the target is occupied by something else.
    """
    facts, root = read_facts(name), Path(root).expanduser()
    if not facts.expect:
        raise ConfigError(f"{name}: there is nothing to download: {facts.about}; geomoe data info {name}")
    if url is None and digest is None and not facts.files:
        there = Item(File(facts.inside, archive=True), find(facts, root).folder, UNCHECKED)
        if not find(facts, root).missing:
            return Plan(name, facts, root, (there,))
    items: list[Item] = []
    for file in choose(name, facts, url, digest):
        place = _place_archive if file.archive else _place_file
        items.append(place(facts, root, file, items))
    plan = Plan(name, facts, root, tuple(items))
    for item in plan.missing:
        path = local(item.file.url)
        if path is not None and not path.is_file():
            raise ConfigError(f"--url: {path}: there is no such file")
    if any(item.file.archive for item in plan.missing):
        check_python()
    return plan


def choose(name: str, facts: Facts, url: str | None, digest: Digest | None) -> tuple[File, ...]:
    """Return the files to fetch, each with its source and hash.

    Raises:
        ConfigError: ``url`` and ``digest`` do not match.
        DownloadError: no verified source is known and none was given.
    """
    hashes = "--sha256 HEX (or --md5 HEX)"
    if url is None:
        if digest is not None:
            raise ConfigError(f"--{digest.algorithm}: is the hash of what --url names; give --url as well")
        if not facts.files:
            raise DownloadError(
                f"{name}: no source with a published hash is known; `geomoe data info {name}` says who "
                f"has it; a link and hash that you trust are fetched with --url URL {hashes}"
            )
        return facts.files
    path = local(url)
    if path is not None and not path.exists():
        raise ConfigError(f"--url: expected http://, https:// or a file that is there; got {url!r}")
    if path is not None and path.is_dir():
        url = f"{path}/"
    if url.endswith("/"):
        if not facts.files or digest is not None:
            why = (
                "takes no hash of its own" if facts.files else f"has no published files of {name} to look for"
            )
            raise ConfigError(f"--url: a folder (it ends in /) {why}; give the address of the archive")
        return tuple(file._replace(url=url + file.name, hub="") for file in facts.files)
    last = PurePosixPath(unquote(urlsplit(url).path) if path is None else path.name).name
    known = [file for file in facts.files if file.name == last or file.digest == digest]
    if known and digest in (None, known[0].digest):
        return (known[0]._replace(url=url, hub=""),)
    if digest is None:
        raise ConfigError(
            f"--url: no hash is published for {last or url!r}; give the one that you trust: {hashes}"
        )
    own = known[0] if known else File(last or f"{name}.archive", archive=True)
    size = path.stat().st_size if path is not None else None
    sha256, md5 = (digest.value if digest.algorithm == kind else "" for kind in ("sha256", "md5"))
    return (own._replace(url=url, hub="", size=size, sha256=sha256, md5=md5),)


def local(url: str) -> Path | None:
    """Return the path of a local source; None: the source is a server or the hub."""
    parts = urlsplit(url)
    if not url or parts.scheme in {"http", "https"}:
        return None
    return Path(url2pathname(parts.path) if parts.scheme == "file" else url).expanduser()


def target(plan: Plan, item: Item) -> Path:
    """Return the file that an item is fetched to; an archive stays in the root until it is unpacked."""
    return plan.root / item.file.name if item.file.archive else item.place


def whole_archive(plan: Plan, item: Item) -> Path | None:
    """Return an archive with the right name that the user placed in the root: it is used and kept."""
    path = target(plan, item)
    return path if path.is_file() else None


def _arrived(path: Path) -> int:
    partial = path.with_name(path.name + SUFFIX)
    return partial.stat().st_size if partial.is_file() else 0


def _published(facts: Facts, file: File) -> bool:
    return file.digest in [one.digest for one in facts.files]


def _place_archive(facts: Facts, root: Path, file: File, before: list[Item]) -> Item:
    found, folder = find(facts, root), root / facts.inside
    if not found.missing:
        checked = facts.md5s if _published(facts, file) else None
        for name, value in (checked or {}).items():
            compare(found.folder / name, Digest("md5", value))
        return Item(file, found.folder, THERE if checked else UNCHECKED)
    inner = root.name == folder.name and len(found.missing) < len(facts.expect)  # the root is that folder
    if inner or (folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))):
        lacks = ", ".join(entry.replace("|", " or ") for entry in lacking(facts, root if inner else folder))
        raise OutputError(
            f"{root if inner else folder}: is there and lacks {lacks}; nothing is written over or into it: "
            "move it away or choose another --data-root"
        )
    return Item(file, folder, MISSING)


def _place_file(facts: Facts, root: Path, file: File, before: list[Item]) -> Item:
    found = find(facts, root)
    entries = [entry.split("|") for entry in facts.expect if file.name in entry.split("|")]
    folder = root  # for extra files, unless the data set's folder exists or will exist
    if entries or not found.missing:
        folder = found.folder
    elif any(item.file.archive for item in before):
        folder = before[0].place
    for path in dict.fromkeys([folder / file.name, root / file.name]):
        if path.exists():
            compare(path, file.digest)
            return Item(file, path, THERE)
    for name in entries[0] if entries else ():
        if (folder / name).exists():  # the same, unpacked
            return Item(file, folder / name, UNCHECKED)
    return Item(file, folder / file.name, MISSING)


def compare(path: Path, digest: Digest) -> None:
    """Check that an existing file is the published one.

    Raises:
        OutputError: the file has another hash.
    """
    found = digest.of(path)
    if found != digest:
        raise OutputError(
            f"{path}: is there, and its {digest.algorithm} is {found.value}, not {digest.value}: not the "
            "published file; nothing is written over: move it away or choose another --data-root"
        )
