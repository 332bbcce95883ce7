"""The typed spec of a bench, which says what is compared and under which rules, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from geomoe.bench.planning.spec_values import Reader
from geomoe.catalogue import ALGORITHMS, BASELINE_METHOD, CATALOGUE, METHODS, WRAPPERS
from geomoe.config.keys import Setting
from geomoe.config.limits import MOST_RESAMPLES, MOST_RUNS, MOST_SEED, MOST_STEPS, MOST_WORKERS
from geomoe.config.rules import refuse
from geomoe.errors import ConfigError
from geomoe.support.bounded import read_yaml
from geomoe.support.words import unknown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from geomoe.bench.planning.search import Sampler, Space

Selection = Literal["accuracy", "mean", "worst", "macro_f1", "last"]
Score = Literal["accuracy", "worst", "worst_class", "macro_f1"]
Twin = Literal["parameters", "flops"]
Test = Literal["t", "wilcoxon"]
#: Selection rule -> validation metric of the source domains that picks epoch and trial.
SELECTED_BY: dict[Selection, str] = {
    "accuracy": "val_acc",
    "mean": "val_mean_region_acc",
    "worst": "val_worst_region_acc",
    "macro_f1": "val_macro_f1",
    "last": "val_acc",
}
ALL = "all"  # value of algorithms: every method that the data allows
EACH = "each"  # value of held_out: every domain, one after the other


@dataclass(frozen=True)
class Algorithm:
    """One row of the bench, before its grid.

    Attributes:
        name: name of the training method.
        label: printed name, and beginning of the names of its runs.
        around: methods that wrap it.
        settings: settings of its runs.
        grid: key -> values; every combination becomes a row.
    """

    name: str
    label: str
    around: tuple[str, ...] = ()
    settings: tuple[Setting, ...] = ()
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A bench: what is compared on which data, with which budget, and how it is judged.

    Attributes:
        data: a shipped configuration, or a data set, that every run starts from.
        algorithms: the methods that are compared.
        budget: updates of each run.
        held_out: domains left out, with one run for each; None: no domain is left out.
        seeds: seeds of training, with one run for each.
        split: "fixed", or "seed": ``data.split_seed`` is the seed of the run.
        settings: settings of every run.
        grid: key -> values, for every algorithm.
        score: score by which rows are ranked and compared, on the test split: of the held-out domain, if any.
        selection: rule on the source domains' validation that selects the epoch and the trial.
        trials: configurations tried for each row, seed and held-out domain; the first is unchanged.
        search: key -> its possible values; None: the default space.
        sampler: name of the sampler that draws the trials.
        twins: costs (parameters, training FLOPs) for which dense twins of the networks with experts are
            added.
        baseline: label of the row that the others are compared with.
        test: paired test over seeds.
        bootstrap: resamples for each interval.
        workers: number of processes on one machine.
        source: file or command that the spec was read from, for errors.
        plain: the plain values that it was read from, for worker processes.
    """

    data: str
    algorithms: tuple[Algorithm, ...]
    budget: int
    held_out: tuple[str | None, ...] = (None,)
    seeds: tuple[int, ...] = (0, 1, 2)
    split: Literal["fixed", "seed"] = "fixed"
    settings: tuple[Setting, ...] = ()
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    score: Score = "accuracy"
    selection: Selection = "accuracy"
    trials: int = 1
    search: Space | None = None
    sampler: Sampler = "random"
    twins: tuple[Twin, ...] = ()
    baseline: str | None = None
    test: Test = "t"
    bootstrap: int = 1000
    workers: int = 1
    source: str = "geomoe bench"
    plain: Mapping[str, Any] = field(default_factory=dict)


def read_spec(file: Path | None = None, given: Mapping[str, Any] | None = None) -> Spec:
    """Read a spec: a YAML file, and values by name that override its keys.

    Args:
        file: the YAML file; None: ``given`` alone.
        given: values of the command line or of Python.

    Raises:
        ConfigError: lists every fault.
    """
    values = read_yaml(file, ConfigError) if file is not None else {}
    source = str(file) if file is not None else "geomoe bench"
    if values is not None and not isinstance(values, dict):
        raise ConfigError(
            f"{source}: expected keys with values, such as algorithms and budget; got {values!r}"
        )
    return spec_of({**(values or {}), **(given or {})}, source)


def spec_of(values: Mapping[str, Any], source: str = "geomoe bench") -> Spec:
    """Read a spec from plain values, as a YAML file has them.

    Raises:
        ConfigError: lists every fault: unknown keys with the nearest one, wrong types, names and numbers.
    """
    read = Reader(source)
    known = [one.name for one in fields(Spec) if one.name not in ("source", "plain")]
    read.keys(values, [*known, *(["flags"] if "flags" in values else [])])
    for key in ("data", "algorithms", "budget"):
        if values.get(key) is None:
            read.fault(key, "is missing; give it in the spec, or as a flag")
    name, settings = _data(values.get("data"), read)
    algorithms = _algorithms(values.get("algorithms"), name, read)
    spec = Spec(
        data=name,
        algorithms=algorithms,
        budget=read.whole(values, "budget", 1, 1, MOST_STEPS),
        held_out=_held_out(values.get("held_out"), name, read),
        seeds=_seeds(values.get("seeds", 3), read),
        split=read.choice(values, "split", ("fixed", "seed")),
        settings=(
            *settings,
            *read.settings(values.get("settings"), "settings"),
            *read.flags(values.get("flags", [])),
        ),
        grid=read.grid(values.get("grid"), "grid"),
        selection=read.choice(values, "selection", get_args(Selection), _selection(name)),
        trials=read.whole(values, "trials", 1, 1, MOST_RUNS),
        search=read.space(values.get("search"), "search", [one.name for one in algorithms]),
        sampler=read.choice(values, "sampler", ("random", "optuna")),
        twins=read.several(values, "twins", get_args(Twin)),
        baseline=read.label(values.get("baseline"), "baseline"),
        test=read.choice(values, "test", get_args(Test)),
        bootstrap=read.whole(values, "bootstrap", 1000, 0, MOST_RESAMPLES),
        workers=read.whole(values, "workers", 1, 1, MOST_WORKERS),
        source=source,
        plain=dict(values),
    )
    spec = replace(spec, score=_score(values, spec, read))
    if spec.trials == 1 and values.get("search") is not None:
        read.fault("search", "with 1 trial nothing is searched; give trials, or leave search out")
    if not read.faults:
        _refuse_unused(spec, read)
    refuse(read.faults)
    return spec


def _refuse_unused(spec: Spec, read: Reader) -> None:
    """Report options of methods that train no row, because they would have no effect."""
    every = [name for one in spec.algorithms for name in (one.name, *one.around)]
    said = [
        ("settings", [one.key for one in spec.settings], every),
        ("grid", spec.grid, every),
        ("search", spec.search or {}, every),
    ]
    for number, one in enumerate(spec.algorithms):
        where, own = f"algorithms.{number}", [one.name, *one.around]
        said += [(f"{where}.settings", [s.key for s in one.settings], own), (f"{where}.grid", one.grid, own)]
    for where, keys, methods in said:
        for key in keys:
            method = key.partition(".")[0]
            if method in METHODS and method not in methods:
                read.fault(f"{where}.{key}", f"nothing here is trained by {method}, so it would do nothing")


def _data(value: Any, read: Reader) -> tuple[str, tuple[Setting, ...]]:  # noqa: ANN401 - what a file holds
    """The name, and the further keys of ``data``."""
    from geomoe.config.shipped import shipped

    given = value if isinstance(value, dict) else {"name": value}
    name = given.get("name")
    if value is None:
        return "", ()
    known = list(dict.fromkeys([*shipped(), *CATALOGUE]))
    if not isinstance(name, str) or name not in known:
        read.faults.append(
            f"{unknown('data', 'configuration or data set', str(name), known)} ({read.source})"
        )
        return "", ()
    rest = {key: item for key, item in given.items() if key != "name"}
    return name, read.settings({"data": rest} if rest else None, "data")


def data_set_of(name: str) -> str:
    """The data set of a shipped configuration, or of that name; empty if there is none."""
    from geomoe.config import load

    return load.data_set_of(name) if name else ""


def _selection(data: str) -> Selection:
    """The selection rule of the data's shipped configuration."""
    from geomoe.config import load
    from geomoe.config.shipped import shipped

    if data not in shipped():
        return "accuracy"
    metric = load.load(data, environment={}).trainer.select
    return next((rule for rule, own in SELECTED_BY.items() if own == metric), "accuracy")


def _score(values: Mapping[str, Any], spec: Spec, read: Reader) -> Score:
    """The score that is given, else the data set's main one; a held-out domain has no worst domain."""
    data_set, apart = data_set_of(spec.data), spec.held_out != (None,)
    headline = CATALOGUE[data_set].headline if data_set in CATALOGUE else "accuracy"
    default = "accuracy" if apart and headline == "worst" else headline
    score = read.choice(values, "score", get_args(Score), default)
    if score == "worst" and apart:
        read.fault("score", "a held-out domain has no worst domain; give accuracy, worst_class or macro_f1")
    return score


def _algorithms(value: Any, data: str, read: Reader) -> tuple[Algorithm, ...]:  # noqa: ANN401
    if value is None:
        return ()
    if value == ALL or value == [ALL]:
        return _every(data_set_of(data))
    if not isinstance(value, list | tuple) or not value:
        read.fault("algorithms", f"expected all, or a list of methods; got {value!r}")
        return ()
    return tuple(_algorithm(one, f"algorithms.{number}", read) for number, one in enumerate(value))


def _every(data_set: str) -> tuple[Algorithm, ...]:
    """The methods that a data set allows (those of places only if it has them), and wrappers around ERM."""
    places = data_set not in CATALOGUE or CATALOGUE[data_set].places
    names = [name for name in ALGORITHMS if places or not METHODS[name].places]
    around = [name for name, entry in METHODS.items() if entry.wrapper]
    wrapped = (Algorithm(BASELINE_METHOD, f"{BASELINE_METHOD}-{name}", (name,)) for name in around)
    return (*(Algorithm(name, name) for name in names), *wrapped)


def _algorithm(value: Any, where: str, read: Reader) -> Algorithm:  # noqa: ANN401
    given = value if isinstance(value, dict) else {"name": value}
    read.keys(given, ("name", "label", "around", "settings", "grid"), where)
    name = given.get("name")
    if not isinstance(name, str) or name not in ALGORITHMS:
        read.faults.append(f"{unknown(where, 'algorithm', str(name), ALGORITHMS)} ({read.source})")
        name = ALGORITHMS[0]
    around = read.several(given, "around", WRAPPERS, where)
    label = read.label(given.get("label"), f"{where}.label") or "-".join([name, *around])
    return Algorithm(
        name,
        label,
        around,
        read.settings(given.get("settings"), f"{where}.settings"),
        read.grid(given.get("grid"), f"{where}.grid"),
    )


def _held_out(value: Any, data: str, read: Reader) -> tuple[str | None, ...]:  # noqa: ANN401
    domains = CATALOGUE[data_set_of(data)].domains if data else ()
    if value == EACH and EACH not in domains:
        if data and not domains:
            read.fault(
                "held_out", f"the domains of {data} are known when it is read; list them in place of each"
            )
        return domains or (None,)
    several = value if isinstance(value, list | tuple) else [value]
    if not several or not all(one is None or isinstance(one, str) for one in several):
        read.fault("held_out", f"expected the name of a domain, or a list of names; got {value!r}")
        return (None,)
    for one in several:
        if one is not None and domains and one not in domains:
            read.faults.append(f"{unknown('held_out', 'domain', one, domains)} ({read.source})")
    if len(set(several)) < len(several):
        read.fault("held_out", f"each domain once; got {list(several)}")
    return tuple(several)


def _seeds(value: Any, read: Reader) -> tuple[int, ...]:  # noqa: ANN401
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_RUNS:
        return tuple(range(value))
    good = isinstance(value, list | tuple) and value
    if not (good and all(type(one) is int and 0 <= one <= MOST_SEED for one in value)) or (
        len(set(value)) < len(value)
    ):
        what = f"how many, from 1 to {MOST_RUNS:,}, or a list of different seeds up to {MOST_SEED:,}"
        read.fault("seeds", f"expected {what}; got {value!r}")
        return (0,)
    return tuple(value)
