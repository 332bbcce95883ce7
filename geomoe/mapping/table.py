"""The routing table: the output of every router in every cell of a grid, and statistics derived from it.

The table needs only numpy, no torch; everything that is drawn or written is derived from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geomoe.errors import ConfigError
from geomoe.metrics.routing import dead_experts, entropies, over_log
from geomoe.pages.palette import expert_colours

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from geomoe.coords import Grid
    from geomoe.mapping.support import Support

#: A gate weight whose largest difference between two cells is below this counts as constant.
CONSTANT = 0.01
_CHUNK = 65_536  # cells at a time in temporary float64 arrays: a few MB


@dataclass(frozen=True, eq=False)
class RoutingTable:
    """The gate weights of every MoGE block in every cell of a grid.

    Args:
        grid: the cells; row-major, row 0 northernmost.
        weights: (M, H * W, E) float32, each row over E sums to 1.
        blocks: M names of the blocks, e.g. "block 8".
        facts: facts about the checkpoint and the map, as (name, value) pairs in the order to print them.
        title: one line that names the map.
        support: which cells are near training places; None: not known.
        colours: ``#rrggbb`` of each expert; default: those of :func:`geomoe.pages.palette.expert_colours`.

    Raises:
        ConfigError: shapes that do not fit, not one colour for each expert, weights that are not
            finite, negative or do not sum to 1.
    """

    grid: Grid
    weights: NDArray[np.float32]
    blocks: tuple[str, ...]
    facts: tuple[tuple[str, str], ...] = ()
    title: str = "Expert map"
    support: Support | None = None
    colours: tuple[str, ...] = ()
    _dominant: dict[int, NDArray[np.uint8]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        height, width = self.grid.shape
        shape = np.shape(self.weights)
        if len(shape) != 3 or shape[:2] != (len(self.blocks), height * width) or 0 in shape:
            msg = (
                f"routing table: expected weights of shape (blocks={len(self.blocks)}, "
                f"cells={height * width}, experts >= 1); got {shape}"
            )
            raise ConfigError(msg)
        if shape[2] > 255:
            msg = f"routing table: at most 255 experts can be drawn; got {shape[2]}"
            raise ConfigError(msg)
        if len(self.colours) not in (0, shape[2]):
            raise ConfigError(f"routing table: expected {shape[2]} colours; got {len(self.colours)}")
        for block, cells, part in self._chunks():
            # written so that NaN fails too
            if not (part.min() >= 0 and np.abs(part.sum(axis=1) - 1).max() <= 1e-3):
                where = f"{self.blocks[block]}, cells {cells.start} to {cells.stop - 1}"
                msg = f"routing table: gate weights must be >= 0 and sum to 1 in each cell; not so in {where}"
                raise ConfigError(msg)

    def _chunks(self) -> Iterator[tuple[int, slice, NDArray[np.float64]]]:
        for block in range(self.num_blocks):
            for start in range(0, self.weights.shape[1], _CHUNK):
                cells = slice(start, min(start + _CHUNK, self.weights.shape[1]))
                yield block, cells, self.weights[block, cells].astype(np.float64)

    @property
    def num_blocks(self) -> int:
        """M, the number of MoGE blocks."""
        return self.weights.shape[0]

    @property
    def num_experts(self) -> int:
        """E, the number of specialists in a block."""
        return self.weights.shape[2]

    @property
    def shades(self) -> list[str]:
        """The colour of each expert, ``#rrggbb``."""
        return list(self.colours) or expert_colours(self.num_experts)

    def image(self, block: int, expert: int) -> NDArray[np.float32]:
        """One expert's weights as (H, W), row 0 northernmost."""
        return self.weights[block, :, expert].reshape(self.grid.shape)

    def dominant(self, block: int) -> NDArray[np.uint8]:
        """(H, W) number of the expert with the largest weight (the lowest number where two tie)."""
        if block not in self._dominant:
            self._dominant[block] = self.weights[block].argmax(axis=1).astype(np.uint8)
        return self._dominant[block].reshape(self.grid.shape)

    def entropy(self, block: int) -> NDArray[np.float32]:
        """(H, W) entropy of the gate weights divided by log E: 0 for a single expert, 1 for equal weights."""
        out = np.zeros(self.weights.shape[1], dtype=np.float32)
        for start in range(0, len(out), _CHUNK):
            part = self.weights[block, start : start + _CHUNK].astype(np.float64)
            out[start : start + _CHUNK] = over_log(entropies(part), self.num_experts)
        return np.clip(out, 0, 1).reshape(self.grid.shape)


class BlockNumbers(NamedTuple):
    """Statistics of the routing of one block.

    Attributes:
        share: (E,) share of the area where each expert is dominant; sums to 1.
        mean_weight: (E,) area-weighted mean gate weight; sums to 1.
        spread: (E,) largest minus smallest weight over the area.
        entropy: area-weighted mean of the routing entropy, 0 to 1.
    """

    share: NDArray[np.float64]
    mean_weight: NDArray[np.float64]
    spread: NDArray[np.float64]
    entropy: float


def report_block(table: RoutingTable, block: int, mask: NDArray[np.bool_] | None = None) -> BlockNumbers:
    """Shares, mean weights and spreads of one block, weighted by the cells' true area.

    Args:
        table: the routing table.
        block: which of its blocks, from 0.
        mask: (H, W) bool, cells that count, e.g. land; None or an empty mask: all cells.
    """
    area = table.grid.areas().ravel()
    if mask is not None and mask.any():
        area = np.where(mask.ravel(), area, 0.0)
    area = area / area.sum()
    inside = area > 0
    experts = table.num_experts
    share = np.bincount(table.dominant(block).ravel(), weights=area, minlength=experts).astype(np.float64)
    mean, spread = np.empty(experts), np.empty(experts)
    for expert in range(experts):
        weight = table.weights[block, :, expert]
        mean[expert] = float(np.dot(weight, area))
        chosen = weight[inside]
        spread[expert] = float(chosen.max() - chosen.min())
    return BlockNumbers(share, mean, spread, float(np.dot(table.entropy(block).ravel(), area)))


def verdicts(report: BlockNumbers) -> list[str]:
    """Describe which experts are dead, constant or never dominant, or whether the whole routing is constant.

    Experts are numbered from 0, as everywhere. An empty list means that no fault was found.
    """
    if len(report.share) == 1:
        return ["There is one expert, so every place gets it."]
    said = []
    constant = report.spread.max() < CONSTANT
    if constant:
        said.append(
            "The routing is constant everywhere: no weight moves by more than "
            f"{100 * report.spread.max():.1f} points from one place to another."
        )
    elif report.share.max() > 1 - 1e-9:
        said.append(f"Expert {int(report.share.argmax())} is dominant everywhere.")
    dead = dead_experts(report.mean_weight)
    for expert, (share, mean, spread) in enumerate(
        zip(report.share, report.mean_weight, report.spread, strict=True)
    ):
        if expert in dead:
            said.append(f"Expert {expert} is dead: its mean weight is {100 * mean:.2f} %.")
            continue
        if spread < CONSTANT and not constant:
            said.append(f"Expert {expert} is constant: its weight is {100 * mean:.1f} % everywhere.")
        if share <= 0:
            said.append(f"Expert {expert} is never dominant (mean weight {100 * mean:.1f} %).")
    return said


class Points(NamedTuple):
    """Samples to draw over the map.

    Attributes:
        lonlat: (N, 2) degrees, longitude first; every place known.
        region: (N,) number in ``regions``; -1 unknown.
        label: (N,) number in ``classes``.
        predicted: (N,) number in ``classes``.
        test: (N,) True for test samples, False for training samples.
        regions: names of the regions.
        classes: names of the classes.
        unplaced: number of further training and test samples, whose place is not known.
    """

    lonlat: NDArray[np.float64]
    region: NDArray[np.int64]
    label: NDArray[np.int64]
    predicted: NDArray[np.int64]
    test: NDArray[np.bool_]
    regions: tuple[str, ...]
    classes: tuple[str, ...]
    unplaced: tuple[int, int] = (0, 0)


class BlockSummary(NamedTuple):
    """The text and numbers about a block that accompany its map.

    Attributes:
        report: shares, mean weights, spreads and entropy over the counted area: the land near training
            places, or all land if these are not known.
        words: faults of the routing, in words; empty if there is none.
        information: (what, bits, normalised) mutual information of the dominant expert with a
            property of the land, e.g. ("land cover", 0.61, 0.24).
        whole: the same over all land of the map, or of the Earth if the map's extent was fitted to its data;
            None: ``report`` counts all land itself.
        area: the area that ``report`` counts, in words.
    """

    report: BlockNumbers
    words: tuple[str, ...]
    information: tuple[tuple[str, float, float], ...] = ()
    whole: BlockSummary | None = None
    area: str = "all land"
