"""Images and the tiles that large ones are cut into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, overload

from geomoe.errors import DataError
from geomoe.reading import raster
from geomoe.reading.image_table import Skip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Item(NamedTuple):
    """One image, or one tile of a scene.

    Attributes:
        name: as it is written in results.
        path: the file.
        window: left column, upper row, width, height in pixels; None: the whole image.
        lonlat: degrees; None: what the file's own georeference says.
        domain: name of the domain, empty where it is not known.
        vrt_root: folder that the sources of a VRT have to lie in; None: VRTs are refused.
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
        """Tiles along a side of this many pixels."""
        return max(-(-(pixels - self.size) // self.step), 0) + 1


def make_tiling(size: int, overlap: float) -> Tiling:
    """Tiles whose neighbours share ``overlap`` of their side.

    Args:
        size: pixels; made larger by a few so that steps divide it.
        overlap: 0, 0.5 or 0.75.
    """
    parts = round(1 / (1 - overlap))
    step = -(-size // parts)
    return Tiling(step * parts, step)


class Tiles(Sequence[Item]):
    """The tiles of one raster, row by row, made when they are asked for: a scene may have millions.

    Args:
        item: the raster.
        tiling: how it is cut.
        width, height: its pixels.
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
        """One tile, or some of them."""
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        if not 0 <= number < len(self):
            raise IndexError(f"there are {len(self)} tiles; got {number}")
        row, column = divmod(number, self.columns)
        step, size = self.tiling.step, self.tiling.size
        # a table's place serves none of the tiles
        return self.item._replace(window=(column * step, row * step, size, size), lonlat=None)


def cut(item: Item, tiling: Tiling, skipped: list[Skip]) -> Iterator[Item]:
    """The tiles of one image; an unreadable one is skipped."""
    try:
        head = raster.read_header(item.path, item.vrt_root)
    except DataError as error:
        skipped.append(Skip(0, item.name, str(error)))
        return
    yield from Tiles(item, tiling, head.width, head.height)
