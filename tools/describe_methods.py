"""Write the tables of docs/methods.md from the catalogue and from the options that the methods declare.

python -m tools.describe_methods [--page docs/methods.md]
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from geomoe.catalogue import METHODS
from geomoe.config.keys import type_name
from geomoe.config.methods import options_of

PAGE = Path(__file__).parents[1] / "docs" / "methods.md"


def main() -> None:
    """Write both tables between their marks in the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--page", type=Path, default=PAGE, help="file to write (default: %(default)s)")
    args = parser.parse_args()
    args.page.write_text(filled(args.page.read_text(encoding="utf-8")), encoding="utf-8")
    print(args.page)


def filled(text: str) -> str:
    """The page with the tables as they are now.

    Raises:
        ValueError: the page lacks the marks of a table.
    """
    for name, table in (("methods", methods_table()), ("options", options_table())):
        first, last = marks(name)
        found = re.compile(f"{re.escape(first)}.*?{re.escape(last)}", flags=re.DOTALL)
        block = f"{first}\n\n{table}\n\n{last}"
        text, count = found.subn(lambda _, block=block: block, text)
        if count != 1:
            raise ValueError(f"{name}: expected the marks {first} and {last} once; found {count}")
    return text


def marks(name: str) -> tuple[str, str]:
    """The lines before and after a table."""
    return f"<!-- {name}: begin (written by tools.describe_methods) -->", f"<!-- {name}: end -->"


def methods_table() -> str:
    """One row for each method of the catalogue, as Markdown."""
    rows = [(f"`{name}`", one.title, *_needs(one), _file(one.target)) for name, one in METHODS.items()]
    return _table(("name", "title", "network", "places", "domains", "file"), rows)


def options_table() -> str:
    """One row for each option of each method, as Markdown."""
    rows = [
        (f"`{method}.{one.name}`", _type(one.hint), f"`{one.default}`", _range(one.range), one.meaning)
        for method in METHODS
        for one in options_of(method).values()
    ]
    return _table(("option", "type", "default", "range", "meaning"), rows)


def _needs(entry: Any) -> tuple[str, str, str]:  # noqa: ANN401 - an entry of the catalogue
    """Network, places and domains in words; a wrapper has those of the method inside it."""
    if entry.wrapper:
        return ("the method's", "as the method", "as the method")
    domains = f"{entry.domains} or more" if entry.domains > 1 else "any number"
    return (f"`{entry.network}`", "read" if entry.places else "not read", domains)


def _file(target: str) -> str:
    path = target.partition(":")[0].replace(".", "/") + ".py"
    return f"[{Path(path).name}](../{path})"


def _type(hint: Any) -> str:  # noqa: ANN401 - any type
    return type_name(hint).removeprefix("a ").removeprefix("one of ")


def _range(limits: object) -> str:
    return str(limits).removeprefix("must be ").replace("finite", "")


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
