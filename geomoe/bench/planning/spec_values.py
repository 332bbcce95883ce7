"""Read the parts of a bench spec from plain values, and collect faults, to report them together."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

from geomoe.bench.planning.search import Choice, Span
from geomoe.catalogue import ALGORITHMS, METHODS
from geomoe.config.keys import Setting, find_key, nearest_key
from geomoe.config.load import convert, flatten
from geomoe.config.methods import options_of
from geomoe.config.rules import wrong_value
from geomoe.errors import ConfigError
from geomoe.support.words import nearest, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from geomoe.bench.planning.search import Space

C = TypeVar("C", bound=str)
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]*")
#: Keys that the bench sets in every run -> the part of a spec that determines them.
OWN = {
    "algorithm": "algorithms",
    "around": "algorithms",
    "seed": "seeds",
    "output": "--output",
    "run_name": "labels of algorithms",
    "data.name": "data",
    "data.held_out": "held_out",
    "trainer.max_steps": "budget",
    "trainer.max_epochs": "budget",
    "trainer.select": "selection",
    "trainer.patience": "nothing: every run has the whole budget",
    "trainer.min_delta": "nothing: every run has the whole budget",
    "trainer.loggers": "nothing: a bench reads metrics.csv alone",
}
#: Keys that determine how many images a run sees; they must be the same in all rows.
EQUAL = ("data.batch_size", "trainer.accumulate_grad_batches", "trainer.devices", "trainer.num_nodes")

#: Keys that determine which samples a run is trained and judged on. In a grid, rows with the same values are
#: compared with each other; elsewhere they must be the same in all rows.
SAMPLES = (
    *("data.root", "data.metadata", "data.columns", "data.split_seed", "data.split_version"),
    *("data.split_buffer_km", "data.protocol", "data.domain_by", "data.num_environments"),
    *("data.num_domains", "data.budget", "data.train_domains"),
)


class Reader:
    """Reads values of one spec.

    Args:
        source: name of the values' source, for faults.

    Attributes:
        faults: one line each.
    """

    def __init__(self, source: str) -> None:
        self.source, self.faults = source, list[str]()

    def fault(self, key: str, what: str) -> None:
        """Record one fault."""
        self.faults.append(f"{key}: {what} ({self.source})")

    def keys(self, values: Mapping[str, Any], known: Sequence[str], where: str = "") -> None:
        """Refuse keys that are not known, with the nearest one that is."""
        for key in values:
            if key not in known:
                name = f"{where}.{key}" if where else str(key)
                self.fault(name, f"unknown key{nearest(str(key), known)} (known: {', '.join(known)})")

    def whole(self, values: Mapping[str, Any], key: str, default: int, least: int, most: int) -> int:
        """A whole number."""
        value = values.get(key, default)
        if value is None or (type(value) is int and least <= value <= most):
            return default if value is None else value
        self.fault(key, f"expected a whole number from {least} to {most:,}; got {value!r}")
        return default

    def choice(
        self, values: Mapping[str, Any], key: str, choices: Sequence[C], default: C | None = None
    ) -> C:
        """One of several texts; the default, or the first, if the key is not given."""
        value = values.get(key, default or choices[0])
        if value in choices:
            return value
        near = nearest(value, choices) if isinstance(value, str) else ""
        self.fault(key, f"expected one of {', '.join(choices)}; got {value!r}{near}")
        return choices[0]

    def several(
        self, values: Mapping[str, Any], key: str, choices: Sequence[C], where: str = ""
    ) -> tuple[C, ...]:
        """A list of some of several texts, each at most once; empty if the key is not given."""
        value, name = values.get(key), f"{where}.{key}" if where else key
        given = [] if value is None else value if isinstance(value, list | tuple) else [value]
        for one in given:
            if one not in choices:
                self.faults.append(f"{unknown(name, 'such choice', str(one), choices)} ({self.source})")
        if len(set(map(str, given))) < len(given):
            self.fault(name, f"each at most once; got {list(given)}")
        return tuple(one for one in given if one in choices)

    def label(self, value: Any, where: str) -> str | None:  # noqa: ANN401 - what a file holds
        """A name for a row and for folders."""
        if value is None or (isinstance(value, str) and LABEL.fullmatch(value)):
            return value
        self.fault(where, f"expected letters, digits and ._+=-, as folders have them; got {value!r}")
        return None

    def settings(self, value: Any, where: str) -> tuple[Setting, ...]:  # noqa: ANN401
        """Settings of configuration keys, in sections or under dotted names."""
        if value is None:
            return ()
        found = flatten(value, f"{where} of {self.source}", self.faults)
        for one in found:
            self._check_key(one.key, where, equal=where not in ("settings", "data"))
        return tuple(found)

    def flags(self, given: Sequence[str]) -> tuple[Setting, ...]:
        """Settings given as texts KEY=VALUE on the command line; text stays text."""
        found = []
        for one in given:
            key, equals, value = one.partition("=")
            if not equals:
                self.faults.append(f"--set {one}: expected KEY=VALUE")
            elif self._check_key(key, "--set", equal=False):
                found.append(Setting(key, value, f"--set {key}"))
        return tuple(found)

    def grid(self, value: Any, where: str) -> dict[str, tuple[Any, ...]]:  # noqa: ANN401
        """Key -> values."""
        if value is None:
            return {}
        found = {}
        for one in flatten(value, f"{where} of {self.source}", self.faults):
            several = self._values(one.key, one.value, where)
            if several is not None:
                found[one.key] = several
        return found

    def space(self, value: Any, where: str, algorithms: Sequence[str]) -> Space | None:  # noqa: ANN401
        """Key -> its possible values; None: the default space."""
        if value is None or value == "default":
            return None
        if not isinstance(value, dict) or not value:
            self.fault(
                where, f"expected default, or keys with low and high or a list of values; got {value!r}"
            )
            return None
        found: Space = {}
        for key, one in value.items():
            spanned = isinstance(one, dict) and "low" in one
            if isinstance(one, dict) and not spanned:  # a section
                found |= (
                    self.space({f"{key}.{name}": item for name, item in one.items()}, where, algorithms) or {}
                )
                continue
            if not self._check_key(key, where):
                continue
            if key.startswith("method.") and not any(_has(name, key) for name in algorithms or ALGORITHMS):
                self.fault(f"{where}.{key}", "no algorithm of this spec has such an option")
            made = self._span(key, one, where) if spanned else self._choice(key, one, where)
            if made is not None:
                found[key] = made
                self._check_values(key, made, where, algorithms)
        return found

    def _check_values(self, key: str, one: Span | Choice, where: str, algorithms: Sequence[str]) -> None:
        """Refuse values that no configuration may have; else a trial that draws one fails, others do not."""
        own = [_at(name, key) for name in algorithms if _has(name, key)]
        for name in own if key.startswith("method.") else [key]:
            for value in one.values if isinstance(one, Choice) else (one.low, one.high):
                wrong = wrong_value(name, value)
                if wrong:
                    self.fault(f"{where}.{key}", wrong)

    def _choice(self, key: str, value: Any, where: str) -> Choice | None:  # noqa: ANN401
        several = self._values(key, value, where)
        return None if several is None else Choice(several)

    def _span(self, key: str, value: Mapping[str, Any], where: str) -> Span | None:
        name = f"{where}.{key}"
        self.keys(value, ("low", "high", "log"), name)
        low, high, log = value.get("low"), value.get("high"), value.get("log", False)
        ends: list[Any] = [end if end is None else self._converted(key, end, name) for end in (low, high)]
        if any(isinstance(end, bool) or not isinstance(end, int | float) for end in ends):
            self.fault(name, f"expected low and high, two numbers; got {low!r} and {high!r}")
            return None
        if not isinstance(log, bool) or not ends[0] < ends[1] or (log and ends[0] <= 0):
            self.fault(name, f"expected low below high, above 0 where log is true; got {dict(value)}")
            return None
        whole = all(isinstance(end, int) for end in ends)
        return Span(ends[0], ends[1], log, whole)

    def _values(self, key: str, value: Any, where: str) -> tuple[Any, ...] | None:  # noqa: ANN401
        if not self._check_key(key, where):
            return None
        if not isinstance(value, list | tuple) or not value:
            self.fault(f"{where}.{key}", f"expected a list of values; got {value!r}")
            return None
        found = [self._converted(key, one, f"{where}.{key}") for one in value]
        if len({repr(one) for one in found}) < len(found):
            self.fault(f"{where}.{key}", f"each value once; got {list(value)}")
        return tuple(found)

    def _converted(self, key: str, value: Any, where: str) -> Any:  # noqa: ANN401
        names = (
            [key]
            if not key.startswith("method.")
            else [_at(name, key) for name in ALGORITHMS if _has(name, key)]
        )
        for name in names[:1]:
            try:
                return convert(Setting(name, value, f"{where} of {self.source}", text=False))
            except ConfigError as error:
                self.faults.append(str(error))
        return value

    def _check_key(self, key: str, where: str, *, equal: bool = True) -> bool:
        """Whether a spec may set a key at this place; if not, report a fault."""
        name = f"{where}.{key}"
        if key in OWN:
            self.fault(name, f"the bench sets it; in a spec it is said by {OWN[key]}")
        elif equal and key in EQUAL:
            self.fault(
                name, "rows would see different numbers of images; set it in settings, for all of them"
            )
        elif equal and key in SAMPLES and not where.endswith("grid"):
            self.fault(
                name, "rows would be compared on different samples; set it in settings, or vary it in a grid"
            )
        elif find_key(key) is None and not (
            key.startswith("method.") and any(_has(one, key) for one in METHODS)
        ):
            self.fault(name, f"unknown key{nearest_key(key)}")
        else:
            return True
        return False


def _has(method: str, key: str) -> bool:
    return key.partition(".")[2] in options_of(method)


def _at(method: str, key: str) -> str:
    return f"{method}.{key.partition('.')[2]}"
