"""Summary of a map: shares, information and verdicts, near training places and over all land."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomoe.earth.land import earth_on
from geomoe.mapping.report import BlockReport, MapReport, PointCount, SharedInformation, SupportReport
from geomoe.mapping.support import ALL_LAND, NO_LAND
from geomoe.mapping.table import BlockSummary, Points, RoutingTable, report_block, verdicts
from geomoe.metrics import mutual_information

if TYPE_CHECKING:
    from numpy.typing import NDArray


def summarise(table: RoutingTable, whole: RoutingTable | None = None) -> tuple[BlockSummary, ...]:
    """Summarise how each block's routing depends on geography, weighted by the true area of cells.

    Args:
        table: the gate weights on the grid. Shares and verdicts count the land near training places, with the
            numbers over all land in addition; if the places are not known, they count all land.
        whole: the table of the same routers on the whole Earth, for the numbers over all land; default:
            ``table``.
    """
    if table.support is None:
        return _summarise_land(table)
    near = _summarise(table, table.support.counted, table.support.area)
    beside = table if whole is None else whole
    every = _summarise_land(beside)
    return tuple(one._replace(whole=other) for one, other in zip(near, every, strict=True))


def _summarise_land(table: RoutingTable) -> tuple[BlockSummary, ...]:
    land = earth_on(table.grid).land
    return _summarise(table, land, ALL_LAND if land.any() else NO_LAND)


def _summarise(table: RoutingTable, counted: NDArray[np.bool_], area_name: str) -> tuple[BlockSummary, ...]:
    earth = earth_on(table.grid)
    land = counted.ravel()
    area = table.grid.areas().ravel()[land]
    kinds = {"land cover": earth.landcover.ravel()[land], "region": earth.region.ravel()[land]}
    summaries = []
    for block in range(table.num_blocks):
        report = report_block(table, block, counted)
        dominant = table.dominant(block).ravel()[land]
        shared = []
        for what, labels in kinds.items():
            if len(labels):
                found = mutual_information(dominant, labels, area)
                shared.append((what, found.nats / np.log(2), found.normalized))
        summaries.append(BlockSummary(report, tuple(verdicts(report)), tuple(shared), area=area_name))
    return tuple(summaries)


def report_map(
    table: RoutingTable, summaries: tuple[BlockSummary, ...], points: Points | None = None
) -> MapReport:
    """The report of a map, with numbers rounded to six decimals.

    Args:
        table: the gate weights on the grid.
        summaries: the summary of each block, in the table's order.
        points: samples that are drawn over the map.
    """
    blocks = []
    for name, summary in zip(table.blocks, summaries, strict=True):
        land = _numbers(summary.whole or summary)
        blocks.append(
            BlockReport(
                name=name,
                share_of_land=land.share,
                mean_weight=land.mean_weight,
                mean_entropy=land.mean_entropy,
                mutual_information=land.mutual_information,
                verdicts=land.verdicts,
                area=land.area,
                support=None if summary.whole is None else _numbers(summary),
            )
        )
    return MapReport(
        table.title, dict(table.facts), tuple(blocks), None if points is None else _counts(points)
    )


def _numbers(summary: BlockSummary) -> SupportReport:
    """Return the numbers of one block, rounded."""
    return SupportReport(
        tuple(summary.report.share.round(6).tolist()),
        tuple(summary.report.mean_weight.round(6).tolist()),
        round(summary.report.entropy, 6),
        {
            what: SharedInformation(round(float(bits), 6), round(float(norm), 6))
            for what, bits, norm in summary.information
        },
        tuple(summary.words),
        summary.area,
    )


def _counts(points: Points) -> dict[str, PointCount]:
    right = points.predicted == points.label
    parts = (("train", ~points.test), ("test", points.test))
    return {
        name: PointCount(int(part.sum()), int(right[part].sum()), unplaced)
        for (name, part), unplaced in zip(parts, points.unplaced, strict=True)
    }
