"""Names in figures are text: matplotlib would read what stands between two dollars as a formula."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from geomoe.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.figure import Figure

#: Format of a figure -> metadata that would differ from run to run, left out.
_UNDATED: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None},
    "svg": {"Date": None},
}
FORMATS = tuple(_UNDATED)


def check_format(name: str) -> str:
    """Return the format of a figure.

    Raises:
        InputError: it is not one of :data:`FORMATS`.
    """
    if name not in FORMATS:
        raise InputError(f"figure_format: expected one of {', '.join(FORMATS)}; got {name!r}")
    return name


def save_figure(figure: Figure, path: Path, name: str, dpi: int) -> None:
    """Write a figure; the same figure gives the same bytes.

    Args:
        figure: the figure.
        path: the file.
        name: one of :data:`FORMATS`; text stays text in pdf and svg, so that it can be searched and edited.
        dpi: pixels per inch, of a png and of pictures inside the others.
    """
    import matplotlib as mpl

    fixed = {"svg.hashsalt": "geomoe", "svg.fonttype": "none", "pdf.fonttype": 42}
    with plain_text(), mpl.rc_context(fixed):  # type: ignore[arg-type]
        figure.savefig(path, format=check_format(name), dpi=dpi, metadata=_UNDATED[name])


@contextlib.contextmanager
def plain_text() -> Iterator[None]:
    """While figures are drawn and written, ``$`` is a dollar; also a decorator of functions that draw."""
    import matplotlib as mpl  # takes half a second: only figures need it

    with mpl.rc_context({"text.parse_math": False, "text.usetex": False}):
        yield
