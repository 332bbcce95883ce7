"""Rules that types of configuration values cannot express: ranges, known names, combinations.

All faults are collected before anything is reported, so that one run shows them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from geomoe.catalogue import ALGORITHMS, CATALOGUE, METHODS, OPTIONAL_KEYS, WRAPPERS, reads
from geomoe.config.limits import LIMITS, wrong_number, wrong_option
from geomoe.config.methods import options_of
from geomoe.config.schema import DataConfig, RunConfig
from geomoe.errors import ConfigError, ConfigFaultsError
from geomoe.support.columns import read_columns
from geomoe.support.names import file_name
from geomoe.support.text import counted, visible
from geomoe.support.words import unknown

#: Names of encoders, available without importing torch. A test compares them with the table that they
#: mirror, geomoe.encoders.ENCODERS.
ENCODER_NAMES = ("cartesian3d", "domain", "fourier", "geoclip", "satclip", "sh", "sh-siren", "wrap")
#: Name that stands for the encoder that fits the extent of the training places; see
#: :mod:`geomoe.config.reach`.
AUTO = "auto"
LOGGERS = ("csv", "tensorboard", "wandb")
#: Places are computed in float64 and encoder heads in float32, so a network cannot be of another type
#: throughout.
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


def check(config: RunConfig) -> None:
    """Refuse a configuration that cannot run.

    Raises:
        ConfigError: lists every fault, one per line.
    """
    refuse(find_faults(config))


def refuse(faults: Iterable[str]) -> None:
    """Raise one ConfigError for all faults; do nothing when there are none."""
    faults = list(dict.fromkeys(map(visible, faults)))  # one line each, whatever names they hold
    if len(faults) == 1:
        raise ConfigError(faults[0])
    if faults:
        raise ConfigFaultsError("\n  ".join([f"{len(faults)} faults in the configuration:", *faults]))


def find_faults(config: RunConfig) -> list[str]:
    """Every wrong range, name and combination, each as one line."""
    return [*_ranges(config), *_names(config), *_combinations(config)]


def value_of(config: RunConfig, key: str) -> Any:  # noqa: ANN401 - any configuration value
    """The value of a dotted key that is not an option of a method."""
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return value


def wrong_value(key: str, value: Any) -> str:  # noqa: ANN401 - any configuration value
    """Which rule of its own a value of a key, or of a method's option, breaks; empty: none."""
    if key in LIMITS:
        return wrong_number(key, value)
    section, _, name = key.partition(".")
    if section not in METHODS:
        return ""
    limits = options_of(section)[name].range
    return wrong_option(value) if value in limits else f"{limits}; got {value}"


def find_wrong_numbers(config: RunConfig) -> list[str]:
    """Every number out of its range, each as one line."""
    return list(_ranges(config))


def _ranges(config: RunConfig) -> Iterator[str]:
    for key in LIMITS:
        wrong = wrong_number(key, value_of(config, key))
        if wrong:
            yield f"{key}: {wrong}"
    for method, options in config.options.items():
        for name, value in options.items():
            wrong = wrong_value(f"{method}.{name}", value)
            if wrong:
                yield f"{method}.{name}: {wrong}"
    if isinstance(config.trainer.devices, int) and config.trainer.devices == 0:
        yield "trainer.devices: must be a number of devices, -1 (all) or auto; got 0"


def _names(config: RunConfig) -> Iterator[str]:
    data, trainer = config.data, config.trainer
    if config.algorithm not in ALGORITHMS:
        yield unknown("algorithm", "algorithm", config.algorithm, ALGORITHMS)
    for wrapper in config.around:
        if wrapper not in WRAPPERS:
            yield unknown("around", "method that wraps another", wrapper, WRAPPERS)
    if config.algorithm in config.around:
        yield f"around: {config.algorithm} wraps another method, not itself; leave it out of around"
    if len(set(config.around)) < len(config.around):
        yield f"around: each method at most once; got {list(config.around)}"
    yield from _inside_out(config)
    if data.name not in CATALOGUE:
        yield unknown("data.name", "data set", data.name, list(CATALOGUE))
    else:
        yield from _data_keys(data)
    if config.encoder.name not in (AUTO, *ENCODER_NAMES):
        yield unknown("encoder.name", "encoder", config.encoder.name, (AUTO, *ENCODER_NAMES))
    if trainer.precision not in PRECISIONS:
        yield unknown("trainer.precision", "precision", trainer.precision, PRECISIONS)
    for logger in trainer.loggers:
        if logger not in LOGGERS:
            yield unknown("trainer.loggers", "logger", logger, LOGGERS)
    if config.run_name is not None and file_name(config.run_name) != config.run_name:
        yield (
            f"run_name: must be the name of one folder, such as {file_name(config.run_name)}; "
            f"got {config.run_name!r}"
        )


def _inside_out(config: RunConfig) -> Iterator[str]:
    """Faults of what each method that can also train alone (sagm) is to wrap."""
    for number, name in enumerate(config.around):
        if name not in METHODS or not METHODS[name].wraps:
            continue
        for inner in config.methods[: number + 1]:
            if inner == name or inner not in METHODS:
                continue  # reported above
            if METHODS[inner].wrapper:
                yield f"around: {name} goes inside {inner}, not around it; name {inner} last"
            elif METHODS[inner].own_update:
                yield (
                    f"around: {name} needs a method whose update is one step along the gradient of its "
                    f"losses; {inner} has an update of its own"
                )


def _data_keys(data: DataConfig) -> Iterator[str]:
    entry = CATALOGUE[data.name]
    if data.held_out is not None and entry.domains and data.held_out not in entry.domains:
        yield unknown("data.held_out", "region", data.held_out, entry.domains)
    if data.split_version > 2:
        yield f"data.split_version: there are rules 1 and 2; got {data.split_version!r}"
    for name in data.train_domains:
        if entry.domains and name not in entry.domains:
            yield unknown("data.train_domains", "region", name, entry.domains)
        if name == data.held_out:
            yield f"data.train_domains: {name} is held out; leave it out of one of them"
    if len(set(data.train_domains)) < len(data.train_domains):
        yield f"data.train_domains: each domain once; got {list(data.train_domains)}"
    try:
        given = read_columns(data.columns)
    except ValueError as error:
        yield f"data.columns: {error}"
    else:
        if "domain" in given and data.domain_by is not None:
            yield f"data.columns, data.domain_by: both name the domain ({given['domain']}, {data.domain_by})"
    for key in OPTIONAL_KEYS:
        value, default = getattr(data, key), getattr(DataConfig, key)
        if key not in entry.keys and value != default:
            users = ", ".join(name for name, other in CATALOGUE.items() if key in other.keys)
            yield f"data.{key}: {data.name} has no such key (known to: {users or 'none'}); got {value!r}"


def _combinations(config: RunConfig) -> Iterator[str]:
    yield from _places(config)
    yield from _domains(config)
    yield from _grouping(config.data)
    yield from _network(config)
    yield from _training(config)


def _places(config: RunConfig) -> Iterator[str]:
    data, method = CATALOGUE.get(config.data.name), METHODS.get(config.algorithm)
    if data is None or method is None or data.places or not method.places:
        return
    if config.encoder.name != "domain" or not method.domain_ids:
        others = [name for name in ALGORITHMS if not METHODS[name].places]
        yield (
            f"algorithm: {config.algorithm} asks where an image was taken, and {config.data.name} has no "
            f"places; use {others[0]}{', or encoder.name domain' if method.domain_ids else ''}"
        )


def _domains(config: RunConfig) -> Iterator[str]:
    """Faults of a method that compares domains on fewer than it needs; others are found when data is read."""
    method, data = METHODS.get(config.algorithm), config.data
    numbers = {"data.train_domains": len(data.train_domains) or None, "data.num_domains": data.num_domains}
    for key, number in numbers.items():
        if method is not None and number is not None and number < method.domains:
            yield (
                f"algorithm: {config.algorithm} compares domains and needs {method.domains} to train on; "
                f"{key} leaves {number}; use another method, or train on more domains"
            )


def _grouping(data: DataConfig) -> Iterator[str]:
    groups = data.groups_per_batch
    if groups > 0 and data.batch_size is not None and data.batch_size % groups:
        yield (
            f"data.batch_size: {data.batch_size} is no multiple of data.groups_per_batch {groups}; "
            f"every domain of a batch has the same number of images"
        )
    if data.batches_per_epoch > 0 and groups == 0:
        yield (
            f"data.batches_per_epoch: {data.batches_per_epoch} without data.groups_per_batch; "
            f"an epoch that is not grouped is one pass over the data"
        )


def _training(config: RunConfig) -> Iterator[str]:
    trainer, probe = config.trainer, config.optimizer.probe_epochs
    if probe > trainer.max_epochs > 0:
        yield (
            f"optimizer.probe_epochs: the run has {counted(trainer.max_epochs, 'epoch')} "
            f"(trainer.max_epochs); set it to at most that; got {probe}"
        )
    if trainer.min_delta > 0 and trainer.patience == 0:
        yield (
            f"trainer.min_delta: {trainer.min_delta} without trainer.patience; "
            f"set trainer.patience to the number of epochs to wait for an improvement"
        )


def _network(config: RunConfig) -> Iterator[str]:
    model, encoder = config.model, config.encoder
    asked = config.algorithm not in METHODS or reads(config.algorithm, "model.top_k")
    if asked and model.top_k > model.num_experts > 0:
        yield (
            f"model.top_k: a sample uses {model.top_k} experts and model.num_experts is {model.num_experts}; "
            f"set top_k to at most {model.num_experts}"
        )
    if model.patch_size and model.patch_size > 0 and model.image_size % model.patch_size:
        yield f"model.patch_size: {model.patch_size} does not divide model.image_size {model.image_size}"
    method = METHODS.get(config.algorithm)
    if method is not None and method.experts and not model.moge_blocks:
        yield f"model.moge_blocks: algorithm {config.algorithm} needs at least one block; got none"
    if len(set(model.moge_blocks)) != len(model.moge_blocks) or min(model.moge_blocks, default=0) < 0:
        yield f"model.moge_blocks: must be different block numbers from 0; got {list(model.moge_blocks)}"
    if not encoder.capsules:
        yield "encoder.capsules: must be among 0, 1, 2; got []"
    if model.weights is not None and model.init_from is not None:
        yield "model.weights, model.init_from: give one of them; both would fill the same backbone"
    if encoder.name == "satclip" and encoder.weights is None:
        yield "encoder.weights: satclip needs its weights: a checkpoint file, or hf:NAME for the hub"
    if encoder.name != "satclip" and encoder.weights is not None:
        yield f"encoder.weights: {encoder.name} reads no weights, only satclip does; got {encoder.weights!r}"
    if encoder.name not in (AUTO, "fourier") and encoder.finest_km is not None:
        yield f"encoder.finest_km: only fourier has it, not {encoder.name}; got {encoder.finest_km:g}"
    if encoder.name == AUTO and encoder.finest_km is not None and encoder.legendre_polys is not None:
        yield (
            "encoder.legendre_polys, encoder.finest_km: auto takes sh for the one and fourier for the other; "
            "give one of them"
        )
