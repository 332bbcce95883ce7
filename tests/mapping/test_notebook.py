"""The map for notebooks: its layers, their pictures, and that it renders."""

from __future__ import annotations

import base64
import io

import folium
import numpy as np
import pytest
from folium.raster_layers import ImageOverlay
from PIL import Image

from geomoe.earth.mercator import frame
from geomoe.errors import CoordinateError
from geomoe.mapping import folium_layers, folium_map
from geomoe.pages import palette


def children(element, kind):
    return [one for one in element._children.values() if isinstance(one, kind)]


def picture(group):
    """The pixels of a layer's picture, as colours."""
    (overlay,) = children(group, ImageOverlay)
    _, _, code = overlay.url.partition("base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(code))).convert("RGB")), overlay


@pytest.mark.slow
def test_a_layer_for_each_block_and_expert_and_a_control(table):
    drawn = folium_map(table)
    names = [
        f"{block}: {what}"
        for block in table.blocks
        for what in ("dominant expert", "routing entropy", *(f"expert {k}" for k in range(table.num_experts)))
    ]
    groups = children(drawn, folium.FeatureGroup)
    assert [group.layer_name for group in groups] == names
    assert [group.show for group in groups] == [True] + [False] * (len(names) - 1)
    assert len(children(drawn, folium.LayerControl)) == 1
    assert [land.layer_name for land in children(drawn, folium.GeoJson)] == ["land"]
    page = drawn.get_root().render()
    assert page.count("L.imageOverlay(") == len(names)
    assert "tile.openstreetmap" not in page
    assert all(name in page for name in names)
    assert "openstreetmap" in folium_map(table, tiles="OpenStreetMap").get_root().render().lower()


def test_pictures_show_what_the_table_says(table):
    layers = folium_layers(table)
    view = frame(table.grid)
    colours = palette.flat(palette.expert_colours(table.num_experts))
    pixels, overlay = picture(layers[0])
    np.testing.assert_array_equal(pixels, colours[view.take(table.dominant(0))])
    west, south, east, north = view.bounds
    assert overlay.bounds == [[south, west], [north, east]]
    ramp = palette.ramp(palette.weight_stops(palette.expert_colours(table.num_experts)[3]))
    weight = np.round(view.take(table.image(1, 3)) * 255).astype(int)
    np.testing.assert_array_equal(picture(layers[2 + table.num_experts + 2 + 3])[0], ramp[weight])


def test_a_grid_that_no_web_map_shows(synthetic):
    polar = synthetic.smooth_table(1.0, (0, 86, 10, 90))
    with pytest.raises(CoordinateError, match="a web map ends at"):
        folium_map(polar)
