"""How files are predicted: the options of :func:`geomoe.predict_files`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from geomoe.errors import InputError
from geomoe.reading.raster import MOST_PIXELS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from os import PathLike


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Options of a prediction of files.

    Args:
        data_root: base folder of a table's file names; default: the folder of the table.
        tile: side of a tile in pixels; default: whole images, and for a scene the size of the training
            images.
        overlap: fraction of a side shared by neighbouring tiles: 0, 0.5 or 0.75.
        batch_size: images in a forward pass.
        num_workers: number of processes that read images; 0: this process.
        probabilities: whether to write the probability of every class.
        resume: whether to resume an interrupted prediction.
        allow_vrt: whether to read VRTs; their sources must be in the given folder, or next to the VRT.
        match_gsd: whether to cut images (and tiles) to the ground that training images covered, instead of
            resizing whatever they cover; of a larger image the middle is predicted.
        safe_csv: whether cells of a CSV that a spreadsheet would take for formulas are quoted.
        columns: part -> column of tables whose columns have other names: ``{"filename": "image"}``.
        colors: file with a colour for each class of a classified scene: see
            :func:`geomoe.support.legends.read_colours`; default: hues that differ.
        progress: called with finished images, total images and skipped images.

    Raises:
        InputError: a tile of more pixels than are read at once.
    """

    data_root: str | PathLike[str] | None = None
    tile: int | None = None
    overlap: float = 0.5
    batch_size: int = 64
    num_workers: int = 0
    probabilities: bool = False
    resume: bool = False
    allow_vrt: bool = False
    match_gsd: bool = False
    safe_csv: bool = False
    columns: Mapping[str, str] | None = None
    colors: str | PathLike[str] | None = None
    progress: Callable[[int, int, int], None] | None = None

    def __post_init__(self) -> None:
        side = self.tile
        if side and side**2 > MOST_PIXELS:
            most = f"give up to {MOST_PIXELS**0.5:.0f}"
            raise InputError(f"tile: {side} x {side} pixels are too many at once; {most}")
