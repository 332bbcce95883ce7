"""The page as text: what is inside, what it can never do, where its pictures lie."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image

from geomoe.coords import wrap_lon
from geomoe.earth.borders import ground_in
from geomoe.earth.land import coastlines
from geomoe.earth.outlines import outlines
from geomoe.errors import ConfigError, OutputError
from geomoe.mapping.page import render_page
from geomoe.mapping.table import Points, RoutingTable
from geomoe.pages.shell import script_json

MAPS = sorted(Path(__file__).parents[2].glob("maps/*/*.html"))
HOSTILE = (
    "</script><script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "'\"`;window.hacked=1;//",
    "${window.hacked=1}{{ 7*7 }}{% raw %}\u2028\u2029&lt;b&gt;",
    "<!--<script>",
)


def decode(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


class Elements(HTMLParser):
    """Every tag of a page with its attributes, as a browser's parser sees them."""

    def __init__(self, page):
        super().__init__()
        self.tags = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def page(synthetic, table, summaries):
    return render_page(table, summaries, synthetic.some_points(), "Asia")


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes(synthetic, summaries, table, page):
    again = synthetic.smooth_table(title=table.title, facts=table.facts)
    assert render_page(again, synthetic.summaries_of(again), synthetic.some_points(), "Asia") == page


def test_the_page_asks_for_nothing(page):
    for tag, attributes in Elements(page).tags:
        assert tag not in {"link", "iframe", "img", "object", "embed", "base", "form"}
        for name in ("src", "href", "srcset", "data", "action"):
            assert name not in attributes, (tag, attributes)
    assert "sourceMappingURL" not in page
    styles = "".join(re.findall(r"<style>(.*?)</style>", page, re.DOTALL))
    assert "@import" not in styles


def check_policy(page):
    policy = next(
        a["content"] for _, a in Elements(page).tags if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; img-src data:;")
    scripts = policy.split("script-src ")[1]
    assert "unsafe" not in scripts
    inside = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    wanted = {f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in inside}
    assert set(scripts.split()) == wanted
    assert len(inside) == page.count("<script")


def test_the_policy_allows_the_scripts_inside_and_nothing_else(page):
    check_policy(page)


@pytest.mark.parametrize("file", MAPS, ids=lambda file: file.parent.name)
def test_a_page_in_the_repository_was_not_edited_after_it_was_sealed(file):
    """A browser would refuse a script that the page's own policy does not name, and show nothing."""
    check_policy(file.read_text(encoding="utf-8"))


def test_pictures_hold_the_table(synthetic, table, page):
    data = synthetic.page_data(page)
    assert [block["name"] for block in data["blocks"]] == list(table.blocks)
    height, _ = decode(data["blocks"][0]["dominant"]).shape
    _, south, _, north = data["bounds"]
    top, bottom = (np.arcsinh(np.tan(np.radians(lat))) for lat in (north, south))
    lat = np.degrees(np.arctan(np.sinh(top - (np.arange(height) + 0.5) / height * (top - bottom))))
    rows = np.floor((90 - lat) / table.grid.step).astype(int)
    for number, block in enumerate(data["blocks"]):
        np.testing.assert_array_equal(decode(block["dominant"]), table.dominant(number)[rows])
        entropy = decode(block["entropy"]) / 255
        assert np.abs(entropy - table.entropy(number)[rows]).max() <= 1 / 510 + 1e-6
        for expert, uri in enumerate(block["weights"]):
            assert np.abs(decode(uri) / 255 - table.image(number, expert)[rows]).max() <= 1 / 510 + 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("step", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("bounds", [(-180, -90, 180, 90), (-30, 20, 60, 70), (0, 40, 20, 90)])
def test_a_band_at_45_degrees_is_found_at_45_degrees(synthetic, step, bounds):
    table = synthetic.band_table(step, bounds)
    data = synthetic.page_data(render_page(table, synthetic.summaries_of(table)))
    for uri, value in ((data["blocks"][0]["dominant"], 1), (data["blocks"][0]["weights"][1], 255)):
        pixels = decode(uri)
        rows = np.flatnonzero((pixels == value).all(axis=1))
        # Leaflet stretches the picture linearly between the projected corners
        _, south, _, north = data["bounds"]
        top, bottom = (np.arcsinh(np.tan(np.radians(lat))) for lat in (north, south))
        edges = top - np.array([rows[0], rows[-1] + 1]) / len(pixels) * (top - bottom)
        upper, lower = np.degrees(np.arctan(np.sinh(edges)))
        assert upper == pytest.approx(46, abs=0.3)
        assert lower == pytest.approx(44, abs=0.3)
        assert (upper + lower) / 2 == pytest.approx(45, abs=0.3)
        assert len(rows) == rows[-1] - rows[0] + 1


@pytest.mark.slow
def test_a_box_keeps_its_bounds(synthetic):
    table = synthetic.smooth_table(1.0, (60, -10, 150, 55))
    data = synthetic.page_data(render_page(table, synthetic.summaries_of(table)))
    assert data["bounds"] == [60, -10, 150, 55]
    assert all(60 <= lon <= 150 and -10 <= lat <= 55 for lon, lat, _ in data["blocks"][0]["labels"])


@pytest.mark.parametrize("east", [-170, 190])
def test_a_page_across_the_antimeridian_goes_on_beyond_180(synthetic, east):
    table = synthetic.smooth_table(1.0, (160, -50, east, 0))
    points = synthetic.some_points(500)
    page = render_page(table, synthetic.summaries_of(table), points, "Oceania")
    data = synthetic.page_data(page)
    assert data["bounds"] == [160, -50, 190, 0]
    labels = data["blocks"][0]["labels"]
    assert all(160 <= lon <= 190 for lon, _, _ in labels)
    for lon, lat, expert in labels:
        assert table.dominant(0)[int(-lat), int(lon - 160)] == expert
    lon = np.frombuffer(base64.b64decode(data["points"]["packed"]), "<i4", 500) / 1e5
    np.testing.assert_allclose(wrap_lon(lon), points.lonlat[:, 0], atol=6e-6)
    inside = (points.lonlat[:, 0] >= 160) | (points.lonlat[:, 0] < -170)
    np.testing.assert_array_equal((lon >= 160) & (lon < 190), inside)
    assert inside.any()
    lon, lat = np.concatenate(data["heldOut"]["lines"]).T
    assert 160 - 0.75 * 30 < lon.min() < 175 < 180 < lon.max() < 190 + 0.75 * 30  # New Zealand, Fiji
    assert data["detail"] is None
    assert data["land"] == []  # a map of a part of the Earth has finer land
    lon, lat = np.concatenate([*data["ground"]["coasts"]]).T
    assert lon.min() > 160 - 0.75 * 30 - 0.01
    assert 200 < lon.max() < 190 + 0.75 * 30 + 0.01
    assert lat.max() < 0.75 * 50 + 0.01


@pytest.mark.parametrize(("box", "step"), [((5, 46, 16, 56), 0.25), ((6, 49, 8, 50), 0.05)])
def test_a_page_of_a_country_has_its_borders(synthetic, box, step):
    table = synthetic.smooth_table(step, box)
    ground = synthetic.page_data(render_page(table, synthetic.summaries_of(table)))["ground"]
    west, south, east, north = box
    lines = shapely.MultiLineString(ground["borders"])
    assert shapely.box(*box).intersects(lines)
    assert lines.bounds[0] >= west - 0.75 * (east - west) - 0.01
    assert lines.bounds[3] <= north + 0.75 * (north - south) + 0.01
    land = shapely.union_all([shapely.Polygon(rings[0], rings[1:]).buffer(0) for rings in ground["land"]])
    real = ground_in(box).land
    away = land.intersection(shapely.box(*box)).symmetric_difference(real)
    assert away.area < 0.01 * real.area
    assert len(json.dumps(ground)) < 600_000


def test_a_map_of_the_earth_keeps_its_outlines(synthetic):
    table = synthetic.smooth_table(5.0)
    data = synthetic.page_data(render_page(table, synthetic.summaries_of(table)))
    assert data["ground"] is None
    assert data["land"] == list(outlines(-180.0).values())


def test_numbers_stand_in_the_area_that_they_name(synthetic, table, page):
    for number, block in enumerate(synthetic.page_data(page)["blocks"]):
        assert len(block["labels"]) > 5
        for lon, lat, expert in block["labels"]:
            row, column = int((90 - lat) / table.grid.step), int((lon + 180) / table.grid.step)
            assert table.dominant(number)[row, column] == expert


@pytest.mark.slow
def test_report_numbers_are_in_the_page(synthetic, summaries, page):
    for block, summary in zip(synthetic.page_data(page)["blocks"], summaries, strict=True):
        np.testing.assert_allclose(block["share"], summary.report.share, atol=1e-5)
        np.testing.assert_allclose(block["mean"], summary.report.mean_weight, atol=1e-5)
        assert block["information"] == [["land cover", 0.61, 0.24], ["region", 0.5, 0.28]]
        assert block["words"] == list(summary.words)


def test_points_unpack_to_what_was_packed(synthetic, page):
    points, packed = synthetic.some_points(), synthetic.page_data(page)["points"]
    count, raw = packed["count"], base64.b64decode(packed["packed"])
    parts, at = [], 0
    for kind in ("<i4", "<i4", "<u2", "<u2", "<u2", "u1"):
        parts.append(np.frombuffer(raw, kind, count, at))
        at += parts[-1].nbytes
    assert at == len(raw)
    np.testing.assert_allclose(np.stack(parts[:2], axis=1) / 1e5, points.lonlat, atol=6e-6)
    np.testing.assert_array_equal(parts[2], points.label)
    np.testing.assert_array_equal(parts[3], points.predicted)
    np.testing.assert_array_equal(parts[4].astype("<i2"), points.region)
    np.testing.assert_array_equal(parts[5].astype(bool), points.test)
    test, right = points.test, points.label == points.predicted
    assert packed["test"] == {"count": int(test.sum()), "correct": int((test & right).sum())}
    assert packed["train"] == {"count": int((~test).sum()), "correct": int((~test & right).sum())}


def test_the_held_out_region_has_its_outline(synthetic, table, summaries, page):
    shown = synthetic.page_data(page)
    assert shown["heldOut"] == {"name": "Asia", "shape": coastlines()["Asia"]}
    assert 30_000 < len(shown["detail"]["regions"]["Asia"]) < 100_000  # fine rings, for the zoom of a country
    for name in (None, "Atlantis"):
        data = synthetic.page_data(render_page(table, summaries, None, name))
        assert data["heldOut"] is None
        assert data["points"] is None


@pytest.mark.slow
def test_text_from_data_cannot_leave_its_place(synthetic, table):
    for text in HOSTILE:
        hostile = RoutingTable(table.grid, table.weights, (text, text), ((text, text),), text)
        points = synthetic.some_points(regions=(text, "b"), classes=(text, "b", "c"))
        page = render_page(hostile, synthetic.summaries_of(hostile), points, text)
        data = synthetic.page_data(page)
        assert data["title"] == text
        assert data["facts"] == [[text, text]]
        assert data["blocks"][0]["name"] == text
        assert data["points"]["classes"][0] == data["points"]["regions"][0] == text
        plain = render_page(table, synthetic.summaries_of(table), synthetic.some_points(), None)
        assert [tag for tag, _ in Elements(page).tags] == [tag for tag, _ in Elements(plain).tags]


@pytest.mark.parametrize("text", HOSTILE)
def test_script_json_has_no_character_that_ends_a_script(text):
    written = script_json({text: [text]})
    assert json.loads(written) == {text: [text]}
    assert not set("<>&\u2028\u2029") & set(written)


@pytest.mark.slow
def test_twelve_layers_and_20000_points_fit_into_5_mb(synthetic):
    table = synthetic.smooth_table(0.5, title="x")
    page = render_page(table, synthetic.summaries_of(table), synthetic.some_points(20_000), "Asia")
    data = synthetic.page_data(page)
    assert sum(len(block["weights"]) for block in data["blocks"]) == 12
    assert len(page.encode()) <= 5_000_000
    assert decode(data["blocks"][0]["weights"][0]).shape == (1440, 720)  # full resolution, none left out


@pytest.mark.slow
def test_a_page_that_is_too_large_loses_pixels_not_layers(synthetic):
    table = synthetic.smooth_table(1.0)
    full = render_page(table, synthetic.summaries_of(table))
    small = render_page(table, synthetic.summaries_of(table), most_bytes=len(full.encode()) - 1)
    assert len(small) < len(full)
    data = synthetic.page_data(small)
    assert decode(data["blocks"][1]["weights"][5]).shape == (360, 180)
    assert "shown here in pixels of 2°" in " ".join(data["notes"])


def test_refusals(synthetic, table, summaries):
    with pytest.raises(OutputError, match="does not fit into 1000 bytes"):
        render_page(
            synthetic.smooth_table(10.0, blocks=1), synthetic.summaries_of(table)[:1], most_bytes=1000
        )
    with pytest.raises(ConfigError, match="expected 2 summaries, one for each block; got 1"):
        render_page(table, summaries[:1])


def test_no_points_at_all(synthetic, table, summaries):
    nothing = Points(np.zeros((0, 2)), *[np.zeros(0, dtype=np.int64)] * 3, np.zeros(0, dtype=bool), (), ())
    assert synthetic.page_data(render_page(table, summaries, nothing))["points"] is None
