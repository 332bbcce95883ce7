"""Static facts about each data set: licence, size, sources, layout; needs no torch and no network.

Each data set has one file in ``geomoe/fetching/known``; docs/datasets/ describes the protocols.
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

#: Status of a source: it was used, it was not tried, or it is known to be unavailable.
STATUSES = ("works", "unverified", "down")


class Source(NamedTuple):
    """A source of a data set.

    Attributes:
        name: provider.
        status: one of STATUSES.
        url: address, if there is one.
        note: remarks for the user.
        sha256: hash of the archive.
    """

    name: str
    status: str
    url: str = ""
    note: str = ""
    sha256: str = ""


class File(NamedTuple):
    """A file that ``geomoe data download`` can fetch and check.

    Attributes:
        name: file name on disk and on a mirror.
        url: address; empty: on the hub.
        hub: data set repository on the Hugging Face hub, in which the sha256 identifies the file.
        sha256: published hash.
        md5: published hash, if there is no sha256.
        size: size in bytes.
        archive: whether to unpack it into the data set's folder; otherwise it is a file of the data set.
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
        """The required hash."""
        return Digest("sha256", self.sha256) if self.sha256 else Digest("md5", self.md5)

    @property
    def source(self) -> str:
        """The source, as shown to users."""
        return self.url or f"huggingface.co/datasets/{self.hub}"


class Facts(NamedTuple):
    """The facts about a data set.

    Attributes:
        title: full name.
        about: one-sentence description.
        licence: licence of the data.
        size: ``archive`` and ``disk``, as text.
        sources: where to get it.
        tree: the layout on disk, as text.
        expect: entries that its folder must contain; ``a|b`` means either.
        inside: the folder's name below ``data.root``; the root itself may be that folder.
        sample: module of ``geomoe.datasets.samples`` that writes a small sample, or ``module:name`` if it
            writes several; empty: none is needed.
        samples: split -> number of images, if known; ``all`` for data sets without fixed splits.
        samples_note: source of these numbers.
        samples_protocols: values of ``data.protocol`` for which they hold; null is always included.
        try_flags: flags of ``geomoe train`` for its sample: runs in seconds on a CPU without downloads.
        files: files that can be fetched, with published hashes; archives first.
        md5s: published md5 of files that are unpacked from an archive.
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
        folder: actual or expected folder of its files.
        missing: missing entries of ``Facts.expect``.
    """

    folder: Path
    missing: tuple[str, ...]


def read_facts(name: str) -> Facts:
    """Read the facts about a data set of the catalogue.

    Raises:
        ConfigError: the data set is unknown.
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
    """Look for a data set's files in a folder, without reading them."""
    own = Path(root).expanduser()
    folder = own / facts.inside if (own / facts.inside).is_dir() else own
    missing = lacking(facts, folder)
    if len(missing) == len(facts.expect) and folder == own:
        folder = own / facts.inside  # nothing found: return the expected folder
    return Found(folder, missing)


def lacking(facts: Facts, folder: Path) -> tuple[str, ...]:
    """Return the entries of ``facts.expect`` that a folder lacks."""
    return tuple(
        entry for entry in facts.expect if not any((folder / one).exists() for one in entry.split("|"))
    )
