"""``geomoe data info``: facts about a data set that are known before it is on disk."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from geomoe.cli.console import Result, rows
from geomoe.cli.data_text import info_text
from geomoe.config.shipped import shipped


def info(args: Namespace) -> Result:
    """Facts about one data set, or about all."""
    from geomoe.catalogue import CATALOGUE
    from geomoe.config.load import data_set_of
    from geomoe.fetching.facts import find, read_facts

    if args.name is None:
        titles = {name: read_facts(name).title for name in CATALOGUE}
        titles |= {name: heading(name) for name in shipped() if name not in titles}
        return Result(titles, rows(titles))
    name = data_set_of(args.name)
    facts = read_facts(name)
    root = next((one.value for one in reversed(args.settings) if one.key == "data.root"), None)
    found = find(facts, root) if root is not None and facts.expect else None
    data: dict[str, Any] = {
        "name": name,
        "asked": args.name,
        "configuration": heading(args.name) if args.name in shipped() else None,
        **facts._asdict(),
        "sources": [source._asdict() for source in facts.sources],
        "files": [file._asdict() for file in facts.files],
        "splits": CATALOGUE[name].splits,
        "looked_in": root,
        "folder_is_there": None if root is None else Path(root).expanduser().is_dir(),
        "found": None if found is None else not found.missing,
        "folder": None if found is None else found.folder,
        "missing": None if found is None else found.missing,
    }
    return Result(data, info_text(data))


def heading(name: str) -> str:
    """The description in the first line of a shipped configuration."""
    with shipped()[name].open(encoding="utf-8") as file:
        first = file.readline()
    return first.removeprefix("#").strip().removesuffix(" Every key, with its value and why.")
