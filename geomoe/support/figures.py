"""Names in figures are text: matplotlib would read what stands between two dollars as a formula."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def plain_text() -> Iterator[None]:
    """While figures are drawn and written, ``$`` is a dollar; also a decorator of functions that draw."""
    import matplotlib as mpl  # takes half a second: only figures need it

    with mpl.rc_context({"text.parse_math": False, "text.usetex": False}):
        yield
