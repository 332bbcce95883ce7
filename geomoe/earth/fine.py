"""Fine land, borders and regions for pages: of the whole Earth, and the outline of a region in a box."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import shapely
from shapely.affinity import scale, translate
from shapely.geometry import shape

from geomoe.earth.borders import Box, ground_in, read_borders
from geomoe.earth.land import coastlines

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELL = 0.01  # degrees: positions of the whole Earth are whole numbers of these
DETAIL = 0.02  # degrees by which a line of the whole Earth may be moved; smaller islands are left out
_SNAP = 0.012  # degrees by which the end of a border may miss the coast
_GAP = 0.06  # the same if both are simplified
WIDE = 40.0  # degrees: an outline in a wider box is cut from that of the whole Earth: 1 s, not 40
_TURNS = (-360, 0, 360)
_EVERYWHERE = shapely.box(-600, -90, 1000, 90)  # land across an edge of a map goes on beyond it


@cache
def whole_earth(left: float) -> tuple[dict[str, list[NDArray[np.int64]]], list[NDArray[np.int64]]]:
    """Rings of the land of each region and lines of borders, (N, 2) cells of :data:`CELL` degrees each.

    Regions have the names of :func:`geomoe.earth.land.coastlines` and share their positions where they meet.

    Args:
        left: longitude at which the map begins; land and borders across an edge of the map are at both edges.
    """
    land, borders = _whole(left)
    cut = np.unique(shapely.STRtree(land).query(borders, predicate="dwithin", distance=_GAP)[1])
    whole = np.delete(land, cut)
    parts = [shapely.union_all(shapely.boundary(land[cut])), *borders]
    ends = shapely.points([line.coords[k] for line in borders for k in (0, -1)])
    reach = shapely.shortest_line(ends, parts[0])
    reach = reach[(shapely.length(reach) > 0) & (shapely.length(reach) < _GAP)]
    parts += [scale(line, 1.5, 1.5, origin=line.coords[0]) for line in reach]  # beyond the coast, to meet it
    faces = np.array(shapely.polygonize(shapely.get_parts(shapely.union_all(parts))).geoms, dtype=object)
    inside = shapely.STRtree(land[cut]).query(shapely.point_on_surface(faces), predicate="within")[0]
    faces = faces[np.unique(inside)]
    owner = _owners(np.concatenate([faces, whole]), _EVERYWHERE)
    rings = {}
    for number, region in enumerate(coastlines()):
        mine, others = owner[: len(faces)] == number, owner[len(faces) :] == number
        joined = shapely.get_parts(shapely.union_all(faces[mine]))
        rings[region] = _cells(shapely.get_rings(np.concatenate([joined, whole[others]])))
    return rings, _cells(borders)


def _whole(left: float) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Polygons of land and lines of borders, simplified."""
    land, lines = read_borders()
    if left != -180:
        at_180 = np.isin(shapely.bounds(land)[:, [0, 2]], [-180, 180]).any(axis=1)
        cut = [translate(piece, turn) for turn in (0, 360) for piece in land[at_180]]
        joined = list(shapely.get_parts(shapely.union_all(cut)))
        land = np.array([*_turned(land[~at_180]), *joined], dtype=object)
        lines = _turned(lines)
    land = shapely.simplify(land, DETAIL)
    bounds = shapely.bounds(land)
    large = np.maximum(*(bounds[:, 2:] - bounds[:, :2]).T) > DETAIL
    merged = shapely.line_merge(shapely.union_all(lines))
    drawn = shapely.get_parts(shapely.simplify(merged, DETAIL))
    return land[large & _overlap(land, left)], drawn[_overlap(drawn, left)]


def region_lines(region: str, box: Box, detail: float) -> shapely.MultiLineString:
    """The fine outline of a region in a box: its coasts, and its borders to other regions.

    Land is cut along country borders, and each piece belongs to the region whose coarse outline overlaps most
    with it, or is nearest to it.

    Args:
        region: a name of :func:`geomoe.earth.land.coastlines`.
        box: west, south, east, north in degrees; east may be beyond 180, west below -180.
        detail: degrees by which a line may be moved to simplify it.
    """
    wide = max(box[2] - box[0], box[3] - box[1]) > WIDE
    outline = _outline(region, box) if wide else shapely.boundary(region_in(region, box))
    inside = shapely.box(box[0] + _SNAP, box[1] + _SNAP, box[2] - _SNAP, box[3] - _SNAP)
    within = shapely.intersection(outline, inside)
    if within is None or within.is_empty:  # an empty collection has no boundary
        return shapely.MultiLineString([])
    drawn = shapely.simplify(within, detail)
    merged = shapely.line_merge(drawn) if drawn.geom_type == "MultiLineString" else drawn
    lines = [line for line in shapely.get_parts(merged) if line.geom_type == "LineString"]
    return shapely.MultiLineString([line for line in lines if line.length > detail])


def _outline(region: str, box: Box) -> shapely.Geometry:
    """The outline of a region of the whole Earth, at longitudes of a box."""
    turn = 360 * math.floor((box[0] + 180) / 360)
    left = -180.0 if box[2] - turn <= 180 else float(math.floor(box[0] - turn))
    return shapely.MultiLineString([ring * CELL + (turn, 0) for ring in whole_earth(left)[0][region]])


def region_in(region: str, box: Box) -> shapely.Geometry:
    """The fine land of a region in a box; see :func:`region_lines`."""
    found = ground_in(box)
    coasts = found.land.boundary
    parts = [coasts, *(shapely.snap(line, coasts, _SNAP) for line in found.borders.geoms)]
    faces = np.array(shapely.polygonize(shapely.get_parts(shapely.union_all(parts))).geoms, dtype=object)
    faces = faces[shapely.contains_properly(found.land, shapely.point_on_surface(faces))]
    return shapely.union_all(faces[_owners(faces, shapely.box(*box)) == list(coastlines()).index(region)])


def _owners(faces: NDArray[np.object_], frame: shapely.Geometry) -> NDArray[np.int64]:
    """The region of each polygon: that whose coarse outline overlaps most with it, or is nearest."""
    coarse = [shapely.get_parts(_coarse(name, frame)) for name in coastlines()]
    region = np.repeat(np.arange(len(coarse)), [len(parts) for parts in coarse])
    parts = np.concatenate(coarse)
    tree = shapely.STRtree(parts)
    face, part = tree.query(faces, predicate="intersects")
    shared = np.zeros((len(faces), len(coarse)))
    np.add.at(shared, (face, region[part]), shapely.area(shapely.intersection(faces[face], parts[part])))
    owner = shared.argmax(axis=1)
    alone = np.flatnonzero(shared.max(axis=1) == 0)
    face, part = tree.query_nearest(faces[alone])
    nearest = np.full(len(alone), len(coarse))  # of no region, where the box has the coarse land of none
    np.minimum.at(nearest, face, region[part])
    owner[alone] = nearest
    return owner


def _coarse(region: str, frame: shapely.Geometry) -> shapely.Geometry:
    whole = shapely.make_valid(shape(coastlines()[region]))
    return shapely.union_all([shapely.intersection(translate(whole, turn), frame) for turn in _TURNS])


def _turned(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    return np.array([translate(one, turn) for turn in (0, 360) for one in shapes], dtype=object)


def _overlap(shapes: NDArray[np.object_], left: float) -> NDArray[np.bool_]:
    bounds = shapely.bounds(shapes)
    return (bounds[:, 0] < left + 360) & (bounds[:, 2] > left)


def _cells(lines: NDArray[np.object_]) -> list[NDArray[np.int64]]:
    return [np.rint(shapely.get_coordinates(line) / CELL).astype(np.int64) for line in lines]
