"""Options for work on files: predicting images, and encoding points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from geomoe.config.limits import MOST_BATCH, MOST_SIDE, MOST_WORKERS
from geomoe.errors import InputError
from geomoe.reading.raster import MOST_PIXELS
from geomoe.support.options import within

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
        InputError: a tile has more pixels than are read at once, or the overlap is out of its range.
    """

    data_root: str | PathLike[str] | None = None
    tile: int | None = within(None, at_least=1, at_most=MOST_SIDE)
    overlap: float = 0.5
    batch_size: int = within(64, at_least=1, at_most=MOST_BATCH)
    num_workers: int = within(0, at_least=0, at_most=MOST_WORKERS)
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
        if self.overlap not in OVERLAPS:
            raise InputError(f"overlap: expected {' or '.join(map(str, OVERLAPS))}; got {self.overlap}")


OVERLAPS = (0, 0.5, 0.75)  # shares of a tile's side

#: option of :class:`EncodeOptions` -> the encoders that have it.
_OWNERS = {"legendre_polys": ("sh", "sh-siren"), "finest_km": ("fourier",), "capsules": ("geoclip",)}


@dataclass(frozen=True, kw_only=True)
class EncodeOptions:
    """The encoder that turns places into embeddings, and the columns that hold the places.

    Args:
        encoder: name of a location encoder; or
        checkpoint: checkpoint file whose trained encoder is used instead.
        weights: pretrained weights of the named encoder (required by satclip).
        legendre_polys: L of the encoders sh and sh-siren, which have L * L values; None: 10.
        finest_km: half the shortest wave of the encoder fourier in km (required by it).
        capsules: capsules of the encoder geoclip; None: 0.
        lon: name of the column of longitudes; None: point geometry, else ``lon``, ``longitude``, ``lng``.
        lat: name of the column of latitudes; None: point geometry, else ``lat``, ``latitude``.
        safe_csv: whether cells of a CSV that a spreadsheet would take for formulas are quoted.

    Raises:
        InputError: neither an encoder nor a checkpoint is given, or both; or an option of another encoder,
            which would have no effect.
    """

    encoder: str | None = None
    checkpoint: str | None = None
    weights: str | None = None
    legendre_polys: int | None = None
    finest_km: float | None = None
    capsules: tuple[int, ...] | None = None
    lon: str | None = None
    lat: str | None = None
    safe_csv: bool = False

    def __post_init__(self) -> None:
        if (self.encoder is None) == (self.checkpoint is None):
            raise InputError("encoder: give the name of an encoder, or a checkpoint")
        given = {name: getattr(self, name) for name in _OWNERS}
        for name, owners in _OWNERS.items():
            if given[name] is not None and self.encoder not in owners:
                used = f"--encoder {self.encoder}" if self.encoder else "a checkpoint, whose encoder is made"
                msg = f"--{name.replace('_', '-')}: is of {' and '.join(owners)}, and does nothing for {used}"
                raise InputError(f"{msg}; leave it out")
