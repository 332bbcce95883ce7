"""Assign settings of method options to the section of the method that they belong to.

``moge.aux`` is an option of moge; ``method.aux`` an option of the method in use. A file may have sections for
several methods, of which only that in use is read; a flag for a method that is not in use is refused. Files
of geomoe 0.1 have the options of moge in ``loss``; they are still read.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from geomoe.catalogue import ALGORITHMS, METHODS, WRAPPERS
from geomoe.config.keys import Setting, find_key, keys
from geomoe.config.methods import options_of, owners_of
from geomoe.config.values import read_value
from geomoe.support.words import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

log = logging.getLogger(__name__)


def in_sections(settings: Sequence[Setting], faults: list[str], *, tell: bool) -> Iterator[Setting]:
    """Settings under their final keys.

    Args:
        settings: settings of all sources; later ones override earlier ones.
        faults: refused settings are reported here.
        tell: whether to report options in the old section ``loss``.
    """
    algorithm, around = _in_use(settings)
    old: dict[str, list[str]] = {}
    for setting in settings:
        section, _, name = setting.key.partition(".")
        if section == "method":
            yield from _of_the_method(setting, algorithm, name, faults)
        elif section in METHODS and section not in (algorithm, *around):
            faults += _not_in_use(setting, section, name, algorithm)
        elif section in METHODS and name not in options_of(section):
            faults.append(f"{setting.key}: {_no_option(section, name)} ({setting.source})")
        elif section == "loss" and setting.key not in keys() and owners_of(name):
            old.setdefault(setting.source, []).append(name)
            if algorithm in owners_of(name):
                yield setting._replace(key=f"{algorithm}.{name}")
        else:
            yield setting
    for source, names in old.items() if tell else ():
        log.warning("%s: %s", source, _moved(names, algorithm))


def _moved(names: Sequence[str], algorithm: str) -> str:
    """How the options in the old section were read, in one line."""
    read = [name for name in names if algorithm in owners_of(name)]
    unused = [name for name in names if name not in read]
    told = "options of a method now have a section of its name"
    told += f"; read as {', '.join(f'{algorithm}.{name}' for name in read)}" if read else ""
    told += f"; {algorithm} has no option {', '.join(unused)}, so nothing is changed by it" if unused else ""
    return f"{', '.join(f'loss.{name}' for name in names)}: {told}"


def _in_use(settings: Sequence[Setting]) -> tuple[str, tuple[str, ...]]:
    """The algorithm and its wrappers, as far as they can be read; faults are reported elsewhere."""
    found = {"algorithm": keys()["algorithm"].default, "around": ()}
    for setting in settings:
        if setting.key in found:
            try:
                found[setting.key] = read_value(keys()[setting.key].hint, setting.value, text=setting.text)
            except ValueError:
                continue
    around = tuple(name for name in found["around"] if name in WRAPPERS)
    return found["algorithm"], around


def _of_the_method(setting: Setting, algorithm: str, name: str, faults: list[str]) -> Iterator[Setting]:
    if algorithm not in ALGORITHMS:
        return  # already reported for the algorithm
    if name in options_of(algorithm):
        yield setting._replace(key=f"{algorithm}.{name}")
    else:
        faults.append(f"{setting.key}: {_no_option(algorithm, name)} ({setting.source})")


def _not_in_use(setting: Setting, section: str, name: str, algorithm: str) -> list[str]:
    if name not in options_of(section):
        return [f"{setting.key}: {_no_option(section, name)} ({setting.source})"]
    if not setting.text and find_key(setting.key) is not None:
        return []  # a file may have sections for several methods
    ways = [f"add {section} to around"] if section in WRAPPERS else []
    ways += [f"or give --algorithm {section}"] if section in ALGORITHMS else []
    how = ", ".join(ways)
    return [f"{setting.key}: this run trains {algorithm}; leave it out, {how} ({setting.source})"]


def _no_option(method: str, name: str) -> str:
    own = options_of(method)
    near = nearest(name, own)
    others = [other for other in owners_of(name) if other != method]
    theirs = f"; {name} is an option of {', '.join(others)}" if others and not near else ""
    known = f" (known: {', '.join(own)})" if own else ""
    return f"{method} has no option {name!r}{near}{theirs}{known}"
