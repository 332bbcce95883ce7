"""The typed values of a map's report; field names are the keys of ``experts.json`` (docs/maps.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geomoe.errors import DataError, InputError, one_line
from geomoe.support.bounded import read_json
from geomoe.support.plain import from_plain, to_plain

if TYPE_CHECKING:
    import os


@dataclass(frozen=True)
class SharedInformation:
    """Mutual information of the dominant expert with a property of the land: in bits, and from 0 to 1."""

    bits: float
    normalized: float


@dataclass(frozen=True)
class SupportReport:
    """The routing of one MoGE block on the land near training places, weighted by true area.

    Attributes:
        share: (E,) share of the area where each expert has the largest weight; sums to 1.
        mean_weight: (E,) mean gate weight; sums to 1.
        mean_entropy: mean entropy of the gate weights divided by log E: 0 for a single expert, 1 for equal
            weights.
        mutual_information: property of the land -> mutual information of the dominant expert with it.
        verdicts: faults of the routing, in words.
        area: the counted area, in words; other cells are counted if there is no such land.
    """

    share: tuple[float, ...]
    mean_weight: tuple[float, ...]
    mean_entropy: float
    mutual_information: dict[str, SharedInformation]
    verdicts: tuple[str, ...]
    area: str = "land near training places"


@dataclass(frozen=True)
class BlockReport:
    """The routing of one MoGE block over all land, weighted by true area.

    Attributes:
        name: name of the block.
        share_of_land: (E,) share of the area where each expert has the largest weight; sums to 1.
        mean_weight: (E,) mean gate weight; sums to 1.
        mean_entropy: mean entropy of the gate weights divided by log E: 0 for a single expert, 1 for equal
            weights.
        mutual_information: property of the land -> mutual information of the dominant expert with it.
        verdicts: faults of the routing, in words.
        support: the same near training places; None: these are not known.
        area: the counted area, in words; all cells are counted if the map holds no land.
    """

    name: str
    share_of_land: tuple[float, ...]
    mean_weight: tuple[float, ...]
    mean_entropy: float
    mutual_information: dict[str, SharedInformation]
    verdicts: tuple[str, ...]
    support: SupportReport | None = None
    area: str = "all land"


@dataclass(frozen=True)
class PointCount:
    """Samples of one split: with a known place, correct ones among these, and with an unknown place."""

    count: int
    correct: int
    unknown_place: int


@dataclass(frozen=True)
class MapReport:
    """The content of ``experts.json``.

    Attributes:
        title: one line that names the map.
        facts: facts about the checkpoint and the map, by name.
        blocks: one for each MoGE block.
        points: train and test -> samples; None: the map has none.
    """

    title: str
    facts: dict[str, str]
    blocks: tuple[BlockReport, ...]
    points: dict[str, PointCount] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; a copy."""
        data = to_plain(self)
        if self.points is None:  # a key of maps with samples alone
            del data["points"]
        for block, plain in zip(self.blocks, data["blocks"], strict=True):
            if block.support is None:
                del plain["support"]
        return data

    def text(self) -> str:
        """The shares, mutual information and verdicts of each block, in words."""
        lines = []
        for block in self.blocks:
            found: SupportReport | BlockReport = block.support or block
            where = found.area
            if block.support:
                where = f"{'the ' if where.startswith('land') else ''}{where} ({self.facts['Support']})"
            first = block.support.share if block.support else block.share_of_land
            lines += ["", f"{block.name}: dominant expert's share of {where}: {_shares(first)}"]
            for what, shared in found.mutual_information.items():
                said = f"{shared.bits:.2f} bits ({shared.normalized:.0%} normalised)"
                lines.append(f"dominant expert and {what} share {said}")
            lines += found.verdicts
            if block.support:
                lines.append(f"beside it, share of {block.area}: {_shares(block.share_of_land)}")
        return "\n".join(lines)

    def as_json(self) -> str:
        """The content of the file."""
        return json.dumps(self.as_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> MapReport:
        """Read a saved report: the map's folder, or the ``experts.json`` in it.

        Raises:
            DataError: no report there, or one with a field that is missing or wrong.
        """
        file = Path(path)
        file = file / "experts.json" if file.is_dir() else file
        try:
            return from_plain(cls, read_json(file))
        except InputError as error:
            raise DataError(f"{file}: not the report of a map: {one_line(error, 300)}") from error


def _shares(shares: tuple[float, ...]) -> str:
    return ", ".join(f"expert {k} {share:.0%}" for k, share in enumerate(shares))
