"""Compare the ground that an image covers with that of the training images, and match it on request."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from geomoe.errors import DataError, InputError
from geomoe.inference.tiles import Tiling
from geomoe.support.text import metres_text

BEYOND = 1.5  # ratio of ground covered, or of pixels on a side, from which on a difference is reported

HINT = "; --match-gsd cuts the same ground"


class Ground(NamedTuple):
    """The ground that the training images covered.

    Attributes:
        metres: median ground size of their pixels; NaN where unknown.
        extent: median length of their longer side in metres; NaN where unknown.
        side: median pixels of their longer side; 0 where unknown.
        match: whether images are cut to the same ground.
    """

    metres: float = math.nan
    extent: float = math.nan
    side: int = 0
    match: bool = False

    @property
    def pixels(self) -> int:
        """Side of the median training image in pixels of the median length, which none may have had."""
        return max(round(self.extent / self.metres), 1)

    def doubts(self, metres: float, pixels: int) -> tuple[str, ...]:
        """Return warnings about an image that is resized to the input of the network.

        Args:
            metres: ground size of its pixels; NaN where unknown.
            pixels: pixels of its longer side.
        """
        ratio, coarser = metres * pixels / self.extent, metres / self.metres
        trained = f"the training images ({metres_text(self.extent)}, pixels of {metres_text(self.metres)})"
        said = []
        if not math.isnan(ratio) and not 1 / BEYOND <= ratio <= BEYOND:
            text = f"images cover {_times(ratio)} the ground of {trained} and are resized, so objects have"
            said.append(f"{text} another size{'' if self.match else HINT}")
        elif coarser > BEYOND:
            said.append(f"pixels are {_times(coarser)} as long as those of {trained}: details are missing")
        elif math.isnan(ratio) and self.side and not 1 / BEYOND <= pixels / self.side <= BEYOND:
            said.append(
                f"images have {_times(pixels / self.side)} the pixels on a side of the training images "
                f"({self.side}) and are resized; the ground size of their pixels is not known"
            )
        return tuple(said)

    def window(self, metres: float, width: int, height: int) -> tuple[int, int, int, int]:
        """Return the window in the middle of an image that covers the ground of a training image.

        Raises:
            DataError: the ground size of the image's pixels is not known.
        """
        side = max(round(self.extent / self.known(metres)), 1)
        return (width - side) // 2, (height - side) // 2, side, side

    def tiling(self, tiling: Tiling, metres: float) -> Tiling:
        """Return tiles that cover the ground that these tiles would cover in a training image.

        Raises:
            DataError: the ground size of the image's pixels is not known.
        """
        parts = tiling.size // tiling.step
        step = max(math.ceil(tiling.size * self.metres / self.known(metres) / parts - 1e-9), 1)
        return Tiling(step * parts, step)

    @staticmethod
    def known(metres: float) -> float:
        """Return the ground size of a pixel.

        Raises:
            DataError: it is not known.
        """
        if math.isnan(metres) or metres <= 0:
            raise DataError(
                "the ground size of its pixels is not known, so it cannot be matched (--match-gsd)"
            )
        return metres


def _times(ratio: float) -> str:
    """A ratio in words, rounded so that images of about one ratio are counted together."""
    return f"{_rounded(ratio)} times" if ratio >= 1 else f"1/{_rounded(1 / ratio)} of"


def _rounded(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio < 3 else f"{float(f'{ratio:.1g}'):.0f}"


def ground_of(info: Mapping[str, Any], match: bool = False) -> Ground:
    """Return the ground that the training images of a checkpoint covered.

    Args:
        info: the checkpoint's facts.
        match: whether images are cut to the same ground.

    Raises:
        InputError: ``match`` is true, and the checkpoint does not have the ground size.
    """
    metres, extent = info.get("pixel_metres") or {}, info.get("extent_metres") or {}
    found = Ground(
        float(metres.get("median", math.nan)),
        float(extent.get("median", math.nan)),
        int(info.get("source_pixels") or 0),
        match,
    )
    if match and not (found.metres > 0 and found.extent > 0):
        raise InputError(
            "--match-gsd: the checkpoint does not know the ground size of its training images' pixels: "
            "they had no georeference, or an older geomoe trained it"
        )
    return found
