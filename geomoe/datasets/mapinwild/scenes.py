"""The files of MapInWild: torchgeo's class finds them and reads the splits; geomoe opens them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torchgeo.datasets import MapInWild

from geomoe.errors import DataError, DatasetNotFoundError, one_line
from geomoe.reading.opening import open_raster
from geomoe.reading.raster import place_of, read_pixels
from geomoe.support.content import size_and_time
from geomoe.support.files import refuse_special

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray
    from torch import Tensor

SEASON = "s2_summer"  # the images that are classified: Sentinel-2 of one summer, 10 bands
SPLIT_FILE = "split_IDs.csv"
#: Our name of a split -> torchgeo's name, which is a column of the file.
SPLITS = {"train": "train", "val": "validation", "test": "test"}
SCENES = 1018  # scenes of the complete data set
BANDS = 10  # B2, B3, B4, B5, B6, B7, B8, B8A, B11, B12
_ADVICE = "torchgeo.datasets.MapInWild(root, ['mask', 's2_summer'], download=True) fetches it (about 75 GB)"


class Scenes(MapInWild):
    """torchgeo's data set of one split, without unpacking or fetching, with geomoe's reader of rasters.

    torchgeo unpacks archives that it finds, and opens rasters with every driver of GDAL. Both methods that do
    so are replaced here; the reading of ``split_IDs.csv`` and the layout are torchgeo's own.

    Args:
        folder: the data set's folder.
        split: train, val or test.
    """

    def __init__(self, folder: Path, split: str) -> None:
        super().__init__(root=folder, modality=["mask", SEASON], split=SPLITS[split], download=False)  # type: ignore[arg-type]

    def _verify(self, url: str, *_: object, **__: object) -> None:
        """Look for one part of the data; the hash that torchgeo passes (md5, later sha256) is not needed."""
        name = url.rsplit("/", 1)[-1]
        if name == SPLIT_FILE:
            return
        part = name.partition(".")[0]
        if not any((Path(self.root) / one).is_dir() for one in (part, part.partition("_part")[0])):
            raise DatasetNotFoundError(f"mapinwild: no folder {Path(self.root) / part}; {_ADVICE}")

    def _load_raster(self, filename: int, source: str | os.PathLike[str]) -> Tensor:
        """(bands, H, W) float32 raw values; NaN where data is missing."""
        with open_raster(file_of(Path(self.root), str(source), filename)) as raster:
            return torch.from_numpy(read_pixels(raster))


class Table(NamedTuple):
    """Every scene of the three splits, in the order of the file.

    Attributes:
        scene: (N,) int64 ids; a file is ``MODALITY/ID.tif``.
        split: (N,) our names of the splits.
        share: (N,) float64 share of the mask that is a protected area, 0 to 1.
        lonlat: (N, 2) float64 degrees of the centre of the mask.
    """

    scene: NDArray[np.int64]
    split: NDArray[Any]
    share: NDArray[np.float64]
    lonlat: NDArray[np.float64]


def find_folder(root: str | os.PathLike[str]) -> Path:
    """Find the folder with ``split_IDs.csv``: ``root``, or ``root/mapinwild``.

    Raises:
        DatasetNotFoundError: neither has it, or a folder of rasters is missing.
    """
    folders = [Path(root).expanduser(), Path(root).expanduser() / "mapinwild"]
    for folder in folders:
        if (folder / SPLIT_FILE).exists():
            return folder
    raise DatasetNotFoundError(f"mapinwild: no {SPLIT_FILE} in {folders[0]} or {folders[1]}; {_ADVICE}")


def file_of(folder: Path, modality: str, scene: int) -> Path:
    """The file of a scene: in the merged folder, or in one of the two parts of a download."""
    first = folder / modality / f"{scene}.tif"
    parts = [folder / f"{modality}_part{part}" / f"{scene}.tif" for part in (1, 2)]
    return next((path for path in (first, *parts) if path.exists()), first)


def read_table(folder: Path) -> Table:
    """Read the splits and every mask; the result is kept until the file of splits changes.

    Raises:
        DatasetNotFoundError: a folder of rasters is missing.
        DataError: the file of splits or a mask cannot be used; the message names it.
    """
    refuse_special(folder / SPLIT_FILE, DataError)
    return _read_table(folder, size_and_time(folder / SPLIT_FILE))


@lru_cache(maxsize=2)
def _read_table(folder: Path, _state: tuple[int, int]) -> Table:
    found = {split: _ids(folder, split) for split in SPLITS}
    scene = np.array([one for ids in found.values() for one in ids], dtype=np.int64)
    names = np.repeat(list(found), [len(ids) for ids in found.values()])
    path = folder / SPLIT_FILE
    if not len(scene):
        raise DataError(f"{path}: has no scenes")
    known, count = np.unique(scene, return_counts=True)
    if count.max() > 1:
        where = ", ".join(names[scene == known[count > 1][0]])
        raise DataError(
            f"{path}: scene {known[count > 1][0]} is listed twice ({where}); splits share no scene"
        )
    looks = [_look(file_of(folder, "mask", one)) for one in scene.tolist()]
    return Table(
        scene, names, np.array([share for share, _ in looks]), np.array([place for _, place in looks])
    )


def _ids(folder: Path, split: str) -> list[int]:
    """The scenes of a split, as torchgeo reads them."""
    path = folder / SPLIT_FILE
    try:
        return Scenes(folder, split).ids
    except KeyError as error:
        raise DataError(f"{path}: has no column {SPLITS[split]!r}; is it the file of MapInWild?") from error
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(
            f"{path}: column {SPLITS[split]!r} is no list of numbers: {one_line(error)}"
        ) from error


def _look(path: Path) -> tuple[float, tuple[float, float]]:
    """Protected share of a mask (every value but 0, as in torchgeo), and the place of its centre."""
    if not path.exists():
        raise DataError(
            f"{path}: no such mask, and the label comes from it; the copy of mapinwild is not complete"
        )
    with open_raster(path) as source:
        place, unknown = place_of(source, source.width / 2, source.height / 2)
        if unknown:
            raise DataError(f"{path}: where the scene lies is not known ({unknown}); copy the mask again")
        values = read_pixels(source, [1])
    return float(np.mean(np.nan_to_num(values) != 0)), place
