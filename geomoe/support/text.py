"""Text that is safe to show: names in files may hold characters that a terminal obeys or cannot show."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import PurePath

# Control characters (also of 8 bits, of which one starts an escape sequence), marks that change the direction
# of the text after them, characters that nobody sees, line separators, and halves of surrogate pairs: bytes
# of a file name that are no UTF-8.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_UNSAFE_BUT_NEWLINES = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))
#: What stands for a character of geomoe's own texts where the encoding does not have it.
_PLAIN = {"\N{BOX DRAWINGS LIGHT HORIZONTAL}": "-", "\N{DEGREE SIGN}": " deg", "\N{PLUS-MINUS SIGN}": "+/-"}


def visible(text: str, *, lines: bool = False) -> str:
    r"""Text in which every character that a terminal would interpret, or not show, is written as an escape.

    Bytes of a name that are not UTF-8 become ``\xe9``, control characters ``\x1b``, marks ``\u202e``.

    Args:
        text: any text, such as a message with names of files, classes and regions.
        lines: whether to keep line breaks; if not, they are escaped too, so that a name cannot begin a new
            line.
    """
    return (_UNSAFE_BUT_NEWLINES if lines else _UNSAFE).sub(_escape, text)


def visible_json(text: str) -> str:
    """Like :func:`visible`, for text that is JSON: with JSON's escapes, so that its values do not change."""
    return _UNSAFE_BUT_NEWLINES.sub(_json_escape, text)


def encodable(text: str, encoding: str | None, *, json: bool = False) -> str:
    """Text in which characters that an encoding does not have are replaced by plainer ones, or by escapes.

    Args:
        text: any text.
        encoding: name of the encoding of a stream; None: UTF-8.
        json: whether it is JSON, whose values must not change.
    """
    encoding = encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(_letter(one, encoding, json) for one in text)
    return text


def _letter(one: str, encoding: str, json: bool) -> str:
    try:
        one.encode(encoding)
    except UnicodeEncodeError:
        if json:
            return "".join(f"\\u{unit:04x}" for unit in _units(one))
        return _PLAIN.get(one) or one.encode("ascii", "backslashreplace").decode("ascii")
    return one


def plural(unit: str) -> str:
    """Return the plural of a regular noun, or of words that end in one."""
    if unit.endswith("y") and unit[-2:-1] not in "aeiou":
        return f"{unit[:-1]}ies"
    return f"{unit}es" if unit.endswith(("s", "x", "tch", "sh")) else f"{unit}s"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: ``1 row``, ``2 rows``, ``1,234 rows``.

    Args:
        number: how many, at least 0.
        one: the noun in the singular, or with a verb: ``row is``.
        many: the same in the plural; None: :func:`plural` of ``one``.
    """
    return f"{number:,} {one if number == 1 else plural(one) if many is None else many}"


def metres_text(metres: float) -> str:
    """Return a length in metres with three digits, all of those before the point: 9.98 m, 639 m, 1,279 m."""
    return f"{metres:,.0f} m" if metres >= 999.5 else f"{metres:.3g} m"


def is_utf8(name: str | PurePath) -> bool:
    """Whether the name of a file is UTF-8; tables, JSON and pages can hold no other."""
    return not any("\ud800" <= one <= "\udfff" for one in os.fspath(name))


def why_not_utf8(name: str | PurePath, advice: str = "rename it") -> str:
    """Why :func:`is_utf8` is false of a name, and what to do: the name is at fault, or the locale.

    Where the locale is not UTF-8 and Python's UTF-8 mode is off, Python cannot decode a name that is UTF-8.

    Args:
        name: the name of a file.
        advice: what to do if the name is at fault.
    """
    encoding = sys.getfilesystemencoding()
    try:
        os.fsencode(name).decode("utf-8")
        in_utf8 = encoding != "utf-8"
    except UnicodeError:
        in_utf8 = False
    if in_utf8:
        return f"Python reads names of files as {encoding} here; set PYTHONUTF8=1, or a locale of UTF-8"
    return f"the name is not in UTF-8; {advice}"


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte that it cannot decode
        code -= 0xDC00
    named = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}
    digits = f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return named.get(code, digits)


def _json_escape(found: re.Match[str]) -> str:
    return "".join(f"\\u{unit:04x}" for unit in _units(found[0]))


def _units(one: str) -> list[int]:
    """The UTF-16 units of a character."""
    raw = one.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]
