"""The index of the embedded data set: the place, class and split of each sample.

The index is a small file inside the package, made by ``tools/make_bluemarble_index.py``. This module
defines the benchmark (classes, regions, geometry, the split rule) and needs only numpy.
"""

from __future__ import annotations

import gzip
import hashlib
import io
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geomoe.errors import ConfigError, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Class names; a label is a position in this tuple.
CLASSES = (
    "Evergreen needleleaf forest",
    "Evergreen broadleaf forest",
    "Deciduous broadleaf forest",
    "Mixed forest",
    "Shrubland",
    "Woody savanna",
    "Savanna",
    "Grassland",
    "Wetland",
    "Cropland",
    "Snow and ice",
    "Barren",
)
#: MODIS IGBP codes merged in each class, in the order of CLASSES. Water, deciduous needleleaf forest (3)
#: and urban (13) are not classes: too few samples pass the purity rule.
IGBP_CODES = ((1,), (2,), (4,), (5,), (6, 7), (8,), (9,), (10,), (11,), (12, 14), (15,), (16,))
#: Region names, as in FMoW; a domain id is a position in this tuple.
REGIONS = ("Asia", "Europe", "Africa", "Americas", "Oceania")

PIXELS_PER_DEGREE = 15  # the image's own resolution: 5400 x 2700 pixels
IMAGE_SHAPE = (2700, 5400)
CROP = 32  # pixels on a side of a sample: 2.13 degrees
LABEL_DEGREES = 0.5  # the label is the majority class of this central square
BLOCK_DEGREES = 6  # each sample lies completely in one block, and each block in one split
SOUTH, NORTH = -57.0, 72.0  # range of the sample centres: no Antarctica, no high Arctic
#: Declared splits. Their test parts are disjoint quarters of the blocks, so every block is tested once.
SPLIT_SEEDS = (0, 1, 2, 3)
#: Share of the blocks of every region (and, as far as blocks allow, of the samples of every class).
SPLIT_SHARES = {"train": 0.55, "val": 0.20, "test": 0.25}
INDEX_FILE = "bluemarble.csv.gz"
COLUMNS = ("lon", "lat", "label", "region", "block", *(f"split_{seed}" for seed in SPLIT_SEEDS))


class Index(NamedTuple):
    """One row for each sample.

    Attributes:
        lonlat: (N, 2) float64 degrees of the centre, a corner of four pixels.
        label: (N,) int64 position in CLASSES.
        region: (N,) int64 position in REGIONS.
        block: (N,) int64 block id: row * 60 + column of the 6-degree grid, from (180 W, 90 N).
        split: (N, seeds) int64 position in SPLIT_SHARES for each declared split seed (0 train, 1 val,
            2 test); all samples of a block share it.
        sha256: hash of the uncompressed table.
    """

    lonlat: NDArray[np.float64]
    label: NDArray[np.int64]
    region: NDArray[np.int64]
    block: NDArray[np.int64]
    split: NDArray[np.int64]
    sha256: str

    def corners(self) -> NDArray[np.int64]:
        """Return (N, 2) row and column of each sample's top-left pixel in the image."""
        column = np.rint((self.lonlat[:, 0] + 180) * PIXELS_PER_DEGREE).astype(np.int64)
        row = np.rint((90 - self.lonlat[:, 1]) * PIXELS_PER_DEGREE).astype(np.int64)
        return np.stack([row, column], axis=1) - CROP // 2


@cache
def load_index() -> Index:
    """Read the index that ships with the package (once per process; arrays are read-only).

    Raises:
        DataError: the file is damaged: reinstall geomoe.
    """
    source = files("geomoe.datasets.bluemarble") / "assets" / INDEX_FILE
    try:
        return parse_index(gzip.decompress(source.read_bytes()))
    except (OSError, EOFError, ValueError) as error:
        msg = f"{source}: the bluemarble index cannot be read ({error}); reinstall geomoe"
        raise DataError(msg) from error


def parse_index(table: bytes) -> Index:
    """Parse the index from the uncompressed CSV table (comment lines start with #)."""
    lines = [line for line in table.decode("ascii").splitlines() if not line.startswith("#")]
    if not lines or tuple(lines[0].split(",")) != COLUMNS:
        msg = f"expected the columns {','.join(COLUMNS)}; got {lines[0] if lines else 'nothing'!r}"
        raise ValueError(msg)
    rows = np.loadtxt(io.StringIO("\n".join(lines[1:])), delimiter=",", ndmin=2)
    lonlat, ids = rows[:, :2].copy(), rows[:, 2:].astype(np.int64)
    label, region, block, split = *ids[:, :3].T.copy(), ids[:, 3:].copy()
    for array in (lonlat, label, region, block, split):
        array.flags.writeable = False
    return Index(lonlat, label, region, block, split, hashlib.sha256(table).hexdigest())


def region_id(name: str) -> int:
    """Return the position of a region in REGIONS.

    Raises:
        ConfigError: the region is unknown; the message lists the valid ones.
    """
    if name not in REGIONS:
        msg = f"data.held_out: no region {name!r} in bluemarble; choose one of {', '.join(REGIONS)}"
        raise ConfigError(msg)
    return REGIONS.index(name)


def select(
    index: Index, split: str, *, split_seed: int = 0, held_out: str | None = None
) -> NDArray[np.int64]:
    """Return the rows of the index in a split under a protocol, ascending.

    Args:
        index: the index.
        split: train, val, test, or held_out (the held-out region's part of test).
        split_seed: one of SPLIT_SEEDS.
        held_out: region that train and val leave out; test keeps every region.

    Raises:
        ConfigError: unknown split, seed or region, or split held_out without a region.
    """
    left_out = None if held_out is None else region_id(held_out)
    if split_seed not in SPLIT_SEEDS:
        msg = f"data.split_seed: bluemarble declares {', '.join(map(str, SPLIT_SEEDS))}; got {split_seed!r}"
        raise ConfigError(msg)
    if split not in (*SPLIT_SHARES, "held_out"):
        msg = f"split: expected train, val, test or held_out; got {split!r}"
        raise ConfigError(msg)
    if split == "held_out" and left_out is None:
        msg = "split: 'held_out' needs a region: set data.held_out to one of " + ", ".join(REGIONS)
        raise ConfigError(msg)
    part = list(SPLIT_SHARES).index("test" if split == "held_out" else split)
    chosen = index.split[:, SPLIT_SEEDS.index(split_seed)] == part
    if split == "held_out":
        chosen &= index.region == left_out
    elif left_out is not None and split != "test":
        chosen &= index.region != left_out
    return np.flatnonzero(chosen)
