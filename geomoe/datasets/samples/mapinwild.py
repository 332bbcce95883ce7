"""A small MapInWild in the layout that torchgeo's class downloads, with the known pitfalls.

Layout and types are those of ``torchgeo.datasets.MapInWild`` (0.8 and 0.10): a column of ids for each split,
of unequal lengths, so that ids are floats; masks of 0 to 3; images in two parts, merged or not. Pitfalls:

- the three columns of the table are not equally long, and its first column has no name;
- half of the images lie in ``s2_summer_part1`` and the others in ``s2_summer_part2`` alone;
- every scene has the UTM zone of its own place as CRS, some on the southern half of the Earth;
- masks with shares of protected area from none to all, including exactly one half;
- a scene in the sea near a coast.

Protected land is greener and darker than the rest, so that a network can learn the classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.transform import Affine
from rasterio.warp import transform

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIDE = 32  # pixels of 10 m; the real scenes have 1,920
COUNTS = {"train": 40, "validation": 15, "test": 20}
#: lon, lat and the region that the nearest land lies in.
PLACES = (
    (100.5, 35.2, "Asia"), (78.1, 21.7, "Asia"), (9.6, 47.2, "Europe"), (-4.1, 40.3, "Europe"),
    (36.9, 0.4, "Africa"), (24.0, -19.5, "Africa"), (-60.2, -3.1, "Americas"), (-110.6, 44.6, "Americas"),
    (133.9, -23.7, "Oceania"), (146.5, -41.9, "Oceania"), (12.6, -17.2, "Africa"), (11.55, -17.2, "Africa"),
)  # fmt: skip


def write(folder: Path, seed: int = 0) -> None:
    """Write ``folder/mapinwild``: 75 scenes of 32 pixels, under 3 MB.

    Args:
        folder: made if it does not exist.
        seed: seed of the pixels.
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    root = folder / "mapinwild"
    for name in ("mask", "s2_summer_part1", "s2_summer_part2"):
        (root / name).mkdir(parents=True, exist_ok=True)
    first, columns = 555_500_001, {}
    for split, count in COUNTS.items():
        columns[split] = pd.Series(range(first, first + count), dtype=float)
        first += 1000
    pd.DataFrame(columns).to_csv(root / "split_IDs.csv")
    for number, scene in enumerate(int(one) for ids in columns.values() for one in ids):
        lon, lat, _ = PLACES[number % len(PLACES)]
        mask = _mask((number % 9) / 8, rng)
        part = f"s2_summer_part{1 + number % 2}"
        place = (lon + rng.uniform(-0.05, 0.05), lat + rng.uniform(-0.05, 0.05))
        _write(root / "mask" / f"{scene}.tif", mask[None], place)
        _write(root / part / f"{scene}.tif", _image(mask, rng), place)


def _mask(share: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The lower rows are protected, in one of the three categories."""
    mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
    mask[SIDE - round(share * SIDE) :] = rng.integers(1, 4)
    return mask


def _image(mask: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint16]:
    """Ten bands of reflectance times 10,000: bright bare land, and dark green protected land."""
    bare = np.array([1200, 1500, 1800, 2000, 2200, 2300, 2400, 2500, 3000, 2600])
    green = np.array([300, 600, 350, 900, 2300, 2800, 3000, 3100, 1600, 800])
    colour = np.where(mask[None] > 0, green[:, None, None], bare[:, None, None])
    return (colour + rng.normal(0, 60, size=colour.shape)).clip(1, 10_000).astype(np.uint16)


def _write(path: Path, values: NDArray[np.generic], lonlat: tuple[float, float]) -> None:
    zone = int((lonlat[0] + 180) // 6) + 1
    crs = CRS.from_epsg((32600 if lonlat[1] >= 0 else 32700) + zone)
    (x,), (y,) = transform("EPSG:4326", crs, [lonlat[0]], [lonlat[1]])
    corner = Affine(10, 0, x - SIDE * 5, 0, -10, y + SIDE * 5)
    shape = {"count": len(values), "height": SIDE, "width": SIDE}
    options = {
        "driver": "GTiff",
        "dtype": values.dtype,
        "crs": crs,
        "transform": corner,
        "compress": "deflate",
    }
    with rasterio.open(path, "w", **shape, **options) as file:
        file.write(values)
