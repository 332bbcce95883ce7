"""Images that would take more memory than one image may, and files that are not asked again and again."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio

from geomoe.errors import DataError, DownloadError
from geomoe.inference.answers import write_answers
from geomoe.reading import opening, raster
from geomoe.reading.opening import GIVE_UP, KeptOpen, open_raster
from geomoe.reading.raster import read_header, read_pixels
from geomoe.support.cells import safe_cell


def write(path, bands=3, side=16, **options):
    with rasterio.open(
        path, "w", driver="GTiff", width=side, height=side, count=bands, dtype="uint8", **options
    ) as file:
        file.write(np.full((bands, side, side), 7, dtype=np.uint8))
    return path


def test_bands_are_counted(tmp_path, monkeypatch):
    path = write(tmp_path / "x.tif", bands=30)
    monkeypatch.setattr(raster, "MOST_BYTES", 16 * 16 * 4 * 29)
    with open_raster(path) as source:
        assert read_pixels(source, range(1, 30)).shape == (29, 16, 16)
        assert read_pixels(source, window=(0, 0, 15, 15)).shape == (30, 15, 15)
        with pytest.raises(DataError, match="in 30 bands are too many for one image"):
            read_pixels(source)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_small_file_that_says_it_is_huge(tmp_path):
    path = tmp_path / "x.tif"
    options = {"driver": "GTiff", "dtype": "uint8", "sparse_ok": True, "compress": "deflate"}
    with rasterio.open(path, "w", width=8000, height=8000, count=200, interleave="band", **options):
        pass
    assert path.stat().st_size < 30_000_000
    with open_raster(path) as source, pytest.raises(DataError, match=r"47\.7 GiB of values in 200 bands"):
        read_pixels(source)


def test_blocks_that_are_decoded_whole(tmp_path, monkeypatch):
    path = write(tmp_path / "x.tif", side=64, compress="deflate", blockysize=64, interleave="pixel")
    monkeypatch.setattr(raster, "MOST_BLOCK", 64 * 64 * 3 - 1)
    with pytest.raises(DataError, match="blocks of 64 x 64 pixels have to be decoded whole"):
        read_header(path)
    monkeypatch.setattr(raster, "MOST_BLOCK", 64 * 64 * 3)
    assert read_header(path).bands == 3


def test_a_file_that_cannot_be_opened_is_tried_once(tmp_path, monkeypatch):
    path, tried = tmp_path / "x.tif", []
    path.write_bytes(b"II*\0 nothing")
    check = opening._check
    monkeypatch.setattr(opening, "_check", lambda *given: tried.append(1) or check(*given))
    files = KeptOpen()
    for _ in range(100):
        with pytest.raises(DataError, match="unreadable image"), files.open(path):
            pass
    assert len(tried) == 1
    with files.open(write(tmp_path / "y.tif")) as source:
        assert source.count == 3


def test_a_file_whose_tiles_all_fail_is_given_up(tmp_path):
    path, asked, files = write(tmp_path / "x.tif"), [], KeptOpen()

    def ask(good):
        with files.open(path) as source:
            asked.append(good)
            read_pixels(source, () if good else (9,))

    for good in [False, True, *[False] * 100]:
        if good:
            ask(good)
        else:
            with pytest.raises(DataError, match=r"has 3 bands; data\.bands asks for 9"):
                ask(good)
    assert len(asked) == 2 + GIVE_UP


def test_memory_that_is_not_there(tmp_path):
    path = write(tmp_path / "x.tif")
    with pytest.raises(DataError, match="needs more memory than there is"), open_raster(path):
        raise MemoryError


@pytest.mark.parametrize("cell", ["=1+1", "+1+A1", "-A1", "-1\n", "@SUM(A1)", "\t=1", "\r=1"])
def test_formulas_are_quoted(cell):
    assert safe_cell(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["a=1", "", -1.5, None, "1-2", "-3", "+1.5e-3"])
def test_other_cells_stay(cell):
    assert safe_cell(cell) == cell


@pytest.mark.parametrize("safe", [True, False])
def test_predictions_in_a_csv(tmp_path, safe):
    rows = [{"filename": "=cmd|x", "class": "@a", "lon": -5.0}]
    layout = SimpleNamespace(columns=list(rows[0]), rows=lambda items, journal: iter(rows))
    write_answers([], None, layout, tmp_path / "o.csv", safe_csv=safe)
    (found,) = csv.DictReader((tmp_path / "o.csv").open())
    mark = "'" if safe else ""
    assert found == {"filename": f"{mark}=cmd|x", "class": f"{mark}@a", "lon": "-5.0"}


def test_points_in_a_csv(tmp_path, capsys):
    from geomoe.cli import main

    (tmp_path / "in.csv").write_text("=name,lon,lat\n+1,-3,4\n")
    words = ["encode", str(tmp_path / "in.csv"), "--encoder", "wrap", "--output", str(tmp_path / "o.csv")]
    assert main([*words, "--safe-csv"]) == 0
    (found,) = csv.DictReader((tmp_path / "o.csv").open())
    assert "'=name" in found
    assert found["lon"].startswith("-3")


def test_a_download_without_length_ends(server, tmp_path, monkeypatch):
    from geomoe.fetching import transfer
    from geomoe.fetching.digests import Digest
    from geomoe.fetching.partial import Partial

    server.lengths = False
    url = server.serve("/x", bytes(3_000_000))
    monkeypatch.setattr(transfer, "MOST_UNKNOWN", 1_000_000)
    place = tmp_path / "new" / "x.bin"
    with (
        pytest.raises(DownloadError, match="longer than 1,000,000 bytes"),
        Partial(place, Digest("sha256", "0" * 64)) as partial,
    ):
        transfer.receive(transfer.Remote(url), partial, lambda done, total: None)
    assert not place.parent.exists()
