"""Images that are too large to be read whole: left out with a count, and never an end of training."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import rasterio

from geomoe.datasets.folder.reader import FolderDataModule
from geomoe.errors import DataError
from geomoe.reading import raster
from geomoe.reading.opening import open_raster
from geomoe.reading.raster import over_budget, read_header, read_pixels

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def write(path, side=16, bands=3):
    options = {"dtype": "uint8", "sparse_ok": True, "tiled": True, "compress": "deflate"}
    shape = {"width": side, "height": side, "count": bands, "interleave": "band"}
    shape |= {"photometric": "minisblack", "alpha": "unspecified"}
    with rasterio.open(path, "w", driver="GTiff", **options, **shape) as file:
        if side < 100:
            file.write(np.random.default_rng(side).integers(0, 255, (bands, side, side), dtype=np.uint8))


@pytest.fixture
def folder(tmp_path):
    """12 small images, one of 9000 x 9000 pixels, one of 300 bands of 1000 x 1000 pixels."""
    for number in range(12):
        write(tmp_path / f"{number}.tif", 16 + number)
    write(tmp_path / "scene.tif", 9000)
    write(tmp_path / "bands.tif", 1000, 300)
    names = [f"{number}.tif" for number in range(12)] + ["scene.tif", "bands.tif"]
    split = ["train", "train", "val", "test"] * 3 + ["train", "val"]
    table = pd.DataFrame({"filename": names, "label": ["a", "b"] * 7, "split": split})
    table.to_csv(tmp_path / "t.csv", index=False)
    return tmp_path


def test_they_are_left_out_and_counted(folder, caplog):
    made = FolderDataModule(root=folder, metadata="t.csv")
    skipped = {skip.filename: (skip.row, skip.reason) for skip in made.index.skipped}
    assert skipped == {
        "scene.tif": (13, "81 million pixels are too many for one image (67 million)"),
        "bands.tif": (14, "1.1 GiB of values in 300 bands are too many for one image (1 GiB)"),
    }
    assert "2 of 14 rows are left out, listed in" in caplog.text
    assert len(made.dataset("train")) == 6
    assert made.statistics()[0].shape == (3,)
    assert len(pd.read_csv(folder / "t.csv.geomoe" / "skipped.csv")) == 2


def test_some_bands_of_many_are_read(folder):
    made = FolderDataModule(root=folder, metadata="t.csv", bands=(1, 2, 3))
    assert [skip.filename for skip in made.index.skipped] == ["scene.tif"]
    assert "bands.tif" in made.dataset("val").filenames


def test_blocks_that_cannot_be_decoded_count_as_large(folder, monkeypatch):
    """Images of one huge block are left out, also more of them than faulty rows may be."""
    table = pd.read_csv(folder / "t.csv")
    for name in ("0.tif", "1.tif", "2.tif", "8.tif"):
        with rasterio.open(folder / name, "w", driver="GTiff", width=512, height=512, count=3, dtype="uint8",
                           blockysize=512, interleave="pixel", compress="deflate") as file:  # fmt: skip
            file.write(np.full((3, 512, 512), 7, dtype=np.uint8))
    monkeypatch.setattr(raster, "MOST_BLOCK", 512 * 512 * 3 - 1)
    table.iloc[:12].to_csv(folder / "u.csv", index=False)
    made = FolderDataModule(root=folder, metadata="u.csv")
    assert [skip.filename for skip in made.index.skipped] == ["0.tif", "1.tif", "2.tif", "8.tif"]
    assert all("blocks of 512 x 512 pixels" in skip.reason for skip in made.index.skipped)
    table.iloc[[0, 1, 2]].to_csv(folder / "v.csv", index=False)
    with pytest.raises(DataError, match=r"no image can be read whole; first: 0.tif: blocks of 512"):
        FolderDataModule(root=folder, metadata="v.csv").dataset("train")


def test_nothing_remains(folder):
    table = pd.read_csv(folder / "t.csv")
    table[table["filename"].isin(["scene.tif", "bands.tif"])].to_csv(folder / "u.csv", index=False)
    with pytest.raises(DataError, match=r"no image can be read whole; first: scene.tif: 81 million pixels"):
        FolderDataModule(root=folder, metadata="u.csv").dataset("train")


def test_the_header_tells_what_reading_refuses(tmp_path, monkeypatch):
    write(tmp_path / "x.tif", 16, 4)
    monkeypatch.setattr(raster, "MOST_BYTES", 16 * 16 * 4 * 4)
    for limit, refused in ((16 * 16, False), (16 * 16 - 1, True)):
        monkeypatch.setattr(raster, "MOST_PIXELS", limit)
        head = read_header(tmp_path / "x.tif")
        assert bool(over_budget(head.height * head.width, head.bands)) is refused
        with open_raster(tmp_path / "x.tif") as source:
            if refused:
                with pytest.raises(DataError, match="too many for one image"):
                    read_pixels(source)
            else:
                assert read_pixels(source).shape == (4, 16, 16)
    monkeypatch.setattr(raster, "MOST_PIXELS", 16 * 16)
    monkeypatch.setattr(raster, "MOST_BYTES", 16 * 16 * 4 * 4 - 1)
    assert over_budget(16 * 16, 4)
    assert not over_budget(16 * 16, 3)
