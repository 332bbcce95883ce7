"""The recipes of docs/architecture.md, done to a copy of the package.

The first line of a block says what to do with the others: write a file (``new``), put them into a table (``in
NAME``), among the imports, or beside a line (``before``, ``after``).
"""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "architecture.md"
COPIED = ("geomoe", "configs", "tests", "tools")
LEFT = shutil.ignore_patterns("__pycache__", "docs", "*.tar.xz")
BLOCK = re.compile(r"^```\w+\n# (\S+?),? (.*)\n((?:.*\n)*?)```", re.MULTILINE)


class Block(NamedTuple):
    """One block of a recipe: the file, what is done there, and the lines."""

    path: str
    what: str
    lines: str


def recipes(text):
    """Heading -> blocks, of the part of the page on how to add."""
    part = text.partition("\n## How to add\n")[2].partition("\n## ")[0]
    found = {}
    for section in part.split("\n### ")[1:]:
        heading, _, body = section.partition("\n")
        blocks = BLOCK.findall(body)
        assert len(blocks) == body.count("\n```") / 2, f"{heading}: a first line does not say where"
        found[heading] = [Block(*block) for block in blocks]
    return found


def copy(target):
    """The parts of the checkout that recipes change and tests need."""
    for name in COPIED:
        shutil.copytree(ROOT / name, target / name, ignore=LEFT)
    shutil.copy(ROOT / "pyproject.toml", target)


def follow(block, root):
    """Do what a block says."""
    path = root / block.path
    if block.what == "(new)":
        assert not path.exists(), path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.lines, encoding="utf-8")
        return
    original = re.fullmatch(r"a copy of (\S+) with", block.what)
    text = (root / original[1] if original else path).read_text(encoding="utf-8")
    path.write_text(_changed(text, block, copied=original is not None), encoding="utf-8")


def _changed(text, block, *, copied):
    if copied:
        for line in block.lines.splitlines():
            head = "# geomoe train" if line.startswith("#") else f"{line.partition(':')[0]}:"
            text, count = re.subn(rf"(?m)^{head}.*$", line, text, count=1)
            assert count == 1, line
        return text
    if block.what == "among the imports":
        return text.replace("\nfrom geomoe", f"\n{block.lines}from geomoe", 1)
    table = re.fullmatch(r"in (\w+)", block.what)
    if table:
        return _into_table(text, table[1], block.lines)
    where, line = re.fullmatch(r'(before|after) "(.*)"', block.what).groups()
    (place,) = re.findall(rf"(?m)^ *{re.escape(line)}\n", text)
    both = (block.lines, place) if where == "before" else (place, block.lines)
    return text.replace(place, "".join(both), 1)


def _into_table(text, name, lines):
    """The lines as the last ones inside the brackets that a name stands for."""
    for node in ast.walk(ast.parse(text)):
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        if isinstance(node, ast.Assign | ast.AnnAssign) and any(ast.unparse(one) == name for one in targets):
            row, column = node.value.end_lineno - 1, node.value.end_col_offset - 1
            rows = text.splitlines(keepends=True)
            before = "".join(rows[:row]) + rows[row].encode()[:column].decode()
            after = rows[row].encode()[column:].decode() + "".join(rows[row + 1 :])
            comma = "" if before.rstrip()[-1] in ",{([" else ","
            return f"{before.rstrip()}{comma}\n{lines}{after}"
    raise AssertionError(f"no table {name}")
