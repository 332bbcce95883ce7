"""A small FMoW in the layout of WILDS v1.1, with all known pitfalls of the real one.

File names, columns and their order are those of WILDS' ``process_metadata_fmow.py`` and those that its
``FMoWDataset`` opens; the mapping of countries has the columns of the ISO 3166 list that WILDS ships.
Pitfalls:

- rows of the sequestered part lie between the others, so that a row's number is not its position among these;
- some stamps have milliseconds, the first of them far down the table;
- stamps lie on both sides of each New Year at which splits change, in every original part;
- rows that are in no split: train rows from 2013 on, val rows from 2016 on, test rows of 2013 to 2015;
- countries that the mapping does not know (one of them empty), Namibia (alpha-2 NA), Antarctica (no region);
- a stale ``region`` column (WILDS does not read it either);
- footprints across the antimeridian with the plain mean of their corners as longitude, and places at +-180;
- a place in the sea far from the country of its code, because a minus sign is missing;
- quoted text with commas; images that are not RGB.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from geomoe.datasets.fmow_names import CATEGORIES

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "fmow_v1.1"
COLUMNS = (
    *("split", "img_filename", "img_path", "spatial_reference", "epsg", "category", "visible", "img_width"),
    *("img_height", "country_code", "cloud_cover", "timestamp", "lat", "lon", "region"),
)
ROWS = 360
FIRST_FRACTION = 120  # row of the first stamp with milliseconds
BOUNDARIES = (
    *("2012-12-31T23:59:59Z", "2012-12-31T23:59:59.999Z", "2013-01-01T00:00:00Z", "2013-01-01T00:00:00.000Z"),
    *("2015-12-31T23:59:59Z", "2015-12-31T23:59:59.999Z", "2016-01-01T00:00:00Z", "2016-01-01T00:00:00.001Z"),
)
WKT = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],'
    'AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433],AUTHORITY["EPSG","4326"]]'
)


class Country(NamedTuple):
    """A line of the mapping, and a place in the country (lon, lat) around which its images are spread."""

    name: str
    alpha2: str
    alpha3: str
    number: str
    region: str
    sub_region: str
    place: tuple[float, float]
    spread: float = 0.5  # degrees, standard deviation


COUNTRIES = (
    Country("China", "CN", "CHN", "156", "Asia", "Eastern Asia", (113.0, 34.0)),
    Country("India", "IN", "IND", "356", "Asia", "Southern Asia", (78.0, 22.0)),
    Country("Turkey", "TR", "TUR", "792", "Asia", "Western Asia", (33.0, 39.0)),
    Country("France", "FR", "FRA", "250", "Europe", "Western Europe", (2.5, 47.0)),
    Country("Russian Federation", "RU", "RUS", "643", "Europe", "Eastern Europe", (38.0, 55.0)),
    Country("Åland Islands", "AX", "ALA", "248", "Europe", "Northern Europe", (20.0, 60.2), 0.1),
    Country("Egypt", "EG", "EGY", "818", "Africa", "Northern Africa", (31.0, 29.5)),
    Country("Namibia", "NA", "NAM", "516", "Africa", "Sub-Saharan Africa", (17.0, -22.5)),
    Country("Brazil", "BR", "BRA", "076", "Americas", "Latin America and the Caribbean", (-47.0, -16.0)),
    Country("United States of America", "US", "USA", "840", "Americas", "Northern America", (-98.0, 39.0)),
    Country("Australia", "AU", "AUS", "036", "Oceania", "Australia and New Zealand", (148.0, -33.0)),
    Country("Fiji", "FJ", "FJI", "242", "Oceania", "Melanesia", (178.0, -17.8), 0.1),
    Country("Antarctica", "AQ", "ATA", "010", "", "", (166.7, -77.8)),
)
# Share of a part's rows before 2013, and the years since 2002 of the others.
_YEARS = {"train": (0.85, 11, 16), "val": (0.4, 11, 15), "test": (0.35, 13, 16), "seq": (0.5, 11, 16)}
_SEEN = COUNTRIES[:-1]  # Antarctica comes once, by hand
_CLASSES = tuple(CATEGORIES.index(name) for name in ("airport", "crop_field", "port", "stadium", "zoo"))


def write(folder: Path, seed: int = 0) -> None:
    """Write ``fmow_v1.1`` into a folder: 360 rows and their images, 5 of the 62 classes, under 3 MB.

    Args:
        folder: made if it does not exist.
        seed: seed of everything random.
    """
    target = folder / FOLDER
    (target / "images").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rows = _rows(rng)
    with (target / "rgb_metadata.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    _write_mapping(target / "country_code_mapping.csv")
    (target / "RELEASE_v1.1.txt").write_text("", encoding="utf-8")
    for number, row in enumerate(rows):
        image = _image(rng, CATEGORIES.index(row["category"]), row["country_code"])
        mode = {7: "RGBA", 8: "L", 9: "P"}.get(number, "RGB")
        image.convert(mode).save(target / "images" / f"rgb_img_{number}.png")


def _rows(rng: np.random.Generator) -> list[dict[str, Any]]:
    parts = rng.permutation(np.repeat(("train", "val", "test", "seq"), (190, 70, 70, 30)))
    rows = [_row(rng, str(part), number) for number, part in enumerate(parts)]
    by_part = {part: [n for n in range(FIRST_FRACTION, ROWS) if parts[n] == part] for part in set(parts)}
    for numbers in by_part.values():  # the turns of the year, in every part, sequestered rows too
        for number, stamp in zip(numbers, BOUNDARIES, strict=False):
            rows[number]["timestamp"] = stamp
    special: list[dict[str, Any]] = [
        {"country_code": "ATA", "lon": 166.7, "lat": -77.8, "region": ""},
        {"country_code": "XKX", "lon": 21.2, "lat": 42.6, "region": "Other"},
        {"country_code": "", "lon": 0.0, "lat": 0.0, "region": "Other"},
        {"country_code": "NAM", "lon": 15.1, "lat": -22.9, "region": "Asia"},  # stale
        {"country_code": "FJI", **_across(rng, 180.01, -16.8), "region": "Oceania"},
        {"country_code": "FJI", **_across(rng, 179.98, -16.2), "region": "Oceania"},
        {"country_code": "RUS", **_across(rng, 180.02, 68.9), "region": "Europe"},
        {"country_code": "FJI", "lon": 180.0, "lat": -16.1, "region": "Oceania"},
        {"country_code": "FJI", "lon": -179.9, "lat": -16.0, "region": "Oceania"},
        {"country_code": "AUS", "lon": 148.0, "lat": 33.0, "region": "Oceania"},  # the sign is lost
    ]
    # Antarctica is only in the training part: WILDS would score it as a separate region.
    for number, change in zip(by_part["train"][len(BOUNDARIES) :], special, strict=False):
        rows[number].update(change, timestamp="2010-05-17T08:30:00Z")
    for number, change in zip(by_part["test"][len(BOUNDARIES) :], special[1:], strict=False):
        rows[number].update(change, timestamp="2016-11-05T10:07:31.500Z")
    return rows


def _row(rng: np.random.Generator, part: str, number: int) -> dict[str, Any]:
    country = _SEEN[number % len(_SEEN)]
    category = CATEGORIES[int(rng.choice(_CLASSES))]
    early, since, until = _YEARS[part]
    years = (0, 11) if rng.random() < early else (since, until)
    days = rng.integers(365 * years[0], 365 * years[1])
    stamp = datetime(2002, 1, 2, tzinfo=UTC) + timedelta(days=int(days), seconds=int(rng.integers(86_400)))
    fraction = ".643Z" if number >= FIRST_FRACTION and number % 5 == 0 else "Z"
    lon, lat = np.array(country.place) + rng.normal(0, country.spread, 2).round(6)
    name = f"{category}_{number}"
    return {
        "split": part,
        "img_filename": f"{name}_0_rgb.tif",
        "img_path": f"{part}/{category}/{name}/{name}_0_rgb.jpg",
        "spatial_reference": WKT,
        "epsg": 4326,
        "category": category,
        "visible": bool(rng.random() < 0.9),
        "img_width": int(rng.integers(300, 3000)),
        "img_height": int(rng.integers(300, 3000)),
        "country_code": country.alpha3,
        "cloud_cover": int(rng.integers(0, 40)),
        "timestamp": stamp.strftime("%Y-%m-%dT%H:%M:%S") + fraction,
        "lat": float(lat),
        "lon": float(lon),
        "region": country.region,
    }


def _across(rng: np.random.Generator, lon: float, lat: float) -> dict[str, float]:
    """The plain mean of the corners of a rectangle that crosses the antimeridian, as in FMoW's table."""
    half = rng.uniform(0.03, 0.05, 2)
    ring = [(-1, 1), (1, 1), (1, -1), (-1, -1), (-1, 1)]  # closed: the first corner comes twice
    lons = [lon + east * half[0] for east, _ in ring]
    return {
        "lon": float(np.mean([value - 360 if value > 180 else value for value in lons])),
        "lat": float(np.mean([lat + north * half[1] for _, north in ring])),
    }


def _write_mapping(path: Path) -> None:
    head = ("name", "alpha-2", "alpha-3", "country-code", "iso_3166-2", "region", "sub-region")
    more = ("intermediate-region", "region-code", "sub-region-code", "intermediate-region-code")
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([*head, *more])
        for one in COUNTRIES:
            first = [one.name, one.alpha2, one.alpha3, one.number, f"ISO 3166-2:{one.alpha2}"]
            table.writerow([*first, one.region, one.sub_region, "", "", "", ""])


def _image(rng: np.random.Generator, label: int, code: str) -> Image.Image:
    """Stripes whose width tells the class, in a colour that depends on class and country."""
    order = _CLASSES.index(label)
    y, x = np.mgrid[:56, :56]
    wave = np.sin((x + y * (order % 2)) * (order + 1) / 3 + rng.uniform(0, 6.28))
    tint = np.random.default_rng(sum(map(ord, code))).uniform(0.6, 1.0, 3)
    colour = np.array([60 + 35 * order, 200 - 35 * order, 90 + 60 * (order % 3)]) * tint
    pixels = colour + 40 * wave[..., None] + rng.normal(0, 8)
    coarse = np.clip(pixels, 0, 255).astype(np.uint8)
    return Image.fromarray(coarse.repeat(4, axis=0).repeat(4, axis=1))
