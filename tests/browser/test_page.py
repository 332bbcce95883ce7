"""The page in a real browser, from disk, with the network off."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from geomoe.earth.borders import GRATICULES
from geomoe.mapping.page import render_page
from geomoe.mapping.summary import summarise
from geomoe.mapping.support import find_support
from geomoe.mapping.table import Points, RoutingTable
from geomoe.pages.palette import expert_colours, flat

pytestmark = pytest.mark.browser

HOSTILE = (
    "</script><img src=x onerror=window.hacked=1><script>window.hacked=1</script>{{7*7}}${window.hacked=1}"
)


def check_quiet(browser, path):
    """No console message; no request but for the page itself and pictures inside it; none failed."""
    console, events = browser.logs()
    assert console == []
    sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    # The browser's own start page, which was there before, may still be loading its pictures.
    sent = [params for params in sent if not params["documentURL"].startswith("chrome://")]
    urls = [params["request"]["url"] for params in sent]
    assert path.as_uri() in urls
    assert [url for url in urls if url != path.as_uri() and not url.startswith(("data:", "blob:"))] == []
    failed = {e["params"]["requestId"] for e in events if e["method"] == "Network.loadingFailed"}
    assert failed & {params["requestId"] for params in sent} == set()


def press(browser, text):
    """Press the button of the layer chooser with this text."""
    next(b for b in browser.find_all("#geomoe-panel button") if b.text == text).click()


def click_place(browser, lon, lat):
    """Click on the map where a place is drawn; returns the shown weights, (blocks, experts) nested."""
    browser.run(
        "map_experts.closePopup(); map_experts.setView([arguments[1], arguments[0]], 5, {animate: false})",
        lon,
        lat,
    )
    box = browser.run("const r = map_experts.getContainer().getBoundingClientRect(); return [r.left, r.top]")
    at = browser.run(
        "const p = map_experts.latLngToContainerPoint(arguments[0]); return [p.x, p.y]", [lat, lon]
    )
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.action_builder import ActionBuilder

    actions = ActionBuilder(browser.driver)
    actions.pointer_action.move_to_location(round(box[0] + at[0]), round(box[1] + at[1])).click()
    actions.perform()
    ActionChains(browser.driver).pause(0.05).perform()
    browser.wait_for_answer()
    found = browser.run(
        "return [...document.querySelectorAll('.geomoe-answer [data-weight]')]"
        ".map(n => [n.dataset.weight, n.textContent])"
    )
    return {tuple(map(int, key.split("/"))): float(text) for key, text in found}


@pytest.fixture(scope="module")
def drawn(synthetic, tmp_path_factory):
    """A page with everything on it, and the table and points that it was drawn from."""
    table = synthetic.smooth_table(1.0, title="Expert map: a test", facts=(("Checkpoint", "best.ckpt"),))
    points = synthetic.some_points(2000)
    path = tmp_path_factory.mktemp("page") / "experts.html"
    path.write_text(render_page(table, synthetic.summaries_of(table), points, "Asia"), encoding="utf-8")
    return path, table, points


@pytest.fixture
def page(browser, drawn):
    browser.open(drawn[0])
    return browser


def test_opens_from_disk_without_a_network(page, drawn):
    assert page.driver.title == "Expert map: a test"
    assert page.find("h1").text == "Expert map: a test"
    assert "km" in page.find(".leaflet-control-scale").text
    page.find("summary").click()
    assert page.find("dl").text.split("\n") == ["Checkpoint", "best.ckpt"]
    for box in page.find_all("#geomoe-panel input"):
        if not box.is_selected():
            box.click()
    page.wait("return document.querySelectorAll('.leaflet-geomoe-points-pane canvas').length > 0")
    check_quiet(page, drawn[0])


@pytest.mark.parametrize("address", ["http://example.org/", "http://93.184.216.34/"])
def test_the_browser_has_no_network(browser, address):
    from selenium.common.exceptions import WebDriverException

    with pytest.raises(WebDriverException, match=r"ERR_PROXY_CONNECTION_FAILED|ERR_NAME_NOT_RESOLVED"):
        browser.driver.get(address)


@pytest.mark.slow
def test_layers_switch_and_the_legend_follows(page, drawn):
    _, table, _ = drawn
    seen = set()
    for number, block in enumerate(table.blocks):
        press(page, block)
        for name, state in (
            ("Dominant expert", "dominant"),
            ("Routing entropy", "entropy"),
            *((str(e),) * 2 for e in range(6)),
        ):
            press(page, name)
            assert page.run("return document.body.dataset.layer") == f"{number}/{state}"
            legend = page.find(".geomoe-legend h2").text
            what = name if len(name) > 1 else f"Weight of expert {name}"
            assert legend == f"{what}, {block}"
            pressed = [b.text for b in page.find_all("button[aria-pressed=true]")]
            assert pressed == [block, name]
            seen.add(page.find(".geomoe-picture").get_attribute("src"))
            page.wait("const i = document.querySelector('.geomoe-picture'); return i.naturalWidth === 360")
    assert len(seen) == 16


def test_legend_and_report_hold_the_numbers(page, drawn, synthetic):
    _, table, _ = drawn
    report = synthetic.summaries_of(table)[0].report
    rows = [row.text.split() for row in page.find_all(".geomoe-legend tr")[1:]]
    expected = [
        [str(e), f"{100 * report.share[e]:.1f}", "%", f"{100 * report.mean_weight[e]:.1f}", "%"]
        for e in range(6)
    ]
    shown = np.array([[float(cell) for cell in (row[1], row[3])] for row in rows])
    wanted = np.array([[float(cell) for cell in (row[1], row[3])] for row in expected])
    assert [row[0] for row in rows] == [row[0] for row in expected]
    np.testing.assert_allclose(shown, wanted, atol=0.11)
    assert "land cover share 0.61 bits (24 % normalised)" in page.find(".geomoe-report").text


@pytest.mark.parametrize("place", [(77.2, 28.6), (-179.6, -16.5), (-58.4, -62.3), (25.3, 71.2), (0.2, 0.3)])
def test_a_click_shows_every_weight_of_the_cell(page, drawn, place):
    _, table, _ = drawn
    shown = click_place(page, *place)
    text = page.find(".geomoe-answer h3").text
    lon, lat = (float(n) * (-1 if side in "WS" else 1) for n, side in re.findall(r"([\d.]+)° ([EWNS])", text))
    assert (lon, lat) == pytest.approx(place, abs=0.05)
    cell = int((90 - lat) // 1) * 360 + int((lon + 180) // 1)
    assert len(shown) == 12
    for (block, expert), weight in shown.items():
        assert weight == pytest.approx(
            float(table.weights[block, cell, expert]), abs=0.0026
        )  # 1/510 + rounding


@pytest.mark.slow
def test_points_are_drawn_and_tell_what_they_are(browser, synthetic, tmp_path):
    table = synthetic.smooth_table(2.0)
    lonlat = np.array([[10.0, 50.0], [30.0, 50.0], [10.0, 20.0]])
    region, label, predicted, test = np.array([[1, 0, -1], [0, 1, 2], [0, 2, 2], [1, 1, 0]])
    classes = ("Forest", "Desert", "Ice")
    points = Points(lonlat, region, label, predicted, test.astype(bool), ("Asia", "Europe"), classes)
    path = tmp_path / "points.html"
    path.write_text(render_page(table, synthetic.summaries_of(table), points), encoding="utf-8")
    browser.open(path)
    labels = [label.text for label in browser.find_all(".geomoe-over label")]
    assert "Test points: 2, 50.0 % correct" in labels
    assert "Training points: 1, 100.0 % correct" in labels
    dark = (
        "return [...document.querySelectorAll('.leaflet-geomoe-points-pane canvas')].reduce((n, c) => n + "
        "c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter(v => v).length, 0)"
    )
    assert browser.run(dark) == 0
    for name in ("test", "train"):
        browser.find(f"[data-option={name}]").click()
    browser.wait(f"return (() => {{ {dark} }})() > 0")
    said = []
    for lon, lat in lonlat:
        click_place(browser, lon, lat)
        said.append(browser.find(".geomoe-answer p").text)
    assert said == [
        "Test point, Europe. Forest: correct.",
        "Test point, Asia. Desert, taken for Ice.",
        "Training point, unknown. Ice: correct.",
    ]
    browser.run(
        "const s = document.querySelector('#geomoe-panel select'); s.value = '0';"
        "s.dispatchEvent(new Event('change'))"
    )
    labels = [label.text for label in browser.find_all(".geomoe-over label")]
    assert "Test points: 1, 0.0 % correct" in labels  # Asia's
    assert "Training points: 0" in labels
    browser.find("[data-option=wrong]").click()
    click_place(browser, *lonlat[0])
    assert browser.find_all(".geomoe-answer p") == []
    check_quiet(browser, path)


def test_a_band_at_45_degrees_is_drawn_at_45_degrees(browser, synthetic, tmp_path):
    table = synthetic.band_table(0.5)
    path = tmp_path / "band.html"
    path.write_text(render_page(table, synthetic.summaries_of(table)), encoding="utf-8")
    browser.open(path)
    for option in ("numbers", "coast", "veil"):
        browser.find(f"[data-option={option}]").click()
    browser.run("map_experts.setView([45, 0], 6, {animate: false})")
    browser.wait(
        "const i = document.querySelector('.geomoe-picture'); return i.complete && i.naturalWidth > 0"
    )
    shot = np.asarray(
        Image.open(io.BytesIO(base64.b64decode(browser.driver.get_screenshot_as_base64()))).convert("RGB")
    )
    left, top, width, height = browser.run(
        "const r = map_experts.getContainer().getBoundingClientRect();"
        "return [r.left, r.top, r.width, r.height]"
    )
    column = shot[int(top) : int(top + height), int(left + width / 2)].astype(int)
    rows = np.flatnonzero(np.abs(column - flat(expert_colours(2))[1]).sum(axis=1) < 30)
    edges = [
        browser.run("return map_experts.containerPointToLatLng([10, arguments[0]]).lat", int(y))
        for y in (rows[0], rows[-1] + 1)
    ]
    assert edges == pytest.approx([46, 44], abs=0.3)
    assert np.mean(edges) == pytest.approx(45, abs=0.3)


def test_a_screenshot_shows_the_dominant_expert_of_each_place(page, drawn, tmp_path):
    _, table, _ = drawn
    for option in ("numbers", "coast", "veil", "held", "graticule"):
        page.find(f"[data-option={option}]").click()
    page.wait("const i = document.querySelector('.geomoe-picture'); return i.complete && i.naturalWidth > 0")
    page.driver.save_screenshot(str(tmp_path / "page.png"))
    shot = np.asarray(Image.open(tmp_path / "page.png").convert("RGB")).astype(int)
    colours, dominant, checked = flat(expert_colours(6)), table.dominant(0), 0
    for lon in range(-150, 180, 30):
        for lat in range(-50, 75, 25):
            around = dominant[89 - lat : 92 - lat, 179 + lon : 182 + lon]
            if len(np.unique(around)) > 1:  # near a border a screen pixel may show either side
                continue
            x, y = page.run(
                "const p = map_experts.latLngToContainerPoint(arguments[0]);"
                "const r = map_experts.getContainer().getBoundingClientRect();"
                "return [r.left + p.x, r.top + p.y]",
                [lat, lon],
            )
            if 0 <= y < shot.shape[0] and not (x < 430 and y < 90):  # the zoom buttons are there
                np.testing.assert_allclose(shot[int(y), int(x)], colours[around[0, 0]], atol=2)
                checked += 1
    assert checked > 20


def test_hostile_text_stays_text(browser, synthetic, drawn, tmp_path):
    browser.open(drawn[0])
    scripts = browser.run("return document.scripts.length")
    plain = synthetic.smooth_table(3.0, blocks=1)
    table = RoutingTable(plain.grid, plain.weights, (HOSTILE,), ((HOSTILE, HOSTILE),), HOSTILE)
    points = Points(np.array([[10.0, 50.0]]), np.array([0]), np.array([0]), np.array([1]), np.array([True]),
                    (HOSTILE,), (HOSTILE, HOSTILE + "2"))  # fmt: skip
    path = tmp_path / "hostile</title><script>.html".replace("/", "_")
    path.write_text(render_page(table, synthetic.summaries_of(table), points, HOSTILE), encoding="utf-8")
    browser.open(path)
    browser.find("[data-option=test]").click()
    click_place(browser, 10.0, 50.0)
    assert browser.run("return window.hacked === undefined")
    assert browser.find("h1").text == HOSTILE
    assert HOSTILE in browser.find(".geomoe-answer p").text
    assert browser.find_all("#geomoe-panel img, #geomoe-panel script, .geomoe-answer img") == []
    assert browser.run("return document.scripts.length") == scripts
    check_quiet(browser, path)


def test_the_policy_stops_what_would_slip_through(browser, drawn):
    """Even if markup did get in, its handlers would not run and it could ask for nothing."""
    browser.open(drawn[0])
    browser.run(
        "const box = document.createElement('div');"
        "box.innerHTML = '<img src=data:,x onerror=window.hacked=1><img src=https://example.invalid/x.png>';"
        "document.body.append(box)"
    )
    browser.wait("return document.images.length >= 2")
    browser.run("return new Promise(done => setTimeout(done, 300))")
    assert browser.run("return window.hacked === undefined")
    console, events = browser.logs()
    assert sum("Content Security Policy" in message["message"] for message in console) >= 2
    assert not [e for e in events if e["method"] == "Network.responseReceived" and "example" in str(e)]


def test_a_map_of_a_box_opens_on_the_box(browser, synthetic, tmp_path):
    table = synthetic.smooth_table(1.0, (60, 20, 150, 90), blocks=1)
    path = tmp_path / "box.html"
    path.write_text(render_page(table, synthetic.summaries_of(table)), encoding="utf-8")
    browser.open(path)
    west, south, east, north = map(
        float, browser.run("return map_experts.getBounds().toBBoxString()").split(",")
    )
    assert west <= 60.5
    assert east >= 149.5
    assert south < 50 < north
    assert len(click_place(browser, 100.0, 60.0)) == 6
    assert click_place(browser, 50.0, 60.0) == {}
    assert "Outside the mapped area" in browser.find(".geomoe-answer").text
    check_quiet(browser, path)


@pytest.mark.slow
@pytest.mark.long
def test_a_map_across_the_antimeridian_is_one_map(browser, synthetic, tmp_path):
    table = synthetic.smooth_table(1.0, (165, -50, -170, 0), experts=4, blocks=1)
    lonlat = np.array([[178.5, -17.5], [-179.5, -17.5]])
    points = Points(lonlat, np.array([0, 0]), np.array([0, 1]), np.array([0, 0]), np.array([True, True]),
                    ("Oceania",), ("Forest", "Desert"))  # fmt: skip
    path = tmp_path / "fiji.html"
    page = render_page(table, synthetic.summaries_of(table), points, "Oceania")
    path.write_text(page, encoding="utf-8")
    browser.open(path)
    west, south, east, north = map(
        float, browser.run("return map_experts.getBounds().toBBoxString()").split(",")
    )
    assert west <= 165.5
    assert 189.5 <= east < 360
    assert south < -25 < north
    for lon, name in ((172.3, "172.30° E"), (179.8, "179.80° E"), (180.2, "179.80° W"), (187.6, "172.40° W")):
        shown = click_place(browser, lon, -30.5)
        where = re.match(r"([\d.]+)° ([EW]), 30", browser.find(".geomoe-answer h3").text)
        side, degrees = name[-1], float(name[:6])
        assert where[2] == side
        assert float(where[1]) == pytest.approx(degrees, abs=0.05)
        cell = 30 * 25 + int(lon - 165)
        for (block, expert), weight in shown.items():
            assert weight == pytest.approx(float(table.weights[block, cell, expert]), abs=0.0026)
        assert len(shown) == 4
    browser.find("[data-option=test]").click()
    said = []
    for lon, lat in ((178.5, -17.5), (180.5, -17.5)):
        click_place(browser, lon, lat)
        said.append([browser.find(f".geomoe-answer {part}").text for part in ("h3", "p")])
    assert said == [
        ["178.50° E, 17.50° S", "Test point, Oceania. Forest: correct."],
        ["179.50° W, 17.50° S", "Test point, Oceania. Desert, taken for Forest."],
    ]
    check_quiet(browser, path)


def test_a_narrow_window_keeps_map_and_panel_apart(browser, drawn):
    size = browser.driver.get_window_size()
    try:
        browser.driver.set_window_size(500, 900)
        browser.open(drawn[0])
        panel, area = (browser.find(s).rect for s in ("#geomoe-panel", ".geomoe-map"))
        assert area["y"] + area["height"] <= panel["y"] + 1
        assert area["height"] > 200
    finally:
        browser.driver.set_window_size(size["width"], size["height"])


def test_far_places_are_faded_and_all_land_stands_beside(browser, synthetic, tmp_path):
    """What is said counts the land near training places; the veil over the rest can be switched off."""
    box = (0.0, 40.0, 40.0, 60.0)
    plain = synthetic.smooth_table(0.5, bounds=box, experts=3, blocks=1)
    support = find_support(plain.grid, np.array([(10.0, 50.0), (11.0, 50.0)]), 300.0)
    table = RoutingTable(plain.grid, plain.weights, plain.blocks, support=support)
    summary = summarise(table)[0]
    path = tmp_path / "experts.html"
    path.write_text(render_page(table, (summary,)), encoding="utf-8")
    browser.open(path)
    heads = [node.text for node in browser.find_all(".geomoe-legend th")]
    assert heads == ["", "share of land near training places", "mean weight", "share of all land"]
    rows = [node.text for node in browser.find_all(".geomoe-legend td.right.geomoe-hint")]
    assert rows == [f"{100 * share:.1f} %" for share in summary.whole.report.share]
    shown = "return document.querySelectorAll('.leaflet-geomoe-veil-pane img').length"
    assert browser.run(shown) == 1

    def colour(lon, lat):
        browser.run("map_experts.closePopup()")
        x, y = browser.run(
            "const r = map_experts.getContainer().getBoundingClientRect();"
            "const p = map_experts.latLngToContainerPoint(arguments[0]); return [r.left + p.x, r.top + p.y]",
            [lat, lon],
        )
        picture = Image.open(io.BytesIO(browser.driver.get_screenshot_as_png())).convert("RGB")
        return np.array(picture.getpixel((round(x), round(y))), dtype=float)

    near, far = (9.3, 50.6), (30.3, 52.2)  # both on land
    before = colour(*near), colour(*far)
    browser.run("document.querySelector('[data-option=far]').click()")
    assert browser.run(shown) == 0
    after = colour(*near), colour(*far)
    np.testing.assert_array_equal(before[0], after[0])
    veil, alpha = np.array([0xEE, 0xF3, 0xF6]), 175 / 255
    np.testing.assert_allclose(before[1], after[1] * (1 - alpha) + veil * alpha, atol=3)


def test_a_country_has_borders_and_a_graticule_that_follows_the_zoom(browser, synthetic, tmp_path):
    table = synthetic.smooth_table(0.25, (5, 46, 16, 56))
    path = tmp_path / "country.html"
    path.write_text(render_page(table, synthetic.summaries_of(table)), encoding="utf-8")
    browser.open(path)

    def written():
        return browser.run(
            "return [...document.querySelectorAll('.geomoe-degree')].map((node) => node.textContent)"
        )

    def step():
        return float(browser.run("return document.body.dataset.graticule"))

    def spans():
        west, east, south, north = browser.run(
            "const b = map_experts.getBounds(); return [b.getWest(), b.getEast(), b.getSouth(), b.getNorth()]"
        )
        return max(east - west, north - south)

    for zoom in (0, 2, 4):
        if zoom:
            browser.run("map_experts.setZoom(map_experts.getZoom() + 2, { animate: false })")
        assert step() == max(one for one in GRATICULES if spans() / one >= 4)
        degrees = [float(text.split("°")[0]) for text in written()]
        assert len(degrees) >= 4
        assert all(abs(one / step() - round(one / step())) < 1e-6 for one in degrees)
        assert any(text.endswith("E") for text in written())
        assert any(text.endswith("N") for text in written())
    boxes = [browser.find(f"[data-option={name}]") for name in ("borders", "graticule")]
    assert all(box.is_selected() for box in boxes)
    boxes[1].click()
    assert written() == []
    assert browser.run("return document.querySelectorAll('.leaflet-control-scale').length") == 1


def test_a_page_of_the_earth_has_fine_coasts_and_borders_at_the_zoom_of_a_country(page, drawn):
    def see(lon, lat, zoom):
        place = "map_experts.setView([arguments[1], arguments[0]], arguments[2], {animate: false})"
        page.run(place, lon, lat, zoom)
        return page.run("return document.body.dataset.detail"), page.run(
            "let lines = 0, most = 0; map_experts.eachLayer((layer) => {"
            " if (layer.options.dashArray === '5 3') lines += layer.getLatLngs().length;"
            " if (layer.options.fillOpacity === 0.78) most = layer.getLatLngs().length; });"
            "return [lines, most]"
        )

    assert see(10, 51, 6)[0] == "fine"
    kind, (borders, rings) = see(10, 51, 6)
    assert (kind, borders > 300, rings > 3000) == ("fine", True, True)
    kind, (borders, rings) = see(0, 20, 2)
    assert (kind, borders, rings < 1000) == ("coarse", 0, True)
    check_quiet(page, drawn[0])
