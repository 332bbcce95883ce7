"""Layers of marks: what the page and the figure hold, and what they can never do."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from geomoe.pages.atlas import RAMP, Layer, Mark, ramp_colour, render_atlas, start_box
from geomoe.pages.atlas_figure import draw_atlas

DISC = Mark(("camera 1", "50.0"), "#0072b2", lonlat=(36.9, 0.3), radius=6)
BOX = Mark(("6° E, 0° N", "10.0"), "#d55e00", box=(6.0, 0.0, 12.0, 6.0), faint=True)
REGION = Mark(("Asia", "20.0"), "#f0e442", region="Asia")
NOWHERE = Mark(("camera 2", "0.0"), "#000000")


def layer(*marks, **options):
    defaults = {"group": "All", "name": "Cameras", "title": "Accuracy", "columns": ("camera", "accuracy")}
    return Layer(**{**defaults, "listed": 2, "marks": marks, **options})


def data_of(page):
    return json.loads(re.search(r"geomoeStart\(\w+, (\{.*\})\);", page).group(1))


def test_marks_arrive_with_all_that_is_known_of_them():
    page = render_atlas("A title", [("split", "test")], [layer(DISC, BOX, REGION, NOWHERE)], held_out="Asia")
    found = data_of(page)
    assert found["layers"][0]["marks"] == [
        [["camera 1", "50.0"], "#0072b2", 0, "disc", 36.9, 0.3, 6],
        [["6° E, 0° N", "10.0"], "#d55e00", 1, "box", 6.0, 0.0, 12.0, 6.0],
        [["Asia", "20.0"], "#f0e442", 0, "region", "Asia"],
        [["camera 2", "0.0"], "#000000", 0, "none"],
    ]
    assert found["heldOut"]["name"] == "Asia"
    assert found["regions"]["Asia"] == list(found["regions"]).index("Asia")
    assert render_atlas("A title", [("split", "test")], [layer(DISC)]) == render_atlas(
        "A title", [("split", "test")], [layer(DISC)]
    )


def test_wide_pages_have_fine_land_by_region_for_the_zoom_of_a_country_and_narrow_ones_have_it_already():
    wide, narrow = (data_of(render_atlas("t", [], [layer(*marks)])) for marks in ([DISC, REGION], [DISC]))
    assert list(wide["detail"]["regions"]) == list(wide["regions"])
    assert (wide["ground"], narrow["detail"]) == (None, None)
    assert narrow["ground"]["land"]
    assert (
        wide["start"] == narrow["start"]
    )  # a page of the Earth whose places are in a part of it opens there


def test_text_cannot_end_the_script_and_the_policy_names_every_script():
    hostile = "</script><script>window.hacked=1</script>{{ 7*7 }}"
    page = render_atlas(
        hostile, [(hostile, hostile)], [layer(Mark((hostile, hostile), "#000000"), note=hostile)]
    )
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert page.count("<script") == len(scripts)
    digests = {base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts}
    assert set(re.findall(r"'sha256-([^']+)'", page)) == digests
    assert "49" not in data_of(page)["title"]
    assert not re.search(r"<(link|img|iframe|object|embed)\b", page)


def test_no_layer_is_refused():
    with pytest.raises(ValueError, match="at least one layer"):
        render_atlas("A title", [], [])


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ([DISC], [36.4, -0.2, 37.4, 0.8]),
        ([DISC, BOX, NOWHERE], [5.5, -0.5, 37.4, 6.5]),
        ([DISC, REGION], [36.4, -0.2, 37.4, 0.8]),
        ([REGION], None),
        ([NOWHERE], None),
        ([DISC, Mark(("b", ""), "#000000", lonlat=(-170.0, 0.0))], None),
    ],
)
def test_the_view_starts_where_the_marks_are(marks, expected):
    found = start_box([layer(*marks)])
    assert found is expected or found == pytest.approx(expected)


@pytest.mark.parametrize("value", [0.0, 0.1, 0.33, 0.5, 0.77, 1.0])
def test_colours_are_those_of_cividis(value):
    """matplotlib has the published table of 256 colours; ours has six of them and what lies between."""
    ours = np.array(list(bytes.fromhex(ramp_colour(value)[1:])))
    theirs = np.array(mpl.colormaps["cividis"](value)[:3]) * 255
    assert np.abs(ours - theirs).max() <= 6


def test_a_scale_ends_at_its_ends():
    assert ramp_colour(0.2, 0.2, 0.6) == ramp_colour(-5, 0.2, 0.6) == RAMP[0]
    assert ramp_colour(0.6, 0.2, 0.6) == ramp_colour(5, 0.2, 0.6) == RAMP[-1]


@pytest.mark.slow
def test_the_figure_paints_each_mark_in_its_colour():
    far = Mark(("b", ""), "#cc79a7", lonlat=(-60.0, -20.0), radius=20)
    layers = [layer(REGION, far, BOX._replace(faint=False)), layer(DISC, keys=(("#0072b2", "a $key"),))]
    figure = draw_atlas(layers, "5 $ and more $")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].reshape(-1, 3).astype(int)
    for colour in ("#f0e442", "#cc79a7", "#d55e00", "#0072b2"):
        wanted = np.array(list(bytes.fromhex(colour[1:])))
        assert (np.abs(pixels - wanted).max(axis=1) <= 14).sum() > 10, colour
    window = figure.axes[1].get_xlim()
    assert window[1] - window[0] >= 20  # one camera: enough around it to see where it is
    assert window[0] < 36.9 < window[1]
