"""A small folder of images and points, with the common pitfalls of such folders.

``images/`` holds 4-band 16-bit GeoTIFFs in four CRSs. ``georeferenced.csv`` has only labels (places come from
the images), ``points.csv`` has lon, lat, domain and timestamp, ``points.parquet`` has points in EPSG:3857,
``clean.csv`` has a split column and no pitfalls.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.transform import from_origin
from rasterio.warp import transform

PIXELS, BANDS, NODATA = 24, 4, 0
#: Class -> mean of each band of a 12-bit sensor: blue, green, red, near infrared.
CLASSES = {
    "crops, irrigated": (500, 900, 800, 3000),
    "forêt": (300, 500, 350, 2400),
    "sand": (1500, 2000, 2600, 3000),
}
#: Domain -> CRS of its images, the corner (lon, lat) around which they lie, and metres or degrees per pixel.
DOMAINS = {
    "degrees": ("EPSG:4326", (10.0, 48.0), 0.0005),
    "utm": ("EPSG:32719", (-70.0, -33.0), 50.0),
    "mercator": ("EPSG:3857", (77.0, 20.0), 50.0),
    "polar": ("EPSG:3413", (-45.0, 70.0), 50.0),
}
EACH = 18  # images in a domain


class Image(NamedTuple):
    """One image that was written."""

    filename: str
    label: str
    lon: float
    lat: float
    domain: str


def write(folder: Path, seed: int = 0) -> None:
    """Write the images and the four tables.

    Args:
        folder: made if it does not exist.
        seed: seed of places and pixels.
    """
    rng = np.random.default_rng(seed)
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    made = [_image(images, rng, domain, number) for domain in DOMAINS for number in range(EACH)]
    _traps(folder, made)
    rows = [(image.filename, image.label) for image in made]
    broken = [("images/empty.tif", "sand"), ("images/half.tif", "sand"), ("images/missing.tif", "sand")]
    _write(folder / "georeferenced.csv", ("filename", "label"), [*rows[:3], *broken, *rows[3:], rows[5]])
    _write_points(folder, made)
    splits = ["train", "train", "train", "val", "test", "test"]
    clean = [(*image, splits[number // 3 % 6]) for number, image in enumerate(made)]
    _write(folder / "clean.csv", ("filename", "label", "lon", "lat", "domain", "split"), clean)
    _write_parquet(folder / "points.parquet", made)


def _image(images: Path, rng: np.random.Generator, domain: str, number: int) -> Image:
    crs, (lon, lat), pixel = DOMAINS[domain]
    label = list(CLASSES)[number % len(CLASSES)]
    lon, lat = lon + rng.uniform(-3, 3), lat + rng.uniform(-3, 3)
    (x,), (y,) = transform("EPSG:4326", crs, [lon], [lat])
    half = PIXELS / 2 * pixel
    values = rng.normal(np.array(CLASSES[label])[:, None, None], 120, (BANDS, PIXELS, PIXELS))
    values = np.clip(values, 1, 4095).astype(np.uint16)
    if number % 5 == 0:
        values[:, :7, :5] = NODATA  # a corner outside the swath
    name = f"{domain} {number:02d}.tif" if number % 2 else f"{domain}_{number:02d}.TIF"
    corner = from_origin(x - half, y + half, pixel, pixel)
    _write_tif(images / name, values, crs=CRS.from_string(crs), transform=corner, nodata=NODATA)
    return Image(f"images/{name}", label, lon, lat, domain)


def _write_tif(path: Path, values: np.ndarray, **georeference: Any) -> None:  # noqa: ANN401 - rasterio's own
    count, height, width = values.shape
    shape = {"count": count, "height": height, "width": width, "dtype": values.dtype}
    with rasterio.open(path, "w", driver="GTiff", compress="deflate", **shape, **georeference) as file:
        file.write(values)


def _traps(folder: Path, made: list[Image]) -> None:
    """Write files that a careless reader would accept as images, or as complete images."""
    whole = (folder / made[0].filename).read_bytes()
    (folder / "images/empty.tif").write_bytes(b"")
    (folder / "images/half.tif").write_bytes(whole[: len(whole) // 2])
    for name in (".ipynb_checkpoints/copy-checkpoint.tif", "__MACOSX/._copy.tif"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(whole if "copy-" in name else b"\0\5\x16\7")
    # three bands among four, and a georeference without a CRS
    values = np.full((3, PIXELS, PIXELS), 900, np.uint16)
    _write_tif(folder / "images/three bands.tif", values, transform=from_origin(5, 5, 1, 1))


def _write_points(folder: Path, made: list[Image]) -> None:
    """Write ``points.csv``: an unknown place, an empty domain, invalid rows, and three time formats."""
    times = ("2021-05-31T10:15:00Z", "2021-05-31T10:15:00.250Z", "2021-05-31")
    rows = [
        [image.filename, image.label, f"{image.lon:.6f}", f"{image.lat:.6f}", image.domain, times[number % 3]]
        for number, image in enumerate(made)
    ]
    rows[4][2:4] = ["", ""]
    rows[7][4] = ""
    rows[8][2] = "12,5"  # a decimal comma: no number
    rows[9][3] = "95.0"  # beyond the pole
    rows.append(["images/three bands.tif", "sand", "5", "5", "utm", times[0]])
    _write(folder / "points.csv", ("filename", "label", "lon", "lat", "domain", "timestamp"), rows)


def _write(path: Path, header: tuple[str, ...], rows: list[Any]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def _write_parquet(path: Path, made: list[Image]) -> None:
    import geopandas

    columns = {"filename": [image.filename for image in made], "label": [image.label for image in made]}
    points = geopandas.points_from_xy(
        [image.lon for image in made], [image.lat for image in made], crs="EPSG:4326"
    )
    geopandas.GeoDataFrame(columns, geometry=points.to_crs("EPSG:3857")).to_parquet(path, index=False)
