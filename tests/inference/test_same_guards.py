"""What training refuses, prediction refuses, and what both read is the same to the last bit."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin

from geomoe.datasets.folder.statistics import compute
from geomoe.errors import DataError
from geomoe.inference import load
from geomoe.inference.files import predict_files
from geomoe.inference.inputs import Images
from geomoe.inference.scene import open_scene
from geomoe.inference.tiles import Item
from geomoe.reading.raster import load_image, read_header

SIDE = 16
FILL = np.array([7, 8, 9], dtype=np.float32)


def write(path, values, **options):
    values = np.asarray(values)
    shape = {"count": len(values), "height": values.shape[1], "width": values.shape[2]}
    place = {"crs": "EPSG:4326", "transform": from_origin(10, 50, 0.01, 0.01)}
    with rasterio.open(path, "w", driver="GTiff", dtype=values.dtype, **shape, **place, **options) as file:
        file.write(values)
    return path


def ramp(bands=3, dtype="uint8"):
    return (np.arange(bands * SIDE * SIDE) % 200).astype(dtype).reshape(bands, SIDE, SIDE)


def made(name, folder):
    """One file of each kind on which two readers could disagree."""
    path, kind = folder / f"{name}.tif", np.dtype(name) if name in np.sctypeDict else None
    if kind is not None:
        return write(path, ramp(dtype=kind))
    if name == "transparent":
        with rasterio.open(write(path, ramp(4)), "r+") as file:
            file.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
        return path
    if name == "one complex band":
        return write(path, np.stack([ramp(1, "complex64")[0]] * 3))
    if name in ("nodata", "nowhere data"):
        return write(path, np.zeros_like(ramp()) if name == "nowhere data" else ramp(), nodata=0)
    if name in ("not a number", "some not a number"):
        values = np.full((3, SIDE, SIDE), np.nan, np.float32)
        values[:, : SIDE // 2] = np.nan if name == "not a number" else 3
        return write(path, values)
    if name == "masked":
        with rasterio.open(write(path, ramp()), "r+") as file:
            file.write_mask(np.zeros((SIDE, SIDE), np.uint8))
        return path
    if name in ("two bands", "one band"):
        return write(path, ramp(2 if name == "two bands" else 1))
    picture = Image.fromarray(np.moveaxis(ramp(), 0, -1))
    path = path.with_suffix(".png")
    if name == "16-bit grey":
        Image.fromarray(ramp(1, "uint16")[0] * 300).save(path)
    else:
        picture.convert({"grey": "L", "palette": "P", "rgba": "RGBA"}[name]).save(path)
    return path


REFUSED = (
    "complex64", "complex128", "one complex band", "nowhere data", "not a number", "masked", "two bands",
    "one band",
)  # fmt: skip
READ = (
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64", "transparent", "nodata",
    "some not a number", "16-bit grey", "grey", "palette", "rgba",
)  # fmt: skip


def predicted(path):
    """What prediction reads of a file."""
    return Images([Item("a", path)], [0], bands=(), fill=FILL, size=SIDE, domains=[])[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READ)
def test_what_both_read_is_the_same(name, tmp_path):
    path = made(name, tmp_path)
    read_header(path)
    found = predicted(path)
    assert not found.error
    np.testing.assert_array_equal(found.image, load_image(path, (), FILL))
    assert np.isfinite(compute([path], (), 3).mean).all()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REFUSED)
def test_what_one_refuses_the_others_refuse(name, tmp_path):
    path = made(name, tmp_path)
    found = predicted(path)
    assert found.image is None
    with pytest.raises(DataError) as caught:
        load_image(path, (), FILL)
    assert str(caught.value) == f"{path}: {found.error}"
    with pytest.raises(DataError, match=str(found.error).partition(" ")[0]):
        compute([path], (), 3)
    if "complex" in name:
        for refuse in (read_header, lambda one: open_scene([one])):
            with pytest.raises(DataError, match=r"complex values \(complex\d+\); give intensities"):
                refuse(path)


def test_pixels_of_another_type_than_in_training_are_said(checkpoints, tmp_path, caplog):
    predictor = load(checkpoints["moge"], "cpu")
    predictor.info["pixel_types"] = ["uint8"]
    caplog.set_level(logging.WARNING)
    write(tmp_path / "a.tif", ramp())
    predict_files(predictor, [tmp_path / "a.tif"], tmp_path / "out.csv")
    assert "pixels are" not in caplog.text
    write(tmp_path / "b.tif", ramp(dtype="uint16"))
    predict_files(predictor, [tmp_path], tmp_path / "out.csv")
    assert "pixels are uint16, training images were uint8" in caplog.text
    assert "1 of the images; first: " in caplog.text
    caplog.clear()
    del predictor.info["pixel_types"]  # a checkpoint of an older version
    predict_files(predictor, [tmp_path], tmp_path / "out.csv")
    assert "pixels are" not in caplog.text
