"""Expert maps: the output of a checkpoint's routers everywhere on Earth.

One routing table (:mod:`geomoe.mapping.table`) becomes a page, a raster, a vector file and a figure.
"""

from __future__ import annotations

from geomoe.support import on_first_use

# public name -> its module, imported on first use, so that tables and pages need no torch
_PUBLIC = {
    "MapOptions": "geomoe.mapping.draw",
    "MapReport": "geomoe.mapping.report",
    "MapResult": "geomoe.mapping.draw",
    "Points": "geomoe.mapping.table",
    "RoutingTable": "geomoe.mapping.table",
    "folium_layers": "geomoe.mapping.notebook",
    "folium_map": "geomoe.mapping.notebook",
    "map_experts": "geomoe.mapping.draw",
    "render_page": "geomoe.mapping.page",
    "route_grid": "geomoe.mapping.draw",
    "write_figure": "geomoe.mapping.figure",
    "write_raster": "geomoe.mapping.raster",
    "write_vector": "geomoe.mapping.vector",
}

__all__ = sorted(_PUBLIC)

__getattr__ = on_first_use(__name__, _PUBLIC)
