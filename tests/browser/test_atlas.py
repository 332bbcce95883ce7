"""The page of layers in a real browser: buttons, table, clicks, and text that stays text."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from geomoe.pages.atlas import Layer, Mark, ramp_colour, render_atlas

pytestmark = pytest.mark.browser

_spec = importlib.util.spec_from_file_location("test_page", Path(__file__).with_name("test_page.py"))
_other = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_other)
check_quiet, HOSTILE = _other.check_quiet, _other.HOSTILE


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    rng = np.random.default_rng(0)
    regions = [
        Mark((name, f"{share:.0f}", "1 to 2", "9"), ramp_colour(share / 100), region=name)
        for name, share in (("Africa", 20), ("Asia", 50), ("Europe", 80))
    ]
    cameras = [
        Mark((f"camera {k}", "7", "-", "3"), "#0072b2", lonlat=(float(lon), float(lat)), radius=6)
        for k, (lon, lat) in enumerate(
            zip(rng.uniform(-160, 160, 450), rng.uniform(-50, 60, 450), strict=True)
        )
    ]
    cameras += [Mark((HOSTILE, HOSTILE, HOSTILE, HOSTILE), "#000000")]
    columns = ("name", "accuracy", "interval", "samples")
    layers = [
        Layer("All experts", "Regions", "By region", columns, 3, regions, ("0 %", "100 %"), note=HOSTILE),
        Layer("Shared", "Cameras", HOSTILE, columns, 4, cameras[::-1], keys=(("#0072b2", HOSTILE),)),
    ]
    page = tmp_path_factory.mktemp("atlas") / "map.html"
    page.write_text(render_atlas(HOSTILE, [(HOSTILE, HOSTILE)], layers, held_out="Asia"), encoding="utf-8")
    return page


@pytest.fixture
def page(browser, path):
    browser.open(path)
    return browser


def press(page, text):
    next(one for one in page.find_all("#geomoe-panel button") if one.text == text).click()


def cells(page):
    return page.run(
        "return [...document.querySelectorAll('.geomoe-list tr')]"
        ".map(line => [...line.children].map(cell => cell.textContent))"
    )


def test_opens_without_a_network_and_shows_the_first_layer(page, path):
    assert page.run("return document.body.dataset.layer") == "0"
    assert cells(page) == [
        ["name", "accuracy", "interval"], ["Africa", "20", "1 to 2"], ["Asia", "50", "1 to 2"],
        ["Europe", "80", "1 to 2"],
    ]  # fmt: skip
    assert page.find(".geomoe-ticks").text.split("\n") == ["0 %", "100 %"]
    check_quiet(page, path)


def test_the_other_layer_its_long_table_and_text_that_stays_text(page, path):
    press(page, "Cameras")
    assert page.run("return document.body.dataset.layer") == "1"
    assert page.run("return document.body.dataset.marks") == "451"
    table = cells(page)
    assert len(table) == 401
    assert table[1] == [HOSTILE] * 4
    assert "and 51 more" in page.find(".geomoe-list").text
    assert page.run("return window.hacked") is None
    assert page.driver.title == HOSTILE
    assert page.find(".geomoe-key").text == HOSTILE
    check_quiet(page, path)


def test_a_line_of_the_table_opens_what_is_known(page, path):
    press(page, "Cameras")
    name = cells(page)[2][0]
    press(page, name)
    page.wait_for_answer()
    assert page.find(".geomoe-answer h3").text == name
    assert page.find(".geomoe-answer dl").text.split("\n") == [
        "accuracy",
        "7",
        "interval",
        "-",
        "samples",
        "3",
    ]
    check_quiet(page, path)


def test_a_region_on_the_map_can_be_clicked_and_is_painted(page, path):
    from selenium.webdriver.common.actions.action_builder import ActionBuilder

    at = page.run(
        "const box = map_experts.getContainer().getBoundingClientRect();"
        "const p = map_experts.latLngToContainerPoint([22, 5]); return [box.left + p.x, box.top + p.y]"
    )
    actions = ActionBuilder(page.driver)
    actions.pointer_action.move_to_location(round(at[0]), round(at[1])).click()
    actions.perform()
    page.wait_for_answer()
    assert page.find(".geomoe-answer h3").text == "Africa"
    painted = page.run(
        "const c = document.querySelector('.leaflet-overlay-pane canvas'), b = c.getBoundingClientRect();"
        "return [...c.getContext('2d').getImageData((arguments[0] - b.left) * c.width / b.width,"
        " (arguments[1] - b.top) * c.height / b.height, 1, 1).data]",
        *at,
    )
    wanted = np.array(list(bytes.fromhex(ramp_colour(0.2)[1:])))
    assert np.abs(np.array(painted[:3]) - wanted).max() <= 3
    check_quiet(page, path)


def test_regions_coasts_and_the_held_out_outline_are_fine_at_the_zoom_of_a_country(page, path):
    press(page, "Regions")

    def see(lon, lat, zoom):
        """Positions of the painted regions, of white land, of the held-out outline; lines of borders."""
        place = "map_experts.setView([arguments[1], arguments[0]], arguments[2], {animate: false})"
        page.run(place, lon, lat, zoom)
        found = page.run(
            "const sum = {}; map_experts.eachLayer((layer) => { if (!layer.getLatLngs) return;"
            " const {dashArray, fillColor, fill} = layer.options, lines = layer.getLatLngs();"
            " const name = dashArray || (fill ? fillColor : '');"
            " sum[name] = [lines.length, lines.flat(9).length]; });"
            "return [document.body.dataset.detail, sum]"
        )
        colours = [ramp_colour(share / 100) for share in (20, 50, 80)]
        kind, sums = found
        return kind, [sums[one][1] for one in (*colours, "#ffffff", "6 4")], sums.get("5 3", [0])[0]

    fine, coarse = see(10, 51, 6), see(0, 20, 2)
    assert (fine[0], coarse[0]) == ("fine", "coarse")
    assert (fine[2] > 300, coarse[2]) == (True, 0)
    assert all(near > 4 * far for near, far in zip(fine[1], coarse[1], strict=True))
    assert see(10, 51, 6) == fine
    depth = "return map_experts.getPane('geomoe-lines').style.zIndex"
    assert page.run(depth) == "405"  # over painted areas
    press(page, "Cameras")
    assert page.run(depth) == "230"  # below discs
    check_quiet(page, path)
