"""Arrays in ``.npy`` files, which may be damaged."""

from __future__ import annotations

from tokenize import TokenError
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any


def map_array(path: Path) -> np.memmap[Any, Any]:
    """Return a read-only memory map of a ``.npy`` file; no object is unpickled.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it holds no such array.
    """
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (EOFError, TypeError, AttributeError, SyntaxError, TokenError) as error:
        # NumPy reads the header as Python 2 wrote it, too, and passes on what its tokenizer says.
        raise ValueError(f"no readable array: {error}") from error
