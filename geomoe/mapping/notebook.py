"""The routing table as layers of a folium map, to view in a notebook and combine with other layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import folium
from folium.raster_layers import ImageOverlay

from geomoe.earth.mercator import Frame, frame
from geomoe.earth.outlines import left_edge, outlines
from geomoe.pages import palette
from geomoe.pages.ground import page_ground

if TYPE_CHECKING:
    from geomoe.mapping.table import RoutingTable

_WIDEST = 1440  # pixels from west to east, as on the page


def folium_map(table: RoutingTable, tiles: str | None = None) -> folium.Map:
    """A folium map with the layers of :func:`folium_layers`, outlines of the land, and a layer control.

    Args:
        table: the routers' decisions.
        tiles: a background that folium knows, such as "OpenStreetMap"; default: none, so that no tile server
            is used. Leaflet itself is loaded from folium's own source.

    Raises:
        CoordinateError: the grid is entirely beyond the latitudes that a web map shows.
    """
    view = _view(table)
    west, south, east, north = view.bounds
    drawn = folium.Map(location=((south + north) / 2, (west + east) / 2), zoom_start=2, tiles=tiles)
    for layer in folium_layers(table):
        layer.add_to(drawn)
    shapes = [
        {"type": "Feature", "properties": {"region": name}, "geometry": geometry}
        for name, geometry in _lines(table, view).items()
    ]
    style = {"color": "#22313a", "weight": 0.6, "fill": False}
    land = folium.GeoJson(
        {"type": "FeatureCollection", "features": shapes}, name="land", style_function=lambda _: style
    )
    land.add_to(drawn)
    drawn.fit_bounds([(south, west), (north, east)])
    folium.LayerControl(collapsed=False).add_to(drawn)
    return drawn


def folium_layers(table: RoutingTable) -> list[folium.FeatureGroup]:
    """For each block: its dominant expert, its routing entropy, and each expert's weight, as image overlays.

    The first layer is visible, the others can be switched on. The pictures are those of the page: Web
    Mercator, without interpolation.

    Args:
        table: the routers' decisions.

    Raises:
        CoordinateError: the grid is entirely beyond the latitudes that a web map shows.
    """
    view, colours = _view(table), table.shades
    layers: list[folium.FeatureGroup] = []
    for block, name in enumerate(table.blocks):
        dominant = palette.png_uri(view.take(table.dominant(block)), palette.flat(colours))
        layers.append(_layer(f"{name}: dominant expert", dominant, view, show=not layers))
        entropy = palette.quantise(view.take(table.entropy(block)))
        shades = palette.png_uri(entropy, palette.ramp(palette.ENTROPY_STOPS))
        layers.append(_layer(f"{name}: routing entropy", shades, view))
        for expert, colour in enumerate(colours):
            weight = palette.quantise(view.take(table.image(block, expert)))
            picture = palette.png_uri(weight, palette.ramp(palette.weight_stops(colour)))
            layers.append(_layer(f"{name}: expert {expert}", picture, view))
    if table.support is not None:
        far = view.take(~table.support.near).astype("uint8")
        layers.append(_layer("far from training places", palette.veil_uri(far), view, show=True))
    return layers


def _lines(table: RoutingTable, view: Frame) -> dict[str, dict[str, Any]]:
    """Name -> outlines as GeoJSON: of regions, or coasts and borders on a map of a part of the Earth."""
    ground = page_ground(view.bounds)
    if ground is None:
        return outlines(left_edge(table.grid))
    return {
        name: {"type": "MultiLineString", "coordinates": ground[name]}
        for name in ("coasts", "borders")
        if ground[name]
    }


def _view(table: RoutingTable) -> Frame:
    return frame(table.grid, -(-len(table.grid.lon) // _WIDEST))


def _layer(name: str, picture: str, view: Frame, *, show: bool = False) -> folium.FeatureGroup:
    west, south, east, north = view.bounds
    group = folium.FeatureGroup(name=name, show=show)
    ImageOverlay(picture, bounds=[[south, west], [north, east]], opacity=0.8, pixelated=True).add_to(group)
    return group
