"""World files beside an image: what is read, and the reason where nothing is."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from PIL import Image

from geomoe.reading.raster import read_header

SOUND = ("10.0", "0.0", "0.0", "-10.0", "500005.0", "4999995.0")
OWN = rasterio.Affine(10, 0, 300000, 0, -10, 5000000)
FAULT = "that is not six lines with a number each"


def raster(path, **more):
    with rasterio.open(path, "w", driver="GTiff", width=8, height=8, count=1, dtype="uint8", **more) as made:
        made.write(np.ones((1, 8, 8), dtype=np.uint8))
    return path


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (SOUND, ""),
        ([line.replace(".", ",") for line in SOUND], ""),  # GDAL reads decimal commas
        (["1.0e1", "0", "0", "-1E+1", "500005", "4999995"], ""),
        ([*SOUND[:4], "500,005.0", "4,999,995.0"], FAULT),  # GDAL reads 500 and 4
        ([*SOUND[:4], "500005.0 m", "4999995.0 m"], FAULT),
        (["hello", "world"], FAULT),
        (SOUND[:5], FAULT),
        ([], FAULT),
        (["0"] * 6, FAULT),
    ],
)
@pytest.mark.parametrize("end", [".tfw", ".TFW", ".wld"])
def test_a_world_file_gives_the_place_or_is_the_reason(lines, reason, end, tmp_path):
    image = raster(tmp_path / "a.tif", crs="EPSG:32632")
    (tmp_path / f"a{end}").write_text("\n".join(lines), encoding="latin-1")

    header = read_header(image)

    if reason:
        assert header.unknown == f"a world file ({end}) {reason}"
        assert np.isnan([header.lon, header.lat, *header.corners, header.metres]).all()
    else:
        own = rasterio.Affine(10, 0, 500000, 0, -10, 5000000)  # corners, where world files name pixel middles
        assert header == read_header(raster(tmp_path / "own.tif", crs="EPSG:32632", transform=own))
        assert not np.isnan(header.lon)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_picture_names_its_world_file_and_without_a_crs_the_crs(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "a.pgw").write_text("10;0;0;-10;5;5")
    assert read_header(tmp_path / "a.png").unknown == f"a world file (.pgw) {FAULT}"
    (tmp_path / "a.pgw").write_text("\n".join(SOUND))
    assert read_header(tmp_path / "a.png").unknown == "no CRS"


def test_a_georeference_of_its_own_counts_where_the_world_file_is_damaged(tmp_path):
    image = raster(tmp_path / "a.tif", crs="EPSG:32632", transform=OWN)
    before = read_header(image)
    (tmp_path / "a.tfw").write_bytes(b"\0\1\2" * 50)
    assert read_header(image) == before
    assert not before.unknown
