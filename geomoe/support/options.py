"""Options of a method: default, range and meaning, written once, where the method is.

A method declares them in a nested frozen dataclass::

    @dataclass(frozen=True)
    class Options(Method.Options):
        eta: float = option(0.01, "step size of the group weights", at_least=0)

Type and default come from the field, range and meaning from :func:`option`. The command line, configuration
files, checks and the tables in docs/ read them from there, without importing torch
(:mod:`geomoe.config.methods`). So the arguments of :func:`option` are literals.
"""

from __future__ import annotations

import math
from dataclasses import field, fields
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from geomoe.errors import ConfigError


class Range(NamedTuple):
    """Which numbers an option may hold; None: no bound on that side."""

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None

    def __contains__(self, value: object) -> bool:
        """Whether a number lies inside; what is no number always does."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return True
        return (
            math.isfinite(value)
            and (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
            and (self.below is None or value < self.below)
            and (self.at_most is None or value <= self.at_most)
        )

    def __str__(self) -> str:
        """The rule in words, as in ``must be above 0``."""
        words = (
            ("above {:g}", self.above),
            ("at least {:g}", self.at_least),
            ("below {:g}", self.below),
            ("at most {:g}", self.at_most),
        )
        bounds = [text.format(bound) for text, bound in words if bound is not None]
        return f"must be {' and '.join(bounds)}" if bounds else "must be finite"


def option(
    default: Any,  # noqa: ANN401 - the type is that of the field
    meaning: str,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> Any:  # noqa: ANN401 - a dataclass field
    """Declare one option of a method.

    Args:
        default: its value when nothing else is said.
        meaning: one phrase for ``--help`` and the docs, with the unit.
        above: the value has to be larger.
        at_least: the value has to be this or larger.
        below: the value has to be smaller.
        at_most: the value has to be this or smaller.
    """
    limits = Range(above, at_least, below, at_most)
    return field(default=default, metadata={"meaning": meaning, "range": limits})


def check_options(options: Any) -> None:  # noqa: ANN401 - an Options dataclass of any method
    """Refuse options out of their ranges.

    Raises:
        ConfigError: names the first one, its rule and its value.
    """
    hints = get_type_hints(type(options))
    for item in fields(options):
        value, limits = getattr(options, item.name), item.metadata["range"]
        if get_origin(hints[item.name]) is Literal and value not in get_args(hints[item.name]):
            choices = ", ".join(map(str, get_args(hints[item.name])))
            raise ConfigError(f"{item.name}: expected one of {choices}; got {value!r}")
        if value not in limits:
            raise ConfigError(f"{item.name}: {limits}; got {value}")
