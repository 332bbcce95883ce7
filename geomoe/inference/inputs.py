"""Collect the inputs of a prediction: image files, folders, tables, and large scenes cut into tiles."""

from __future__ import annotations

import contextlib
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from geomoe.errors import DataError, InputError
from geomoe.inference.ground import Ground
from geomoe.inference.tiles import Item, cut
from geomoe.reading import raster
from geomoe.reading.image_table import read_table
from geomoe.reading.location import NOT_REFERENCED, located, metres_per_pixel, middle_of, place_of
from geomoe.reading.opening import KeptOpen
from geomoe.reading.sheets import SUFFIXES
from geomoe.reading.skips import Skip
from geomoe.reading.swapped import refuse_swapped
from geomoe.support.text import is_utf8, visible, why_not_utf8
from geomoe.support.walking import walk
from geomoe.types import UNKNOWN_DOMAIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from geomoe.inference.tiles import Tiling
    from geomoe.reading.image_table import Table

log = logging.getLogger(__name__)

_SOME = 64  # number of images whose georeference is compared with the table
_JUNK = ("__MACOSX",)  # and everything whose name begins with a dot


def collect(
    inputs: Sequence[Path],
    root: Path | None = None,
    tiling: Tiling | None = None,
    *,
    allow_vrt: bool = False,
    ground: Ground | None = None,
    columns: Mapping[str, str] | None = None,
) -> tuple[list[Item], list[Skip]]:
    """List all images of the inputs, in order and each once, without reading pixels.

    Args:
        inputs: image files, folders, and tables with ``filename`` and optional lon, lat and domain.
        root: base folder of the file names in tables; default: the folder of the table.
        tiling: how to cut every image into tiles; None: whole images.
        allow_vrt: whether to read VRTs; their sources must be in the given folder (for a table: ``root``),
            or next to a VRT that is given as a file.
        ground: the ground that training images covered; tiles are fitted to it if it is to be matched.
        columns: part -> column of tables, where it has another name.

    Returns:
        The items, and the unusable rows or images.

    Raises:
        InputError: an input does not exist or has an unknown format, or there is nothing to predict.
        DataError: a table cannot be used.
    """
    items: dict[Path, Item] = {}
    skipped: list[Skip] = []
    for given in inputs:
        within = _within(given, root) if allow_vrt else None
        for item in _items(given, root, skipped, within, columns):
            items.setdefault(item.path.absolute(), item._replace(vrt_root=within))
    if not items and not skipped:
        names = ", ".join(map(str, inputs))
        raise InputError(f"{names}: no image found (they end in {', '.join(raster.SUFFIXES)})")
    if tiling is None:
        return list(items.values()), skipped
    fit = ground.tiling if ground is not None and ground.match else None
    return [tile for item in items.values() for tile in cut(item, tiling, skipped, fit)], skipped


def _within(given: Path, root: Path | None) -> Path:
    """Return the folder that must contain the files that an input names."""
    if given.is_dir():
        return given
    is_table = given.suffix.lower() in SUFFIXES
    return root if is_table and root is not None else given.parent


def _items(
    given: Path,
    root: Path | None,
    skipped: list[Skip],
    vrt_root: Path | None,
    columns: Mapping[str, str] | None,
) -> Iterator[Item]:
    if columns and given.suffix.lower() not in SUFFIXES:
        raise InputError(f"columns: {given} is not a table and has none; leave it out")
    if given.is_dir():
        yield from _below(given, skipped)
    elif not given.exists():
        remote = re.match(r"[A-Za-z][\w+.-]+:/|/vsi", str(given))
        hint = "; only files of this machine are read: fetch it first" if remote else ""
        raise InputError(f"{given}: no such file or folder{hint}")
    elif given.suffix.lower() in SUFFIXES:
        yield from _rows(given, root or given.parent, skipped, vrt_root, columns)
    elif given.suffix.lower() in raster.SUFFIXES:
        if is_utf8(given):
            yield Item(given.as_posix(), given)
        else:
            skipped.append(_unnamable(given))
    else:
        kinds = ", ".join((*raster.SUFFIXES, *SUFFIXES))
        raise InputError(f"{given}: expected an image, a folder or a table ({kinds})")


def _below(folder: Path, skipped: list[Skip]) -> Iterator[Item]:
    """Yield the images of a folder; links inside it are followed, others are skipped with a reason."""
    found = walk(
        folder,
        lambda name: Path(name).suffix.lower() in raster.SUFFIXES,
        within=True,
        ignored=lambda name: name.startswith(".") or name in _JUNK,
    )
    skipped.extend(Skip(0, visible(path.as_posix()), reason) for path, reason in found.left_out)
    for path in found.files:
        if is_utf8(path):
            yield Item(path.as_posix(), path)
        else:
            skipped.append(_unnamable(path))


def _unnamable(path: Path) -> Skip:
    """A skipped file whose name cannot be written to a table."""
    return Skip(0, visible(path.as_posix()), why_not_utf8(path))


def _rows(
    path: Path, root: Path, skipped: list[Skip], vrt_root: Path | None, columns: Mapping[str, str] | None
) -> Iterator[Item]:
    if not root.is_dir():
        raise InputError(f"{root}: no such folder of images; --data-root is the folder of the table's files")
    if not is_utf8(root):
        raise InputError(f"{root}: {why_not_utf8(root)}")
    table = read_table(path, labels=False, columns=columns)
    skipped.extend(table.skipped)
    _look_for_swapped(table, root, path, vrt_root)
    for number, name in enumerate(table.filename.tolist()):
        lonlat = None
        if table.lonlat is not None:
            lonlat = (float(table.lonlat[number, 0]), float(table.lonlat[number, 1]))
        domain = "" if table.domain is None else str(table.domain[number])
        yield Item(name, root / name, lonlat=lonlat, domain=domain)


def _look_for_swapped(table: Table, root: Path, where: Path, vrt_root: Path | None) -> None:
    """Compare the places of some rows with the georeference of their images, before hours of work."""
    if table.lonlat is None:
        return
    rows = np.unique(np.linspace(0, len(table.filename) - 1, _SOME).astype(np.int64))
    own = np.full((len(rows), 2), np.nan)
    for number, row in enumerate(rows.tolist()):
        with contextlib.suppress(DataError):  # reported when the image is read
            head = raster.read_header(root / table.filename[row], vrt_root)
            own[number] = head.lon, head.lat
    far = refuse_swapped(table.lonlat[rows], own, table.filename[rows], where)
    if far.any():
        text = "%s: of %d images that were looked at, %d lie far from where the table says; first: %s"
        log.warning(text, where, len(rows), int(far.sum()), table.filename[rows[far][0]])


class Loaded(NamedTuple):
    """One loaded item.

    Attributes:
        number: number of the item.
        image: (bands, size, size) float32 raw values; None: it could not be read.
        lonlat: (2,) degrees; NaN where unknown.
        domain: domain id; -1 if unknown.
        valid: (parts, parts) which cells of a tile hold data; (1, 1) for a whole image.
        error: why it could not be read.
        doubts: warnings about a predicted item, e.g. why its place is unknown.
    """

    number: int
    image: torch.Tensor | None
    lonlat: tuple[float, float]
    domain: int
    valid: NDArray[np.bool_]
    error: str = ""
    doubts: tuple[str, ...] = ()


class Images(Dataset[Loaded]):
    """Loads items one by one in the input shape of a network; unreadable items have an error.

    Args:
        items: result of :func:`collect`.
        numbers: numbers of the items to load, in this order.
        bands: band numbers, counted from 1; empty: all.
        fill: (bands,) value of pixels without data: the mean of the training images.
        size: input side of the network in pixels.
        domains: domain names, by id.
        parts: number of cells along a side of a tile.
        pixel_types: types of the training images' pixels; empty: unknown.
        ground: how much ground the training images covered.
    """

    def __init__(
        self,
        items: Sequence[Item],
        numbers: Sequence[int],
        *,
        bands: tuple[int, ...],
        fill: NDArray[np.float32],
        size: int,
        domains: Sequence[str],
        parts: int = 1,
        pixel_types: Sequence[str] = (),
        ground: Ground | None = None,
    ) -> None:
        self.items, self.numbers, self.bands, self.fill, self.size = items, numbers, bands, fill, size
        self.domains = {name: number for number, name in enumerate(domains)}
        self.parts, self._files = parts, KeptOpen()
        self.pixel_types, self.ground = tuple(pixel_types), Ground() if ground is None else ground
        self._metres: tuple[Path | None, float] = (None, float("nan"))

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, row: int) -> Loaded:
        """Load one item; a faulty file does not raise."""
        number = self.numbers[row]
        item = self.items[number]
        domain = self.domains.get(item.domain, UNKNOWN_DOMAIN)
        nowhere = (float("nan"), float("nan"))
        try:
            values, lonlat, doubts = self._read(item)
        except DataError as error:
            empty = np.zeros((1, 1), dtype=bool)
            return Loaded(number, None, nowhere, domain, empty, str(error).removeprefix(f"{item.path}: "))
        valid = _cells(~np.isnan(values).all(axis=0), self.parts)
        if not valid.any():
            reason = "holds no data" if item.window is None else "the tile holds no data"
            return Loaded(number, None, lonlat, domain, valid, reason)
        filled = np.where(np.isnan(values), self.fill[:, None, None], values)
        image = raster.sized(torch.from_numpy(filled.astype(np.float32)), self.size)
        return Loaded(number, image, lonlat, domain, valid, doubts=doubts)

    def _read(self, item: Item) -> tuple[Any, tuple[float, float], tuple[str, ...]]:
        with self._files.open(item.path, item.vrt_root) as source:
            metres, window = self._metres_of(source, item.path), item.window
            if window is None and self.ground.match:
                window = self.ground.window(metres, source.width, source.height)
            values = raster.read_bands(source, self.bands, len(self.fill), item.path, window)
            doubts = (*self._doubts(source), *self.ground.doubts(metres, max(values.shape[1:])))
            if item.lonlat is not None:
                return values, item.lonlat, doubts
            window = window or (0, 0, source.width, source.height)
            lonlat, unknown = place_of(source, *middle_of(window, source.width, source.height))
        said = unknown and unknown != NOT_REFERENCED  # a picture usually has no georeference
        return values, lonlat, (*doubts, f"the place is unknown: {unknown}") if said else doubts

    def _metres_of(self, source: Any, path: Path) -> float:  # noqa: ANN401 - an open rasterio data set
        """Return the ground size of a pixel in the middle of a file, measured once for all its tiles."""
        if self._metres[0] != path:
            metres = metres_per_pixel(located(source), source.width / 2, source.height / 2)
            self._metres = path, metres
        return self._metres[1]

    def _doubts(self, source: Any) -> tuple[str, ...]:  # noqa: ANN401 - an open rasterio data set
        """Return in what a readable file differs from the training images."""
        kind = np.result_type(*source.dtypes).name
        if not self.pixel_types or kind in self.pixel_types:
            return ()
        trained = " or ".join(self.pixel_types)
        return (f"pixels are {kind}, training images were {trained}; values have to mean the same",)


def _cells(valid: NDArray[np.bool_], parts: int) -> NDArray[np.bool_]:
    if parts == 1:
        return np.array([[valid.any()]])
    height, width = valid.shape
    cells = valid.reshape(parts, height // parts, parts, width // parts)
    return np.asarray(cells.any(axis=(1, 3)))
