"""Quote cells of a CSV that a spreadsheet would take for formulas, and read them again."""

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


def plain_cell(text: str) -> str:
    """The text that :func:`safe_cell` put an apostrophe in front of; other text as it is."""
    return text[1:] if text.startswith("'") and safe_cell(text[1:]) == text else text
