"""VRTs that are allowed: read as GDAL reads them, sources inside the folder alone."""

from __future__ import annotations

import hostile_files as kit
import numpy as np
import pytest
import rasterio
import rasterio.shutil
from PIL import Image

from geomoe.errors import DataError
from geomoe.reading import raster, vrt
from geomoe.reading.opening import open_raster

MOSAIC = """<VRTDataset rasterXSize="16" rasterYSize="8">
 <!-- two tiles beside one another -->
 <SRS dataAxisToSRSAxisMapping="2,1">EPSG:4326</SRS>
 <GeoTransform>5, 0.1, 0, 50, 0, -0.1</GeoTransform>
 <Metadata><MDI key="AREA_OR_POINT">Area</MDI></Metadata>
 <Metadata domain="EXIF"><MDI key="a">b</MDI></Metadata>
 <VRTRasterBand dataType="Byte" band="1" blockXSize="16" blockYSize="8" subClass="VRTSourcedRasterBand">
  <NoDataValue>3</NoDataValue><ColorInterp>Gray</ColorInterp><Histograms/>
  <ComplexSource resampling="nearest"><SourceFilename relativeToVRT="1" shared="0">{left}</SourceFilename>
   <SourceBand>1</SourceBand><SourceProperties RasterXSize="8" RasterYSize="8" DataType="Byte"/>
   <SrcRect xOff="0" yOff="0" xSize="8" ySize="8"/><DstRect xOff="0" yOff="0" xSize="8" ySize="8"/>
   <ScaleOffset>1</ScaleOffset><ScaleRatio>2</ScaleRatio><NODATA>3</NODATA></ComplexSource>
  <SimpleSource><SourceFilename relativeToVRT="1">{right}</SourceFilename><SourceBand>1</SourceBand>
   <SrcRect xOff="0" yOff="0" xSize="8" ySize="8"/><DstRect xOff="8" yOff="0" xSize="8" ySize="8"/>
  </SimpleSource>
 </VRTRasterBand>
 <OverviewList resampling="average">2 4</OverviewList>
</VRTDataset>"""


def same(path, root):
    """Pixels, masks, place and colours are those of GDAL by itself."""
    with rasterio.open(path) as plain, open_raster(path, root) as ours:
        np.testing.assert_array_equal(ours.read(), plain.read())
        np.testing.assert_array_equal(ours.read_masks(), plain.read_masks())
        assert ours.colorinterp == plain.colorinterp
        assert ours.mask_flag_enums == plain.mask_flag_enums
        assert (ours.crs, ours.transform, ours.gcps) == (plain.crs, plain.transform, plain.gcps)
        assert (ours.nodatavals, ours.dtypes) == (plain.nodatavals, plain.dtypes)


def test_a_mosaic_with_awkward_names(tmp_path):
    (tmp_path / "in ä").mkdir()
    names = ("in ä/a b%20c&d.tif", "in ä/e=1#2'.tif")
    for name in names:
        kit.tif(tmp_path / name)
    left, right = (name.replace("&", "&amp;") for name in names)
    (tmp_path / "m.vrt").write_text(MOSAIC.format(left=left, right=right), encoding="utf-8")
    same(tmp_path / "m.vrt", tmp_path)
    head = raster.read_header(tmp_path / "m.vrt", tmp_path)
    np.testing.assert_allclose((head.lon, head.lat, head.width), (5.8, 49.6, 16))
    with pytest.raises(DataError, match=r"has 1 band; data\.bands asks for 2"):
        raster.load_image(tmp_path / "m.vrt", (2,), np.zeros(1, np.float32), None, tmp_path)


def test_a_mosaic_of_mosaics_and_a_folder_that_is_a_link(tmp_path):
    real = tmp_path / "real"
    (real / "tiles").mkdir(parents=True)
    for name in ("a.tif", "b.tif"):
        kit.tif(real / "tiles" / name)
    (real / "tiles/m.vrt").write_text(MOSAIC.format(left="a.tif", right="b.tif"))
    (real / "outer.vrt").write_text(kit.vrt("tiles/m.vrt", 1))
    (tmp_path / "link").symlink_to(real)
    same(tmp_path / "link/outer.vrt", tmp_path / "link")


@pytest.mark.parametrize(
    "kind", ["tif", "png", "palette.png", "alpha.png", "jpg", "bmp", "gif", "webp", "jp2", "img"]
)
def test_sources_of_every_kind(kind, tmp_path):
    values = np.random.default_rng(0).integers(0, 200, (16, 16, 3), dtype=np.uint8)
    path, picture = tmp_path / f"a.{kind}", Image.fromarray(values)
    if kind in ("tif", "img", "jp2"):
        driver = {"tif": "GTiff", "img": "HFA", "jp2": "JP2OpenJPEG"}[kind]
        shape = {"count": 3, "height": 16, "width": 16, "dtype": "uint8"}
        with rasterio.open(path, "w", driver=driver, crs="EPSG:4326", **shape) as file:
            file.write(values.transpose(2, 0, 1))
    else:
        pictures = {"palette.png": picture.quantize(9), "alpha.png": picture.convert("RGBA")}
        pictures.get(kind, picture).save(path)
    with rasterio.open(path) as source:
        rasterio.shutil.copy(source, tmp_path / "a.vrt", driver="VRT")
    same(tmp_path / "a.vrt", tmp_path)


def test_a_source_with_a_mask_and_a_nodata_value_beside_it(tmp_path):
    kit.tif(tmp_path / "a.tif", nodata=7)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(tmp_path / "a.tif", "r+") as file:
        file.write_mask(np.eye(8, dtype=np.uint8) * 255)
    assert (tmp_path / "a.tif.msk").exists()
    with rasterio.open(tmp_path / "a.tif") as source:
        rasterio.shutil.copy(source, tmp_path / "a.vrt", driver="VRT")
    same(tmp_path / "a.vrt", tmp_path)


def test_limits(tmp_path, monkeypatch):
    kit.tif(tmp_path / "a.tif")
    for number in range(6):
        inner = "a.tif" if number == 0 else f"{number - 1}.vrt"
        (tmp_path / f"{number}.vrt").write_text(kit.vrt(inner, 1))
    raster.read_header(tmp_path / "3.vrt", tmp_path)
    with pytest.raises(DataError, match="VRTs lie more than 3 deep"):
        raster.read_header(tmp_path / "4.vrt", tmp_path)
    many = MOSAIC.format(left="a.tif", right="a.tif")
    (tmp_path / "m.vrt").write_text(many)
    monkeypatch.setattr(vrt, "MOST_SOURCES", 1)
    with pytest.raises(DataError, match="more than 1 sources"):
        raster.read_header(tmp_path / "m.vrt", tmp_path)
    monkeypatch.setattr(vrt, "MOST_BYTES", 100)
    with pytest.raises(DataError, match="it has more than 0 MB"):
        raster.read_header(tmp_path / "m.vrt", tmp_path)


def test_without_a_flag_it_says_which_one(tmp_path):
    kit.tif(tmp_path / "a.tif")
    (tmp_path / "a.vrt").write_text(kit.vrt("a.tif", 1))
    with pytest.raises(
        DataError, match=r"a VRT, which names other files; --allow-vrt \(data\.allow_vrt\) allows it"
    ):
        raster.read_header(tmp_path / "a.vrt")
