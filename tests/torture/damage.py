"""Damage to files: bits, bytes and fields that are changed at random."""

from __future__ import annotations

import math

PIECES = (
    b"\x00",
    b"\xff" * 4,
    b"{",
    b'"',
    b",",
    b"\n",
    b"-1",
    b"1e999",
    b"nan",
    b"\xf0\x9f",
    b"*a",
    b"%s",
    b"",
)


VALUES = (
    None,
    True,
    -1,
    0,
    2**70,
    1e308,
    math.nan,
    "",
    "x",
    "../../x",
    "a\nb",
    "\x1b[2J",
    [],
    {},
    [[1]],
    {"x": 1},
)


def flip(raw, draw):
    """One to eight bits turned."""
    raw = bytearray(raw)
    for _ in range(draw.choice((1, 1, 2, 8))):
        raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
    return bytes(raw)


def cut(raw, draw):
    """The beginning only."""
    return raw[: draw.randrange(len(raw))]


def swap(raw, draw):
    """Two pieces of the same length exchanged."""
    length = max(1, min(draw.choice((1, 16, 512)), len(raw) // 3))
    first = draw.randrange(len(raw) - 2 * length + 1)
    second = draw.randrange(first + length, len(raw) - length + 1)
    parts = (raw[:first], raw[second : second + length], raw[first + length : second])
    return b"".join((*parts, raw[first : first + length], raw[second + length :]))


def patch(raw, draw):
    """A piece of something else in the place of some bytes."""
    place = draw.randrange(len(raw))
    return raw[:place] + draw.choice(PIECES) + raw[place + draw.choice((0, 1, 4)) :]


def double(raw, draw):
    """A part twice."""
    first, second = sorted(draw.randrange(len(raw)) for _ in range(2))
    return raw[:second] + raw[first:]


BYTES = (flip, cut, swap, patch, double)


def damage(path, draw):
    """Change the bytes of a file; says how. The file differs afterwards."""
    raw = path.read_bytes()
    while True:
        change = draw.choice(BYTES)
        made = change(raw, draw)
        if made != raw:
            path.write_bytes(made)
            return change.__name__


def _paths(value, path=()):
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield (*path, key)
        yield from _paths(item, (*path, key))


def change_field(value, draw):
    """Replace, remove or rename a value inside plain values, in place; says which."""
    path = draw.choice(list(_paths(value)))
    inside = value
    for key in path[:-1]:
        inside = inside[key]
    how = draw.choice(("removed", "renamed", "replaced", "replaced"))
    if how == "removed":
        del inside[path[-1]]
    elif how == "renamed" and isinstance(inside, dict):
        inside[f"{path[-1]}x"] = inside.pop(path[-1])
    else:
        inside[path[-1]] = draw.choice(VALUES)
    return f"{'.'.join(map(str, path))} {how}"
