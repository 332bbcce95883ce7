"""The shipped outlines of countries, and the tool that makes them, on a small made-up Earth."""

from __future__ import annotations

import json
import sys
from importlib.resources import files

import numpy as np
import pytest
import shapely
from shapely.geometry import Polygon, box

from geomoe.earth import countries
from geomoe.earth.countries import country_outlines
from tools import country_codes, make_countries
from tools.assets import write_arrays
from tools.country_codes import DISPUTED, PARTS, TERRITORIES


def gather(*polygons):
    return make_countries.gather(polygons, {"056": "BEL", "528": "NLD", "250": "FRA"})


@pytest.fixture
def small(monkeypatch):
    """No part, territory or dispute but those that a test adds."""

    def use(parts=(), territories=None, disputed=()):
        monkeypatch.setattr(make_countries, "PARTS", parts)
        monkeypatch.setattr(make_countries, "TERRITORIES", territories or {})
        monkeypatch.setattr(make_countries, "DISPUTED", disputed)

    use()
    return use


def shape(outlines, code):
    return shapely.union_all([outlines.polygons[number] for number in outlines.members[code]])


def test_lines_become_coarse_and_no_island_is_lost():
    lon = np.linspace(0, 10, 2001)
    coast = np.stack([lon, 50 + 0.004 * np.sin(40 * lon)], axis=1)
    wavy = Polygon([*coast, (10, 40), (0, 40)])
    (made,) = make_countries.coarse(wavy)
    assert len(shapely.get_coordinates(made)) < 10
    assert made.hausdorff_distance(wavy) < make_countries.COARSE + make_countries.CELL
    np.testing.assert_allclose(shapely.get_coordinates(made) * 100 % 1, 0, atol=1e-9)
    for island in (box(5.003, 5.003, 5.004, 5.004), box(5.003, 5.003, 5.004, 5.3)):
        (made,) = make_countries.coarse(island)
        assert made.covers(island)
        assert made.area <= 0.02 * 0.32


def test_parts_territories_and_disputes(small):
    part = country_codes.Part("GUF", "FRA", -55, 2, -51, 6)
    claim = country_codes.Part("BEL", "NLD", 4, 51, 5, 53)
    small([part], {"NLD": "GUF"}, [claim])
    made = gather(
        ("056", "Belgium", box(2, 49, 4, 51)),
        ("528", "Netherlands", box(4, 51, 7, 53)),
        ("250", "France", box(-54, 3, -52, 5)),
        ("250", "France", box(0, 43, 4, 48)),
        (None, "Kosovo", box(20, 42, 21, 43)),
    )
    assert shape(made, "GUF").equals(box(-54, 3, -52, 5))
    assert shape(made, "FRA").equals(shapely.union_all([box(-54, 3, -52, 5), box(0, 43, 4, 48)]))
    assert shape(made, "BEL").equals(shapely.union_all([box(2, 49, 4, 51), box(4, 51, 5, 53)]))
    assert shape(made, "NLD").equals(shapely.union_all([box(4, 51, 7, 53), box(-54, 3, -52, 5)]))
    assert made.members["XKX"] == made.members["SRB"]
    with pytest.raises(KeyError):
        gather(("999", "Atlantis", box(0, 0, 1, 1)))


def test_what_is_written_is_what_is_read(small, tmp_path, monkeypatch):
    hole = Polygon([(0, 0), (4, 0), (4, 4), (0, 4)], [[(1, 1), (2, 1), (2, 2), (1, 2)]])
    made = gather(
        ("056", "Belgium", hole), ("056", "Belgium", box(-180, 10, -179.99, 11)), ("250", "", box(5, 5, 6, 6))
    )
    for name in ("countries.npz", "again.npz"):
        write_arrays(tmp_path / name, make_countries.to_arrays(made, {"BE": "BEL", "FRA": "BEL"}))
    assert (tmp_path / "countries.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()
    monkeypatch.setattr(countries, "ASSETS", tmp_path)
    read = country_outlines.__wrapped__()
    assert set(read) == {"BEL", "BE", "FRA"}
    assert read["BE"] is read["BEL"]
    for code in ("BEL", "FRA"):
        assert (
            read[code]
            .normalize()
            .equals_exact(
                shapely.multipolygons([made.polygons[n] for n in sorted(made.members[code])]).normalize(),
                1e-9,
            )
        )


def test_the_command_reads_both_packages(small, tmp_path, monkeypatch, capsys):
    arc = np.diff(np.add([(2, 49), (6, 49), (6, 52), (2, 52), (2, 49)], (180, 90)), axis=0, prepend=[[0, 0]])
    country = {"type": "Polygon", "arcs": [[0]], "id": "056", "properties": {"name": "Belgium"}}
    islet = {"type": "Polygon", "arcs": [[1]], "id": "528", "properties": {"name": "Netherlands"}}
    atlas = {
        "objects": {"countries": {"geometries": [country, islet]}},
        "arcs": [arc.tolist(), [[190, 95], [0, 0], [0, 0]]],  # rounded to a point
        "transform": {"scale": [1, 1], "translate": [-180, -90]},
    }
    (tmp_path / "countries-10m.json").write_text(json.dumps(atlas))
    codes = [["BE", "BEL", "056", "ISO 3166-2:BE"], ["NL", "NLD", "528", "ISO 3166-2:NL"]]
    (tmp_path / "codes.json").write_text(json.dumps(codes))
    monkeypatch.setattr(make_countries, "ALIASES", {})
    folder = str(tmp_path)
    monkeypatch.setattr(sys, "argv", ["x", "--atlas", folder, "--codes", folder, "--package", folder])
    make_countries.main()
    assert "countries.npz" in capsys.readouterr().out
    monkeypatch.setattr(countries, "ASSETS", tmp_path / "earth" / "assets")
    read = country_outlines.__wrapped__()
    assert read["BE"].bounds == (2, 49, 6, 52)
    west, south, east, north = read["NLD"].bounds
    assert west < 10 < east
    assert south < 5 < north
    assert max(east - west, north - south) < 0.05


def test_the_tables_name_codes_that_there_are():
    known = set(country_outlines())
    named = {part.code for part in (*PARTS, *DISPUTED)} | {part.of for part in (*PARTS, *DISPUTED)}
    named |= set(TERRITORIES) | {code for text in TERRITORIES.values() for code in text.split()}
    named |= {code for codes in country_codes.UNNUMBERED.values() for code in codes}
    assert named | set(country_codes.ALIASES) <= known


def test_the_shipped_file_has_every_code_and_is_small():
    outlines = country_outlines()
    alpha3 = {code for code in outlines if len(code) == 3} - set(country_codes.ALIASES)
    alpha2 = {code for code in outlines if len(code) == 2}
    assert len(alpha3) == len(alpha2) == 250  # the 249 of ISO 3166-1, and Kosovo
    for code, outline in outlines.items():
        west, south, east, north = outline.bounds
        assert -180 <= west < east <= 180, code
        assert -90 <= south < north <= 90, code
        assert shapely.is_valid(shapely.get_parts(outline)).all(), code
    assert outlines["FR"] is outlines["FRA"]
    assert outlines["UNK"] is outlines["XKX"]
    asset = files("geomoe.earth") / "assets" / "countries.npz"
    assert len(asset.read_bytes()) < 400_000
    with asset.open("rb") as file, np.load(file, allow_pickle=False) as data:
        assert all(data[name].dtype.kind in "iU" for name in data.files)  # numbers and text: no code to run


@pytest.mark.slow
def test_the_shipped_file_agrees_with_the_land_of_the_maps():
    """``earth.npz`` was made from other outlines, at 1:50m, by painting them."""
    with (countries.ASSETS / "earth.npz").open("rb") as file:
        region = np.load(file)["region"]
    row, column = (index.ravel() for index in np.indices(region.shape))
    tree = shapely.STRtree(shapely.points(column / 2 - 179.75, 89.75 - row / 2))
    parts = np.concatenate([shapely.get_parts(outline) for outline in set(country_outlines().values())])
    inside = np.zeros(region.size, dtype=bool)
    inside[tree.query(parts, predicate="intersects")[1]] = True
    land = region.ravel() > 0
    assert inside[land].mean() > 0.98  # a cell's middle may be at sea
    assert inside[~land].mean() < 0.02
