"""Labels next to points of a figure, none of which covers another label or a point."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

SIZE = 8.5  # size of the letters, in points
_GAP = 3.0  # points between a mark and its label, and around a label
_MARK = 4.5  # radius of a mark, in points
_DISTANCES = (0.0, 9.0, 18.0, 30.0, 45.0, 62.0, 82.0, 105.0)
_LINE_FROM = 9.0  # points between mark and label from which on a line connects them
#: Directions from a point to its label, best first.
_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))


class Box(NamedTuple):
    """A rectangle in pixels."""

    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: Box) -> bool:
        """Whether they have an inner point in common."""
        apart = self.right <= other.left or other.right <= self.left
        return not (apart or self.top <= other.bottom or other.top <= self.bottom)

    def inside(self, other: Box) -> bool:
        """Whether no part of it is outside of the other."""
        wide = other.left <= self.left and self.right <= other.right
        return wide and other.bottom <= self.bottom and self.top <= other.top


def place(
    points: NDArray[np.float64], sizes: Sequence[tuple[float, float]], frame: Box, radius: float
) -> list[Box | None]:
    """Find a place for each label.

    Labels are placed one after the other, each at the nearest of a fixed set of positions that is inside the
    frame and where it covers no mark and no earlier label.

    Args:
        points: (P, 2) centres of all marks, in pixels; the first of them have labels.
        sizes: width and height of each label in pixels, including the margin around it.
        frame: the area for labels.
        radius: radius of a mark, in pixels.

    Returns:
        The box of each label; None if there is no room for it.
    """
    marks = [Box(x - radius, y - radius, x + radius, y + radius) for x, y in points]
    taken: list[Box] = []
    found: list[Box | None] = []
    for (x, y), size in zip(points, sizes, strict=False):
        boxes = (_box((x, y), size, side, radius + far * radius / _MARK) for far, side in _tries())
        free = (
            box for box in boxes if box.inside(frame) and not any(box.meets(one) for one in (*marks, *taken))
        )
        box = next(free, None)
        found.append(box)
        if box is not None:
            taken.append(box)
    return found


def _tries() -> itertools.product[tuple[float, tuple[int, int]]]:
    return itertools.product(_DISTANCES, _SIDES)


def _box(point: tuple[float, float], size: tuple[float, float], side: tuple[int, int], far: float) -> Box:
    """The box of a label on one side of a point, with its nearest edge at distance ``far``."""
    (x, y), (width, height), (right, up) = point, size, side
    left = x + right * far - (0 if right > 0 else width if right < 0 else width / 2)
    bottom = y + up * far - (0 if up > 0 else height if up < 0 else height / 2)
    return Box(left, bottom, left + width, bottom + height)


def write_labels(axes: Axes, points: NDArray[np.float64], texts: Sequence[str]) -> None:
    """Write texts next to the first points of a panel, whose limits and position in the figure must be final.

    Args:
        axes: the panel.
        points: (P, 2) data coordinates of all marks.
        texts: labels of the first points; a label for which there is no room is left out.
    """
    figure = axes.figure
    pixels = figure.dpi / 72  # of a point
    made = [axes.annotate(text, point, fontsize=SIZE) for text, point in zip(texts, points, strict=False)]
    extents = [one.get_window_extent() for one in made]
    sizes = [(one.width + 2 * pixels, one.height + _GAP * pixels) for one in extents]
    frame, shown = Box(*axes.bbox.extents), axes.transData.transform(points)
    boxes = place(shown, sizes, frame, (_MARK + 1) * pixels)
    for one, box, (x, y) in zip(made, boxes, shown, strict=False):
        one.remove()
        if box is None:
            continue
        middle = ((box.left + box.right) / 2, (box.bottom + box.top) / 2)
        near = (np.clip(x, box.left, box.right), np.clip(y, box.bottom, box.top))
        far = float(np.hypot(near[0] - x, near[1] - y)) > (_MARK + _LINE_FROM) * pixels
        axes.annotate(
            one.get_text(),
            tuple(axes.transData.inverted().transform((x, y))),
            xytext=((middle[0] - x) / pixels, (middle[1] - y) / pixels),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=SIZE,
            arrowprops={"arrowstyle": "-", "color": "#7b8a93", "lw": 0.6, "shrinkB": _MARK} if far else None,
        )
