"""Mean and standard deviation of each band over the training images, computed once and stored."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from geomoe.errors import DataError, InputError
from geomoe.reading.raster import open_raster, read_bands
from geomoe.support.plain import from_plain
from geomoe.support.text import counted

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from geomoe.datasets.folder.side_files import SideFiles

log = logging.getLogger(__name__)

FILE = "statistics.json"
_TELL = 10.0  # seconds between messages
MOST = 5000  # limit of images read; of more, a random sample with a fixed seed is used


class Statistics(NamedTuple):
    """Statistics of each band, over pixels that hold data.

    Attributes:
        mean: (bands,) float64 raw values.
        std: (bands,) float64; 1 for a constant band.
        images: number of images read.
        problems: errors of unreadable images, which are excluded from the statistics.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    images: int
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Entry:
    """The side file's entry on one set of images."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    images: int

    def __post_init__(self) -> None:
        """Check that the numbers can be used.

        Raises:
            InputError: they cannot be used.
        """
        if len(self.mean) != len(self.std) or min(self.std, default=0) <= 0:
            raise InputError("expected a mean and a positive deviation for each band")


def measure(
    root: Path,
    filename: NDArray[Any],
    bands: tuple[int, ...],
    count: int,
    files: SideFiles,
    key: str,
    vrt_root: Path | None = None,
) -> Statistics:
    """Return the statistics of these images, from the side file if it has them under ``key``.

    Args:
        root: base folder of the file names.
        filename: (N,) training images.
        bands: band numbers, counted from 1; empty: all.
        count: number of bands of an image.
        files: side files that store the statistics.
        key: hash that changes when the images change.
        vrt_root: folder that must contain all sources of VRTs; None: VRTs are refused.

    Raises:
        DataError: no image can be read, or a band holds no data at all.
    """
    kept = files.read_json(FILE)
    if key in kept:
        try:
            entry = from_plain(_Entry, kept[key])
        except InputError as error:
            where = f"{files.find(FILE)}: damaged ({error})"
            raise DataError(f"{where}; delete it, and it is made again") from error
        if len(entry.mean) == count:
            return Statistics(np.array(entry.mean), np.array(entry.std), entry.images)
    chosen = np.arange(len(filename))
    if len(chosen) > MOST:
        chosen = np.sort(np.random.default_rng(0).choice(len(filename), MOST, replace=False))
    try:
        found = compute((root / filename[number] for number in chosen), bands, count, vrt_root)
    except InputError as error:
        raise DataError(f"{root}: {error}") from error
    if found.problems:  # not stored: the user should fix these images
        text = "statistics: %d of %d training images cannot be read; the first: %s"
        log.warning(text, len(found.problems), len(chosen), found.problems[0])
        return found
    new = {"mean": found.mean.tolist(), "std": found.std.tolist(), "images": found.images}
    path = files.write_json(FILE, {**kept, key: new})
    what = f"{counted(count, 'band')} over {counted(found.images, 'training image')}"
    log.info("statistics of %s, kept in %s", what, path)
    return found


def compute(
    paths: Any,  # noqa: ANN401 - paths, one by one
    bands: tuple[int, ...],
    count: int,
    vrt_root: Path | None = None,
) -> Statistics:
    """Compute mean and standard deviation over every pixel that holds data, in float64 and one pass.

    Raises:
        DataError: no image can be read.
        InputError: a band holds no data at all.
    """
    number, mean, spread = np.zeros(count), np.zeros(count), np.zeros(count)
    images, problems, told = 0, [], time.monotonic()
    for path in paths:
        if time.monotonic() - told > _TELL:
            told = time.monotonic()
            log.info("statistics of the bands: %s by now", counted(images, "image"))
        try:
            with open_raster(path, vrt_root) as source:
                values = read_bands(source, bands, count, path).astype(np.float64)
        except DataError as error:
            problems.append(str(error))
            continue
        images += 1
        for band, pixels in enumerate(values.reshape(count, -1)):
            pixels = pixels[~np.isnan(pixels)]
            if not len(pixels):
                continue
            # Chan's update avoids the cancellation of large sums
            total, shift = number[band] + len(pixels), pixels.mean() - mean[band]
            spread[band] += ((pixels - pixels.mean()) ** 2).sum()
            spread[band] += shift**2 * number[band] * len(pixels) / total
            mean[band] += shift * len(pixels) / total
            number[band] = total
    if not images and problems:
        raise DataError(problems[0])
    if (number == 0).any():
        empty = ", ".join(str(band + 1) for band in np.flatnonzero(number == 0))
        raise InputError(f"band {empty} holds no data in any training image; leave it out with data.bands")
    std = np.sqrt(spread / number)
    return Statistics(mean, np.where(std > 0, std, 1.0), images, tuple(problems))


def spread(values: NDArray[np.float64]) -> dict[str, float] | None:
    """Return median, least and greatest of known values; None if none is known."""
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    numbers = {"median": np.median(known), "min": known.min(), "max": known.max()}
    return {name: float(f"{value:.6g}") for name, value in numbers.items()}
