"""Rasters and pictures of every kind: bands, types, nodata, places, and files that are not whole."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pyproj
import pytest
import rasterio
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.transform import Affine, from_origin

from geomoe.errors import DataError
from geomoe.reading import raster

CORNERS = {  # CRS -> x, y of the upper left corner, and the pixel's size
    "EPSG:4326": (10.0, 50.0, 0.01),
    "EPSG:32733": (500_000.0, 6_300_000.0, 30.0),
    "EPSG:3857": (1.0e6, 6.0e6, 30.0),
    "EPSG:3413": (-5.0e5, -1.0e6, 100.0),
}


def write(path, values, **options):
    values = np.asarray(values)
    shape = {"count": len(values), "height": values.shape[1], "width": values.shape[2]}
    with rasterio.open(path, "w", driver="GTiff", dtype=values.dtype, **shape, **options) as file:
        file.write(values)
    return path


def ramp(bands=4, height=8, width=10, dtype="uint16"):
    return np.arange(bands * height * width, dtype=dtype).reshape(bands, height, width)


@pytest.mark.parametrize("crs", CORNERS)
def test_the_place_is_that_of_the_middle_in_any_crs(crs, tmp_path):
    x, y, size = CORNERS[crs]
    path = write(tmp_path / "a.tif", ramp(), crs=crs, transform=from_origin(x, y, size, size))
    head = raster.read_header(path)
    expected = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(
        x + 5 * size, y - 4 * size
    )
    np.testing.assert_allclose((head.lon, head.lat), expected, atol=1e-8)
    assert (head.bands, head.height, head.width, head.dtype, head.unknown) == (4, 8, 10, "uint16", "")


def test_mercator_in_closed_form(tmp_path):
    path = write(tmp_path / "a.tif", ramp(), crs="EPSG:3857", transform=from_origin(1e6, 6e6, 30, 30))
    head, radius = raster.read_header(path), 6378137.0
    assert head.lon == pytest.approx(np.degrees((1e6 + 150) / radius), abs=1e-9)
    latitude = np.degrees(2 * np.arctan(np.exp((6e6 - 120) / radius)) - np.pi / 2)
    assert head.lat == pytest.approx(latitude, abs=1e-9)


def test_the_type_is_one_that_holds_every_band(tmp_path):
    paths = [write(tmp_path / f"{kind}.tif", ramp(1, dtype=kind)) for kind in ("uint8", "int16", "float32")]
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{number}"><SimpleSource><SourceFilename relativeToVRT="1">'
        f"{path.name}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
        for number, (kind, path) in enumerate(zip(("Byte", "Int16", "Float32"), paths, strict=True), start=1)
    )
    (tmp_path / "a.vrt").write_text(f'<VRTDataset rasterXSize="10" rasterYSize="8">{bands}</VRTDataset>')
    assert [raster.read_header(path).dtype for path in paths] == ["uint8", "int16", "float32"]
    assert raster.read_header(tmp_path / "a.vrt", tmp_path).dtype == "float32"


def test_the_header_tells_whether_pixels_may_be_without_data(tmp_path):
    picture = Image.fromarray(np.moveaxis(ramp(3, dtype="uint8"), 0, -1))
    picture.save(tmp_path / "rgb.png")
    picture.convert("RGBA").save(tmp_path / "rgba.png")
    picture.quantize(20).save(tmp_path / "palette.png")
    write(tmp_path / "words.tif", ramp())
    write(tmp_path / "nodata.tif", ramp(), nodata=0)
    write(tmp_path / "floats.tif", ramp(dtype="float32"))
    with rasterio.open(write(tmp_path / "mask.tif", ramp()), "r+") as file:
        file.write_mask(np.eye(8, 10, dtype="uint8") * 255)
    paths = [path for path in tmp_path.iterdir() if path.suffix != ".msk"]
    gaps = {path.name: raster.read_header(path).gaps for path in paths}
    possible = ("rgba.png", "palette.png", "nodata.tif", "floats.tif", "mask.tif")
    assert gaps == {"rgb.png": False, "words.tif": False, **dict.fromkeys(possible, True)}
    for name, found in gaps.items():  # it may claim too many, never too few
        with rasterio.open(tmp_path / name) as source:
            assert found or not np.isnan(raster.read_pixels(source)).any()


def test_a_turned_raster_and_control_points(tmp_path):
    turned = Affine(0.008, 0.005, 10, 0.005, -0.008, 50)
    head = raster.read_header(write(tmp_path / "a.tif", ramp(), crs="EPSG:4326", transform=turned))
    np.testing.assert_allclose((head.lon, head.lat), (10.06, 49.993))
    points = [
        GroundControlPoint(row, column, 20 + column / 100, 40 - row / 100)
        for row, column in ((0, 0), (0, 10), (8, 0), (8, 10))
    ]
    head = raster.read_header(write(tmp_path / "b.tif", ramp(), crs="EPSG:4326", gcps=points))
    np.testing.assert_allclose((head.lon, head.lat), (20.05, 39.96))


def test_unknown_places_say_why(tmp_path):
    plain = raster.read_header(write(tmp_path / "a.tif", ramp()))
    no_crs = raster.read_header(write(tmp_path / "b.tif", ramp(), transform=from_origin(5, 5, 1, 1)))
    where = from_origin(5, 500, 1, 1)
    off = raster.read_header(write(tmp_path / "c.tif", ramp(), transform=where, crs="EPSG:4326"))
    assert [head.unknown for head in (plain, no_crs, off)] == ["no georeference", "no CRS", "off the Earth"]
    assert np.isnan([plain.lon, no_crs.lat, off.lon]).all()


def test_across_the_antimeridian(tmp_path):
    where = from_origin(179.9, 10, 0.1, 0.1)
    head = raster.read_header(write(tmp_path / "a.tif", ramp(), crs="EPSG:4326", transform=where))
    assert head.lon == pytest.approx(-179.6)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
def test_values_come_raw_in_the_order_that_was_asked_for(dtype, tmp_path):
    values = ramp(3, dtype=dtype) % 250
    path = write(tmp_path / "a.tif", values)
    fill = np.zeros(3, np.float32)
    np.testing.assert_array_equal(raster.load_image(path, (), fill).numpy(), values.astype(np.float32))
    np.testing.assert_array_equal(raster.load_image(path, (3, 1), fill[:2]).numpy(), values[[2, 0]])


def test_where_there_is_no_data_the_fill_stands(tmp_path):
    values = ramp(2).astype(np.float32)
    values[0, 1, 1], values[1, 2, 2], values[1, 3, 3] = -9999, np.nan, np.inf
    image = raster.load_image(
        write(tmp_path / "a.tif", values, nodata=-9999), (), np.array([5, 6], np.float32)
    )
    assert (image[0, 1, 1], image[1, 2, 2], image[1, 3, 3]) == (5, 6, 6)
    rest = np.ones_like(values, bool)
    rest[0, 1, 1] = rest[1, 2, 2] = rest[1, 3, 3] = False
    np.testing.assert_array_equal(image.numpy()[rest], values[rest])


def test_a_window_may_reach_beyond_the_raster(tmp_path):
    values = ramp(1)
    image = raster.load_image(
        write(tmp_path / "a.tif", values), (), np.array([-1], np.float32), (-2, 5, 4, 6)
    )
    expected = np.full((1, 6, 4), -1.0)
    expected[:, :3, 2:] = values[:, 5:8, 0:2]
    np.testing.assert_array_equal(image.numpy(), expected)


def test_a_band_marked_as_transparency_masks_unless_it_is_asked_for(tmp_path):
    path = tmp_path / "a.tif"
    values = np.full((4, 4, 4), 100, np.uint8)
    values[3, 0] = 0
    write(path, values)
    with rasterio.open(path, "r+") as file:
        file.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    assert raster.read_header(path).alpha
    masked = raster.load_image(path, (), np.full(3, 7, np.float32))
    assert masked.shape == (3, 4, 4)
    assert (masked[:, 0] == 7).all()
    assert (masked[:, 1:] == 100).all()
    np.testing.assert_array_equal(raster.load_image(path, (1, 2, 3, 4), np.zeros(4, np.float32)), values)


def test_pictures(tmp_path):
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "rgb.png")
    Image.fromarray(colours[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(colours).quantize(16).save(tmp_path / "palette.png")
    fill = np.zeros(3, np.float32)
    np.testing.assert_array_equal(
        raster.load_image(tmp_path / "rgb.png", (), fill), colours.transpose(2, 0, 1)
    )
    grey = raster.load_image(tmp_path / "grey.png", (), fill)
    np.testing.assert_array_equal(grey, np.repeat(colours[None, ..., 0], 3, axis=0))
    with Image.open(tmp_path / "palette.png") as image:
        expected = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    np.testing.assert_array_equal(raster.load_image(tmp_path / "palette.png", (), fill), expected)


SMOOTH = np.stack(np.meshgrid(np.arange(0, 240, 8), np.arange(0, 240, 10)), axis=-1).astype(np.uint8)
PICTURE = Image.fromarray(np.concatenate([SMOOTH, SMOOTH[..., :1] // 2], axis=-1))  # 30 x 24
TURNED = Image.Exif()
TURNED[0x0112] = 6  # orientation: to be turned by a quarter


@pytest.mark.parametrize(
    ("name", "image", "options"),
    [
        ("1 bit.png", PICTURE.convert("1"), {}),
        ("two colours.png", PICTURE.quantize(2), {"bits": 1}),
        ("four colours.png", PICTURE.quantize(4), {"bits": 2}),
        ("grey and alpha.png", PICTURE.convert("LA"), {}),
        ("RGBA.png", PICTURE.convert("RGBA"), {}),
        ("RGBA.webp", PICTURE.convert("RGBA"), {"lossless": True}),
        ("CAPITALS.PNG", PICTURE, {}),
        ("bild ä 日本.png", PICTURE, {}),
        ("CMYK.jpg", PICTURE.convert("CMYK"), {"quality": 95, "subsampling": 0}),
        ("progressive.jpg", PICTURE, {"progressive": True, "subsampling": 0}),
        ("held upright.jpg", PICTURE, {"exif": TURNED, "subsampling": 0}),
        ("held upright.png", PICTURE, {"exif": TURNED}),
        (
            "film.gif",
            PICTURE.quantize(16),
            {"save_all": True, "append_images": [PICTURE.rotate(180).quantize(16)]},
        ),
    ],
)
def test_pictures_of_every_kind_are_what_pillow_shows(name, image, options, tmp_path):
    """Of a film the first frame; as stored, however the camera says that it was held."""
    image.save(tmp_path / name, **options)
    with Image.open(tmp_path / name) as shown:
        expected = np.asarray(shown.convert("RGB")).transpose(2, 0, 1)
    found = raster.load_image(tmp_path / name, (), np.zeros(3, np.float32))
    np.testing.assert_allclose(found, expected, atol=1)  # JPEG: two decoders may differ by a level
    head = raster.read_header(tmp_path / name)
    assert (head.width, head.height, head.picture) == (30, 24, True)
    assert head.bands in (1, 3)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_grey_of_few_bits_is_scaled_to_eight_and_sixteen_stay_raw(bits, tmp_path):
    """A PNG made byte by byte: Pillow writes no 2 and 4 bits."""
    steps, width = 2**bits, 16
    values = [number * 7919 % steps for number in range(width)]
    row = int("".join(f"{value:0{bits}b}" for value in values), 2).to_bytes(width * bits // 8)
    head = struct.pack(">IIBBBBB", width, 2, bits, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" + row + b"\0" + row)), (b"IEND", b"")]
    content = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    found = raster.load_image(tmp_path / "a.png", (), np.zeros(1, np.float32)).numpy()
    expected = np.array(values) * (255 / (steps - 1) if bits < 8 else 1)
    np.testing.assert_allclose(found, np.tile(expected, (1, 2, 1)), rtol=1e-6)


def test_few_bits_of_a_raster_stay_raw(tmp_path):
    values = (ramp(1, dtype="uint8") % 4).astype(np.uint8)
    path = write(tmp_path / "mask.tif", values, nbits=2)
    np.testing.assert_array_equal(raster.load_image(path, (), np.zeros(1, np.float32)), values)


def test_what_is_transparent_in_a_palette_is_no_data(tmp_path):
    picture = PICTURE.quantize(8)
    picture.save(tmp_path / "a.png", transparency=3)
    found = raster.load_image(tmp_path / "a.png", (), np.full(3, -1, np.float32)).numpy()
    clear = np.asarray(picture) == 3
    assert clear.any()
    assert (found[:, clear] == -1).all()
    np.testing.assert_array_equal(
        found[:, ~clear], np.asarray(picture.convert("RGB")).transpose(2, 0, 1)[:, ~clear]
    )


def test_a_palette_of_sixteen_bits(tmp_path):
    values = (ramp(1) * 700).astype(np.uint16)
    path = write(tmp_path / "a.tif", values, photometric="palette")
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {number: (number % 251, number % 7, 9, 255) for number in range(65536)})
    found = raster.load_image(path, (), np.zeros(3, np.float32)).numpy()
    np.testing.assert_array_equal(found, np.stack([values[0] % 251, values[0] % 7, np.full((8, 10), 9)]))


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_what_a_phone_hangs_behind_a_picture_does_not_cut_it_off(name, tmp_path):
    path = tmp_path / name
    PICTURE.save(path)
    whole = path.read_bytes()
    expected = raster.load_image(path, (), np.zeros(3, np.float32))
    path.write_bytes(whole + bytes(10_000))
    assert raster.read_header(path).bands == 3
    np.testing.assert_array_equal(raster.load_image(path, (), np.zeros(3, np.float32)), expected)
    path.write_bytes(whole[: len(whole) * 2 // 3] + bytes(10_000))  # full length, the rest never came
    with pytest.raises(DataError, match=r"unreadable image|the image is truncated; copy it again"):
        raster.read_header(path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp", "a.gif", "a.bmp"])
def test_half_a_file_is_refused(name, tmp_path):
    path = tmp_path / name
    values = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    if name == "a.tif":
        write(path, values.transpose(2, 0, 1))
    else:
        Image.fromarray(values).save(path)
    raster.load_image(path, (), np.zeros(3, np.float32))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DataError, match=r"a\.\w+: (unreadable image|the image is truncated)"):
        raster.load_image(path, (), np.zeros(3, np.float32))
    if name in ("a.png", "a.jpg", "a.tif", "a.gif"):  # seen without reading the pixels
        with pytest.raises(DataError):
            raster.read_header(path)


def test_refusals(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("no image")
    path = write(tmp_path / "a.tif", ramp())
    fill = np.zeros(3, np.float32)
    (tmp_path / "folder.png").mkdir()
    for name, what in (
        ("gone.png", "no such image"),
        ("folder.png", "no such image"),
        ("x" * 5000, "no such image"),
        ("empty.png", "0 bytes"),
        ("text.png", "unreadable"),
    ):
        with pytest.raises(DataError, match=what) as caught:
            raster.load_image(tmp_path / name, (), fill)
        assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(DataError, match="has 4 bands, expected 3"):
        raster.load_image(path, (), fill)
    with pytest.raises(DataError, match=r"has 4 bands; data\.bands asks for 5"):
        raster.load_image(path, (1, 2, 5), fill)
    complex_values = write(tmp_path / "c.tif", ramp().astype(np.complex64))
    with pytest.raises(DataError, match="complex values"):
        raster.read_header(complex_values)


def test_gdal_keeps_a_bounded_number_of_blocks(tmp_path, monkeypatch):
    from rasterio.env import getenv

    from geomoe.reading.beside import CACHE

    write(tmp_path / "a.tif", ramp())
    with raster.open_raster(tmp_path / "a.tif"):
        assert int(getenv()["GDAL_CACHEMAX"]) == CACHE
    monkeypatch.setenv("GDAL_CACHEMAX", "64")
    with raster.open_raster(tmp_path / "a.tif"):
        assert "GDAL_CACHEMAX" not in getenv()
