"""Images, and tiles cut from large images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, overload

from geomoe.errors import DataError
from geomoe.reading import raster
from geomoe.reading.skips import Skip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Item(NamedTuple):
    """One image, or one tile of a scene.

    Attributes:
        name: name in the results.
        path: the file.
        window: left column, upper row, width, height in pixels; None: the whole image.
        lonlat: degrees; None: from the georeference of the file.
        domain: name of the domain; empty if unknown.
        vrt_root: folder that must contain all sources of a VRT; None: VRTs are refused.
    """

    name: str
    path: Path
    window: tuple[int, int, int, int] | None = None
    lonlat: tuple[float, float] | None = None
    domain: str = ""
    vrt_root: Path | None = None


class Tiling(NamedTuple):
    """How scenes are cut: squares of ``size`` pixels, ``step`` pixels apart."""

    size: int
    step: int

    def count(self, pixels: int) -> int:
        """Return the number of tiles along a side with this many pixels."""
        return max(-(-(pixels - self.size) // self.step), 0) + 1


def make_tiling(size: int, overlap: float) -> Tiling:
    """Make a tiling whose neighbouring tiles share the fraction ``overlap`` of their side.

    Args:
        size: side in pixels; increased by a few pixels so that the step divides it.
        overlap: 0, 0.5 or 0.75.
    """
    parts = round(1 / (1 - overlap))
    step = -(-size // parts)
    return Tiling(step * parts, step)


class Tiles(Sequence[Item]):
    """The tiles of one raster, row by row, created on access: a scene may have millions.

    Args:
        item: the raster.
        tiling: how the raster is cut.
        width, height: size of the raster in pixels.
    """

    def __init__(self, item: Item, tiling: Tiling, width: int, height: int) -> None:
        self.item, self.tiling = item, tiling
        self.columns, self.rows = tiling.count(width), tiling.count(height)

    def __len__(self) -> int:
        return self.columns * self.rows

    @overload
    def __getitem__(self, number: int) -> Item: ...

    @overload
    def __getitem__(self, number: slice) -> list[Item]: ...

    def __getitem__(self, number: int | slice) -> Item | list[Item]:
        """Return one tile, or a list of tiles."""
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        if not 0 <= number < len(self):
            raise IndexError(f"expected a number below {len(self)}; got {number}")
        row, column = divmod(number, self.columns)
        step, size = self.tiling.step, self.tiling.size
        # a place from a table does not apply to the tiles
        return self.item._replace(window=(column * step, row * step, size, size), lonlat=None)


def cut(
    item: Item, tiling: Tiling, skipped: list[Skip], fit: Callable[[Tiling, float], Tiling] | None = None
) -> Iterator[Item]:
    """Yield the tiles of one image; an unreadable image is skipped.

    Args:
        item: the image.
        tiling: how it is cut.
        skipped: gets the image if it cannot be read.
        fit: makes the tiling of an image from the ground size of its pixels in metres.
    """
    try:
        head = raster.read_header(item.path, item.vrt_root)
        tiling = tiling if fit is None else fit(tiling, head.metres)
    except DataError as error:
        skipped.append(Skip(0, item.name, str(error)))
        return
    yield from Tiles(item, tiling, head.width, head.height)
