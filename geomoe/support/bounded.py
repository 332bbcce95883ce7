"""Bounds for plain values from files: JSON, YAML and the plain parts of checkpoints.

A few bytes can stand for values that are nested deeper than Python can follow, or that need more memory than
there is (aliases in YAML, references in a pickle), and reading a device may never end. All of these are
refused before they are used.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import yaml

from geomoe.errors import DataError
from geomoe.support.files import read_text

if TYPE_CHECKING:
    from pathlib import Path

    from geomoe.errors import GeomoeError

MOST_BYTES = 256_000_000  # limit for a file of JSON, which is read whole
MOST_YAML = 1_000_000  # bytes of a configuration
DEEPEST = 100  # lists and objects inside one another
_FOREIGN = (ValueError, TypeError, AttributeError, OverflowError, RecursionError)  # of PyYAML's converters


def refuse_bomb(value: Any, most: int = 20_000_000) -> None:  # noqa: ANN401 - any plain value
    """Refuse values that are nested too deeply, or stand for too many values (those that are repeated count).

    Args:
        value: plain values.
        most: limit for the number of lists, objects and values in them.

    Raises:
        ValueError: the values are nested too deeply or too many; the message is one line.
    """
    todo, count = [(value, 1)], 0
    while todo:
        one, depth = todo.pop()
        items = one.values() if isinstance(one, dict) else one if isinstance(one, list | tuple) else ()
        count += len(items)
        if count > most:
            raise ValueError(f"holds more than {most:,} values")
        inner = [item for item in items if isinstance(item, dict | list | tuple)]
        if inner and depth >= DEEPEST:
            raise ValueError(f"is nested more than {DEEPEST} deep")
        todo += [(item, depth + 1) for item in inner]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"has the key {key!r} twice")
    return made


def parse_json(text: str | bytes, most: int = 20_000_000) -> Any:  # noqa: ANN401 - whatever is in the text
    """The plain values of JSON, each key once.

    Raises:
        ValueError: no JSON, a key that occurs twice in one object, or values nested too deeply or too many.
    """
    try:
        value = json.loads(text, object_pairs_hook=_once)
    except RecursionError as error:
        raise ValueError(f"is nested more than {DEEPEST} deep") from error
    refuse_bomb(value, most)
    return value


def read_json(path: Path, most: int = MOST_BYTES) -> Any:  # noqa: ANN401 - whatever is in the file
    """The plain values in a JSON file.

    Raises:
        DataError: missing, no regular file, larger than ``most`` bytes, not JSON, or nested too deeply.
    """
    try:
        return parse_json(read_text(path, DataError, most))
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: cannot be read as JSON: {_one_line(error)}") from error


def read_yaml(path: Path, kind: type[GeomoeError]) -> Any:  # noqa: ANN401 - whatever is in the file
    """The plain values in a YAML file: no aliases, no tags that make objects, each key once.

    Raises:
        GeomoeError: of class ``kind``: the file is missing, no regular file, too large or not YAML.
    """
    try:
        text = read_text(path, kind, MOST_YAML)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise kind(f"{path}: cannot be read as a configuration: {reason}") from error
    try:
        value = yaml.load(text, Loader=_StrictLoader)
        refuse_bomb(value)
    except yaml.YAMLError as error:
        raise kind(f"{path}: not valid YAML: {_yaml_problem(error)}") from error
    except RecursionError as error:
        raise kind(f"{path}: not valid YAML: is nested more than {DEEPEST} deep") from error
    except _FOREIGN as error:
        raise kind(f"{path}: not valid YAML: {_one_line(error)}") from error
    return value


def _yaml_problem(error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return f"{problem or 'unreadable'}{place}"


class _StrictLoader(yaml.SafeLoader):
    """A SafeLoader that refuses a key given twice, of which YAML would silently keep the last.

    It also refuses aliases, because a few lines of them can expand to more values than fit in memory, and
    keys that are merged (``<<``). What YAML 1.1 reads in bases of 8 and 60 (``010``, ``1:30``) stays text,
    as in YAML 1.2.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 - so PyYAML declares it
        first: [(tag, pattern) for tag, pattern in known if not tag.endswith((":int", ":float"))]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Build one node, unless it is an alias."""
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            problem = f"aliases (*{event.anchor}) are not read; write the value again"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build one mapping, after a check for keys given twice."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            name = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            merged = key_node.tag == "tag:yaml.org,2002:merge"
            if name is None or name in seen or merged:
                problem = f"key {name!r} is given twice" if name else "a key must be a name"
                problem = "keys are not merged (<<); write them again" if merged else problem
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F][0-9a-fA-F_]*|0b[01][01_]*)$"),
    list("-+0123456789"),
)
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)"
        r"|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def _one_line(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200]
