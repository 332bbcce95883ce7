"""Configuration files: YAML with each key once and no aliases; nothing in a file is executed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from geomoe.errors import ConfigError
from geomoe.support.files import read_text

if TYPE_CHECKING:
    from pathlib import Path


def read_yaml(path: Path, what: str = "a configuration") -> Any:  # noqa: ANN401 - whatever the file holds
    """The plain values in a YAML file; None: it is empty.

    Args:
        path: the file.
        what: what it is read as, for errors.

    Raises:
        ConfigError: one line: it cannot be read, is not YAML, has a key twice or an alias.
    """
    try:
        return yaml.load(read_text(path, ConfigError), Loader=_OnceLoader)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise ConfigError(f"{path}: cannot be read as {what}: {reason}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {_yaml_problem(error)}") from error


def _yaml_problem(error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return f"{problem or 'unreadable'}{place}"


class _OnceLoader(yaml.SafeLoader):
    """A SafeLoader that refuses a key given twice, of which YAML would silently keep the last.

    It also refuses aliases, because a few lines of them can expand to more values than fit in memory.
    """

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
            if name is None or name in seen:
                problem = f"key {name!r} is given twice" if name else "a key must be a name"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)
