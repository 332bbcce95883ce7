"""List folders of domains, classes and images (DomainBed's layout) with one class list for all domains."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geomoe.errors import DataError, DatasetNotFoundError
from geomoe.support.text import counted

log = logging.getLogger(__name__)

#: Suffixes that torchvision's ImageFolder accepts as images.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


class Layout(NamedTuple):
    """The folder layout of a data set.

    Attributes:
        name: name in configurations.
        title: name in messages.
        folders: names of its folder below the root, the usual one first; the root itself may be that folder.
        domains: domain -> alternative folder names; spaces, case, ``_`` and ``-`` are ignored.
        classes: published number of classes.
        images: published number of images, one for each edition.
    """

    name: str
    title: str
    folders: tuple[str, ...]
    domains: dict[str, tuple[str, ...]]
    classes: int
    images: tuple[int, ...]


class Listing(NamedTuple):
    """Every image of a data set; the row of an image is the same under every protocol.

    Attributes:
        folder: folder that contains the domain folders.
        domains: domain names, in the layout's order.
        classes: class names of all domains together, sorted.
        files: N paths below ``folder``.
        names: N paths with the usual name of every folder; splits are made from these.
        domain: (N,) int64 positions in ``domains``.
        label: (N,) int64 positions in ``classes``.
    """

    folder: Path
    domains: tuple[str, ...]
    classes: tuple[str, ...]
    files: list[str]
    names: list[str]
    domain: NDArray[np.int64]
    label: NDArray[np.int64]

    def data_hash(self) -> str:
        """Return the hash of the names of all images; no image is opened."""
        return hashlib.sha256("\n".join(self.names).encode()).hexdigest()


def scan(root: str | os.PathLike[str], layout: Layout) -> Listing:
    """List a data set's images.

    Only folders of known domains count; ``__MACOSX``, ``.ipynb_checkpoints`` and other folders next to them
    are ignored. The classes are those of all domains together, so a class that one domain lacks does not
    shift the labels of the others, as it would with one ImageFolder for each domain.

    Raises:
        DatasetNotFoundError: no domain folder exists.
        DataError: a domain is missing, present twice, or without images.
    """
    folder, found = _find(Path(root).expanduser(), layout)
    rows = [
        (number, domain, found[domain].name, kind, file)
        for number, domain in enumerate(layout.domains)
        for kind, file in _images(found[domain], layout)
    ]
    classes = tuple(sorted({row[3] for row in rows}))
    _check_classes(folder, classes)
    position = {kind: label for label, kind in enumerate(classes)}
    listing = Listing(
        folder=folder,
        domains=tuple(layout.domains),
        classes=classes,
        files=[f"{own}/{kind}/{file}" for _, _, own, kind, file in rows],
        names=[f"{domain}/{kind}/{file}" for _, domain, _, kind, file in rows],
        domain=np.array([row[0] for row in rows], dtype=np.int64),
        label=np.array([position[row[3]] for row in rows], dtype=np.int64),
    )
    _tell(listing, layout)
    return listing


def _key(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter not in " _-")


def _find(root: Path, layout: Layout) -> tuple[Path, dict[str, Path]]:
    """Return the folder that contains the domains, and the folder of each domain."""
    known = {_key(name): domain for domain, others in layout.domains.items() for name in (domain, *others)}
    for folder in (*(root / name for name in layout.folders), root):
        inside = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
        found: dict[str, list[Path]] = {}
        for path in inside:
            if _key(path.name) in known:
                found.setdefault(known[_key(path.name)], []).append(path)
        # A single folder called P among others does not make it PACS.
        if len(found) > (0 if folder.name in layout.folders else 1):
            _check_domains(folder, found, layout)
            others = [p.name for p in inside if _key(p.name) not in known and not _is_junk(p.name)]
            if others:
                log.warning("%s: not domains of %s, left out: %s", folder, layout.title, ", ".join(others))
            return folder, {domain: paths[0] for domain, paths in found.items()}
    first, domains = layout.folders[0], ", ".join(layout.domains)
    msg = (
        f"{root / first}: {layout.title} is not there: no folder of {domains}; get it (`geomoe data info "
        f"{layout.name}` says from where) and name the folder that holds {first} with --data-root"
    )
    raise DatasetNotFoundError(msg)


def _check_domains(folder: Path, found: dict[str, list[Path]], layout: Layout) -> None:
    missing = [domain for domain in layout.domains if domain not in found]
    if missing:
        there = ", ".join(sorted(found))
        msg = (
            f"{folder}: no folder of {layout.title}'s {', '.join(missing)} (found: {there}); "
            f"the copy is incomplete"
        )
        raise DataError(msg)
    for domain, paths in found.items():
        if len(paths) > 1:
            names = " and ".join(repr(path.name) for path in paths)
            msg = f"{folder}: {names} are both {layout.title}'s {domain}; leave one of them"
            raise DataError(msg)


def _is_junk(name: str) -> bool:
    """Return whether a name is a hidden file (also macOS's ``._x.jpg``) or left by archivers or notebooks."""
    return name.startswith((".", "__"))


def _check_classes(folder: Path, classes: tuple[str, ...]) -> None:
    if len(classes) < 2:
        msg = f"{folder}: expected folders of at least 2 classes; got {', '.join(classes)} alone"
        raise DataError(f"{msg}; the copy is incomplete")
    alike: dict[str, str] = {}
    for name in classes:
        other = alike.setdefault(_key(name), name)
        if other != name:
            raise DataError(f"{folder}: {other!r} and {name!r} are one class; give its folders one name")


def _images(domain: Path, layout: Layout) -> list[tuple[str, str]]:
    """Return (class, path below the class) of every image of a domain, sorted."""
    found = []
    others = [path.name for path in domain.iterdir() if not path.is_dir() and not _is_junk(path.name)]
    for kind in sorted(path.name for path in domain.iterdir() if path.is_dir() and not _is_junk(path.name)):
        for folder, inside, files in os.walk(domain / kind, followlinks=True):
            inside[:] = sorted(name for name in inside if not _is_junk(name) and not _is_circle(folder, name))
            below = Path(folder).relative_to(domain / kind)
            names = [(below / name).as_posix() for name in sorted(files) if not _is_junk(name)]
            found += [(kind, name) for name in names if name.lower().endswith(EXTENSIONS)]
            others += [f"{kind}/{name}" for name in names if not name.lower().endswith(EXTENSIONS)]
    if not found:
        msg = f"{domain}: no images of {layout.title} below it; the copy is incomplete"
        raise DataError(msg)
    for kind, name in found:
        _check_name(domain, f"{kind}/{name}")
    if others:
        shown = ", ".join(sorted(others)[:3])
        count = counted(len(others), "file")
        log.warning("%s: %s in no class, or no images by their name, left out: %s", domain, count, shown)
    return found


def _check_name(domain: Path, name: str) -> None:
    """Check that a name is the same text on every system, because splits depend on names."""
    if any(letter < " " or "\ud800" <= letter <= "\udfff" for letter in name):
        shown = ascii(f"{domain}/{name}")
        raise DataError(f"{shown}: the name is not in UTF-8, or has control characters; rename it")


def _is_circle(folder: str, name: str) -> bool:
    """Return whether a link points to one of its parent folders, which would make the listing endless."""
    path = os.path.join(folder, name)
    circle = os.path.islink(path) and Path(folder).resolve().is_relative_to(Path(path).resolve())
    if circle:
        log.warning("%s: a link to a folder that it lies in, left out", path)
    return circle


def _tell(listing: Listing, layout: Layout) -> None:
    if len(listing.files) not in layout.images:
        known = " or ".join(map(str, layout.images))
        text = "%s: %d images; %s has %s: is this a part of it?"
        log.warning(text, listing.folder, len(listing.files), layout.title, known)
    if len(listing.classes) != layout.classes:
        log.warning(
            "%s: %d classes of the %d of %s",
            listing.folder,
            len(listing.classes),
            layout.classes,
            layout.title,
        )
    for number, domain in enumerate(listing.domains):
        there = set(listing.label[listing.domain == number].tolist())
        missing = [kind for label, kind in enumerate(listing.classes) if label not in there]
        if missing:
            log.warning("%s: no images of %s in domain %s", listing.folder, ", ".join(missing), domain)
