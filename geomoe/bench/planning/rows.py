"""The rows of a bench: algorithms and the combinations of their grids, each with a checked configuration."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geomoe.bench.planning.search import default_space
from geomoe.bench.planning.spec import SELECTED_BY, Twin, data_set_of
from geomoe.catalogue import METHODS, reads
from geomoe.config.keys import Setting
from geomoe.config.load import load
from geomoe.config.methods import options_of
from geomoe.config.shipped import shipped
from geomoe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from geomoe.bench.planning.search import Space
    from geomoe.bench.planning.spec import Algorithm, Spec
    from geomoe.config import RunConfig

LOGGERS = ("csv",)


@dataclass(frozen=True)
class Row:
    """One row of the comparison, which becomes one line of the tables.

    Attributes:
        label: printed name.
        algorithm: training method.
        config: its configuration, with the first seed and the first held-out domain.
        settings: settings that make ``config`` from the shipped configuration.
        family: label of its algorithm, without the values of grids.
        point: its values of those keys of grids that belong to ``data``; rows with the same point are trained
            on the same data.
        variant: its label without the values in ``point``.
        space: search space of its trials.
        twin: the cost that a dense twin matches; None: the row is not a twin.
        of: labels of the rows that it is a twin of.
    """

    label: str
    algorithm: str
    config: RunConfig
    settings: tuple[Setting, ...]
    space: Space
    family: str = ""
    point: tuple[tuple[str, str], ...] = ()
    variant: str = ""

    @property
    def domains(self) -> int | None:
        """Number of source domains that train; None if the configuration does not limit it."""
        data = self.config.data
        return len(data.train_domains) or data.num_domains

    twin: Twin | None = None
    of: tuple[str, ...] = ()


def rows_of(spec: Spec, algorithm: Algorithm, faults: list[str]) -> Iterator[Row]:
    """The rows of one algorithm; those with faults are left out, and their faults added to ``faults``."""
    in_use = (algorithm.name, *algorithm.around)
    grid = {key: some for key, some in {**spec.grid, **algorithm.grid}.items() if _applies(key, in_use)}
    for values in itertools.product(*grid.values()):
        chosen = dict(zip(grid, values, strict=True))
        label = "-".join([algorithm.label, *_varied(chosen)])
        row = make_row(spec, label, algorithm, chosen, faults)
        if row is not None:
            yield row


def make_row(
    spec: Spec, label: str, algorithm: Algorithm, chosen: Mapping[str, Any], faults: list[str]
) -> Row | None:
    """One row with a checked configuration; None if it has faults, which are added to ``faults``."""
    settings = (
        *spec.settings,
        *algorithm.settings,
        *(Setting(key, value, f"grid of {spec.source}", text=False) for key, value in chosen.items()),
        *own_settings(spec, algorithm),
    )
    try:
        config = load(base_name(spec.data), flags=settings)
    except ConfigError as error:
        lines = str(error).split("\n  ")
        faults += [f"{label}: {line}" for line in (lines[1:] or lines)]
        return None
    given = default_space(config) if spec.search is None else spec.search
    space = {key: one for key, one in given.items() if _applies(key, config.methods)}
    same = {key: value for key, value in chosen.items() if not key.startswith("data.")}
    return Row(
        label,
        algorithm.name,
        config,
        settings,
        space if spec.trials > 1 else {},
        family=algorithm.label,
        point=tuple((key, _text(chosen[key])) for key in sorted(chosen.keys() - same.keys())),
        variant="-".join([algorithm.label, *_varied(same)]),
    )


def own_settings(spec: Spec, algorithm: Algorithm) -> list[Setting]:
    """The settings that the bench makes in every run of an algorithm."""
    own = {
        "algorithm": algorithm.name,
        "around": algorithm.around,
        "seed": spec.seeds[0],
        "data.name": data_set_of(spec.data),
        "data.held_out": spec.held_out[0],
        "trainer.max_steps": spec.budget,
        "trainer.select": SELECTED_BY[spec.selection],
        "trainer.loggers": LOGGERS,
    }
    return [Setting(key, value, spec.source, text=False) for key, value in own.items()]


def base_name(name: str) -> str | None:
    """The name of the shipped configuration that runs start from; None if the data set has none."""
    return name if name in shipped() else None


def _applies(key: str, methods: Sequence[str]) -> bool:
    """Whether a key of a grid or search space has an effect for one of the methods."""
    section, _, name = key.partition(".")
    if section == "method":
        return name in options_of(methods[0])
    return section in methods if section in METHODS else reads(methods[0], key)


def unused(spec: Spec) -> Iterator[str]:
    """Faults: keys of grids and of the search space that no row reads."""
    every = [(one.name, *one.around) for one in spec.algorithms]
    said = [("grid", spec.grid, every), ("search", spec.search or {}, every)]
    said += [
        (f"algorithms.{number}.grid", one.grid, every[number:][:1])
        for number, one in enumerate(spec.algorithms)
    ]
    for where, keys, methods in said:
        for key in keys:
            if not any(_applies(key, some) for some in methods):
                yield f"{where}.{key}: no network here reads it, so it would do nothing ({spec.source})"


def _varied(chosen: Mapping[str, Any]) -> list[str]:
    """Short names and values of a grid's keys; the last part of a key is used if it is unique."""
    last = [key.rpartition(".")[2] for key in chosen]
    short = [
        one if last.count(one) == 1 else key.replace(".", "_") for key, one in zip(chosen, last, strict=True)
    ]
    return [f"{name}{_text(value)}" for name, value in zip(short, chosen.values(), strict=True)]


def _text(value: Any) -> str:  # noqa: ANN401 - a value of a configuration
    if isinstance(value, list | tuple):
        return "+".join(map(_text, value))
    if isinstance(value, float):
        return f"{value:g}"
    return slug(str(value))


def slug(name: str) -> str:
    """A name as a part of a folder's: lower case, everything but letters, digits and dots as one hyphen."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.") or "x"
