"""What is known of each data set before it is on disk: licence, size, sources, layout; no torch, no network.

One file a data set in ``geomoe/fetching/known``; docs/datasets/ has the protocols.
"""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from geomoe.catalogue import CATALOGUE
from geomoe.errors import ConfigError
from geomoe.fetching.digests import Digest
from geomoe.support.words import unknown

#: What is known of a source: it was used, it was not tried, or it is known not to answer.
STATUSES = ("works", "unverified", "down")


class Source(NamedTuple):
    """Where a data set can be had.

    Attributes:
        name: who offers it.
        status: one of STATUSES.
        url: where, if that is an address.
        note: what to know about it.
        sha256: of the archive.
    """

    name: str
    status: str
    url: str = ""
    note: str = ""
    sha256: str = ""


class File(NamedTuple):
    """A file that ``geomoe data download`` can fetch and check.

    Attributes:
        name: on disk, and on a mirror.
        url: where it is; empty: on the hub.
        hub: data set repository of the Hugging Face hub that has it, found there by its sha256.
        sha256: as published.
        md5: as published, where there is no sha256.
        size: bytes.
        archive: whether it is to be unpacked into the data set's folder; else it is one of its files.
    """

    name: str
    url: str = ""
    hub: str = ""
    sha256: str = ""
    md5: str = ""
    size: int | None = None
    archive: bool = False

    @property
    def digest(self) -> Digest:
        """The hash that it must have."""
        return Digest("sha256", self.sha256) if self.sha256 else Digest("md5", self.md5)

    @property
    def source(self) -> str:
        """Where it comes from, for people."""
        return self.url or f"huggingface.co/datasets/{self.hub}"


class Facts(NamedTuple):
    """What is known of a data set.

    Attributes:
        title: its name, written out.
        about: what it is, in a sentence.
        licence: under which it may be used.
        size: ``archive`` and ``disk``, in words.
        sources: where to get it.
        tree: the layout on disk, as text.
        expect: what must lie in its folder; ``a|b`` is one or the other.
        inside: the folder's name below ``data.root``; the root itself may be that folder.
        sample: module of ``geomoe.datasets.samples`` that writes a small one, ``module:name`` where it writes
            several; empty: none is needed.
        samples: split -> number of images, where that is known; ``all`` for those without fixed splits.
        samples_note: where the numbers come from.
        samples_protocols: values of ``data.protocol`` under which they hold; null always is one.
        try_flags: of ``geomoe train`` for its sample: seconds on a CPU, nothing fetched.
        files: what can be fetched, with published hashes; archives first.
        md5s: md5 of files of its folder that come out of an archive, where published.
    """

    title: str
    about: str
    licence: str
    size: dict[str, str]
    sources: tuple[Source, ...]
    tree: str
    expect: tuple[str, ...]
    inside: str = ""
    sample: str = ""
    samples: dict[str, int] | None = None
    samples_note: str = ""
    samples_protocols: tuple[str, ...] = ()
    try_flags: str = ""
    files: tuple[File, ...] = ()
    md5s: dict[str, str] | None = None


class Found(NamedTuple):
    """Whether a data set is in a folder.

    Attributes:
        folder: where its files lie or ought to lie.
        missing: entries of ``Facts.expect`` that are not there.
    """

    folder: Path
    missing: tuple[str, ...]


def read_facts(name: str) -> Facts:
    """What is known of a data set of the catalogue.

    Raises:
        ConfigError: no such data set.
    """
    if name not in CATALOGUE:
        raise ConfigError(unknown("NAME", "data set", name, list(CATALOGUE)))
    file = resources.files("geomoe.fetching") / "known" / f"{name}.yaml"
    given: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    sources = tuple(Source(**source) for source in given.pop("sources"))
    files = tuple(File(**one) for one in given.pop("files", []))
    return Facts(
        **{
            **given,
            "sources": sources,
            "files": files,
            "expect": tuple(given["expect"]),
            "samples_protocols": tuple(given.get("samples_protocols", ())),
        }
    )


def find(facts: Facts, root: str | os.PathLike[str]) -> Found:
    """Look for a data set's files in a folder; nothing is read."""
    own = Path(root).expanduser()
    folder = own / facts.inside if (own / facts.inside).is_dir() else own
    missing = lacking(facts, folder)
    if len(missing) == len(facts.expect) and folder == own:
        folder = own / facts.inside  # nothing is there: say where it ought to be
    return Found(folder, missing)


def lacking(facts: Facts, folder: Path) -> tuple[str, ...]:
    """Entries of ``facts.expect`` that are not in a folder."""
    return tuple(
        entry for entry in facts.expect if not any((folder / one).exists() for one in entry.split("|"))
    )
