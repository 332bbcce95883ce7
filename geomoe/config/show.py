"""Readable output of a configuration: commented YAML, and the help of the command line."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import yaml

from geomoe.catalogue import METHODS
from geomoe.config.keys import argument_docs, keys, method_keys
from geomoe.config.schema import RunConfig

if TYPE_CHECKING:
    from collections.abc import Iterable

    import jsonargparse

_COMMENT_COLUMN = 36


def to_yaml(config: RunConfig) -> str:
    """Every key with its value and meaning; reading it back gives the same configuration."""
    values, sections, lines = config.as_dict(), {**argument_docs(RunConfig), **_titles(config.options)}, []
    section = ""
    for key in [*keys().values(), *(key for name in config.options for key in method_keys(name).values())]:
        if key.section != section:
            section = key.section
            lines += ["", f"{section}:".ljust(_COMMENT_COLUMN) + f"# {_phrase(sections[section])}"]
        holder = values[section] if section else values
        name = key.name.rpartition(".")[2]
        entry = f"{'  ' if section else ''}{name}: {_inline(holder[name])}"
        lines.append(entry.ljust(_COMMENT_COLUMN - 1) + f" # {_phrase(key.doc)}")
    return "\n".join(lines) + "\n"


def _titles(methods: Iterable[str]) -> dict[str, str]:
    return {name: f"options of {METHODS[name].title}" for name in methods}


def _inline(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")


def _phrase(sentence: str) -> str:
    return sentence if sentence.endswith("...") else sentence.removesuffix(".")


def keys_by_group() -> str:
    """The names of all keys in one short paragraph for each group, and the methods that have options."""
    groups: dict[str, list[str]] = {}
    for key in keys().values():
        groups.setdefault(key.section, []).append(key.name)
    titles = argument_docs(RunConfig)
    lines = ["configuration keys, each a flag such as --model.top_k 2; --help-all has their meaning:"]
    for section, names in groups.items():
        about = f" ({_phrase(titles[section])})" if section else ""
        lines.append(_wrapped(f"{section or 'general'}{about}", [f"--{name}" for name in names]))
    with_options = [name for name in METHODS if method_keys(name)]
    lines.append(_wrapped("options of methods", [f"--{name}.OPTION" for name in with_options]))
    return "\n".join(lines)


def _wrapped(title: str, words: list[str]) -> str:
    text = textwrap.fill(
        " ".join(words), 100, initial_indent=" " * 4, subsequent_indent=" " * 4, break_on_hyphens=False
    )
    return f"  {title}:\n{text}"


def keys_parser() -> jsonargparse.ArgumentParser:
    """A jsonargparse parser with every configuration key, its type, default and meaning."""
    import argparse

    from jsonargparse import ArgumentParser

    parser = ArgumentParser(usage=argparse.SUPPRESS, add_help=False, exit_on_error=False)
    sections = {**argument_docs(RunConfig), **_titles(METHODS)}
    groups = {"": parser.add_argument_group("configuration keys")}
    for key in [*keys().values(), *(key for name in METHODS for key in method_keys(name).values())]:
        if key.section not in groups:
            title = f"{key.section}: {_phrase(sections[key.section])}"
            groups[key.section] = parser.add_argument_group(title)
        groups[key.section].add_argument(f"--{key.name}", type=key.hint, default=key.default, help=key.doc)
    return parser
