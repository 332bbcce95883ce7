"""Quote cells of a CSV that a spreadsheet would take for formulas."""

from __future__ import annotations

import re
from typing import Any

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")  # of a table whose cells are text
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def safe_cell(value: Any) -> Any:  # noqa: ANN401 - any cell
    """A cell with an apostrophe in front where it is text that a spreadsheet would run; numbers stay.

    See https://owasp.org/www-community/attacks/CSV_Injection.
    """
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    return value if _NUMBER.fullmatch(value) else f"'{value}"
