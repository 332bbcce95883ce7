"""A run's folder: where it is, what it contains, and when it may be written again.

``OUTPUT/<data>/<algorithm>/<name>/`` holds ``config.yaml`` (resolved), ``run.json`` (what is needed
to repeat the run), ``metrics.csv`` (one row for each epoch), TensorBoard logs, ``checkpoints/last.ckpt`` and
``checkpoints/best.ckpt``, and ``done`` once the run has ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from geomoe.catalogue import METHODS
from geomoe.config import ModelConfig, RunConfig
from geomoe.config.load import read_config
from geomoe.config.reach import keep_choice
from geomoe.errors import ConfigError, OutputError
from geomoe.support.bounded import read_yaml
from geomoe.support.files import missing_folders, reason, remove_empty, whole_file
from geomoe.support.locks import lock, release
from geomoe.support.names import file_name
from geomoe.training.record import now, read_record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Keys that may differ on --resume: they determine where the run is and how it is monitored, not its result.
FREE_KEYS = (
    *("output", "run_name", "data.root", "data.num_workers"),
    *("trainer.loggers", "trainer.checkpoint_every_n_steps"),
)
SPACE_MB = 64  # free space below which a run is refused: a few checkpoints of a small network


class RunFolder:
    """The files of one run.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def last(self) -> Path:
        """Checkpoint of the newest state, for --resume."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def best(self) -> Path:
        """Checkpoint of the epoch that validation selected."""
        return self.path / "checkpoints" / "best.ckpt"

    @property
    def metrics(self) -> Path:
        """The table of metrics, one row for each epoch."""
        return self.path / "metrics.csv"

    @property
    def done(self) -> Path:
        """A file that exists once the run has ended."""
        return self.path / "done"

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from training in this folder until the block ends.

        Raises:
            OutputError: another process trains there, or no folder can be made.
        """
        file = self.path.with_name(f".{self.path.name}.lock")
        missing = missing_folders(file.parent)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(file, os.O_CREAT | os.O_RDWR)
        except OSError as error:
            remove_empty(missing)
            msg = f"{self.path}: cannot be created: {reason(error)}; choose another --output"
            raise OutputError(msg) from error
        try:
            lock(handle, file, f"training in {self.path}")
            try:
                yield
            finally:
                file.unlink(missing_ok=True)
        finally:
            release(handle)
            os.close(handle)
            remove_empty(missing)

    def check_new(self, *, replace: bool) -> None:
        """Check that a new run can begin here; folders that the check creates are removed again.

        A folder without any file was left by a run that was killed when it began; the new run may use it.

        Args:
            replace: whether an earlier folder may be deleted (only for dry runs).

        Raises:
            OutputError: the folder already exists, cannot be made, or has no space left.
        """
        if self.path.exists() and not replace and any(path.is_file() for path in self.path.rglob("*")):
            state = "a finished run" if self.done.exists() else "an unfinished run"
            how = "" if self.done.exists() else "continue it with --resume, "
            msg = f"{self.path}: {state} is there already; {how}choose another --run_name or remove it"
            raise OutputError(msg)
        if not self.path.exists():
            self._make()
            self.discard()

    def _make(self) -> None:
        try:
            (self.path / "checkpoints").mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.path).free / 2**20
        except OSError as error:
            msg = f"{self.path}: cannot be created: {reason(error)}; choose another --output"
            raise OutputError(msg) from error
        if free < SPACE_MB:
            self.discard()
            what = f"{self.path}: only {free:.0f} MB free, {SPACE_MB} needed"
            msg = f"{what}; make space or choose another --output"
            raise OutputError(msg)

    def start(self, config: RunConfig) -> None:
        """Make an empty folder and write ``config.yaml``.

        Raises:
            OutputError: the folder cannot be written.
        """
        shutil.rmtree(self.path, ignore_errors=True)
        self._make()
        write_text(self.path / "config.yaml", yaml.safe_dump(config.as_dict(), sort_keys=False))

    def sweep(self) -> None:
        """Remove the scratch files of a process that was killed while it wrote."""
        for path in (self.last, self.best, self.metrics, self.path / "run.json"):
            for scratch in path.parent.glob(f".{path.stem}-*{path.suffix}"):
                scratch.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the folder of a run that trained nothing, and parent folders that are then empty."""
        shutil.rmtree(self.path, ignore_errors=True)
        remove_empty(self.path.parents[:2])

    def check_resume(self, config: RunConfig) -> None:
        """Check that the run in this folder can be resumed with this configuration.

        A run that was stopped before its first checkpoint starts again.

        Raises:
            OutputError: there is nothing to resume, or the run has ended.
            ConfigError: the run has another configuration; the message names the keys that differ.
            DataError: ``run.json`` is damaged.
        """
        if self.done.exists():
            msg = f"{self.path}: the run has ended, nothing to resume; a new one needs another --run_name"
            raise OutputError(msg)
        if not (self.path / "config.yaml").exists():
            msg = f"{self.path}: no run to resume; train without --resume, or check --output and --run_name"
            raise OutputError(msg)
        changed = different_keys(self.read_config().as_dict(), config.as_dict())
        if changed:
            msg = (
                f"{self.path / 'config.yaml'}: cannot resume with another configuration: {'; '.join(changed)}"
            )
            raise ConfigError(msg)
        read_record(self.path / "run.json")

    def keep_choice(self, config: RunConfig) -> RunConfig:
        """The configuration, with the encoder options that it leaves open taken from the run in this folder.

        Raises:
            ConfigError: the ``config.yaml`` of the run cannot be read.
        """
        if not (self.path / "config.yaml").exists():
            return config
        return keep_choice(config, self.read_config())

    def read_config(self) -> RunConfig:
        """The configuration that the run was started with."""
        path = self.path / "config.yaml"
        try:
            return read_config(read_yaml(path, ConfigError))
        except ConfigError as error:
            what = " ".join(str(error).split())
            msg = f"{path}: cannot be read: {what}; remove the folder, or train under another run_name"
            raise ConfigError(msg) from error

    def write_facts(self, facts: Mapping[str, Any]) -> None:
        """Write ``run.json``; on resume, keep its content and append the new start.

        Raises:
            DataError: the existing file is damaged.
            OutputError: the file cannot be written.
        """
        path = self.path / "run.json"
        whole = read_record(path) or {**facts, "starts": []}
        whole["starts"] += facts["starts"]
        write_text(path, json.dumps(whole, indent=2) + "\n")

    def note(self, facts: Mapping[str, Any]) -> None:
        """Add facts about the run to ``run.json``.

        Raises:
            DataError: the existing file is damaged.
            OutputError: the file cannot be written.
        """
        path = self.path / "run.json"
        write_text(path, json.dumps({**(read_record(path) or {}), **facts}, indent=2) + "\n")

    def finish(self) -> None:
        """Mark the run as ended."""
        write_text(self.done, now() + "\n")


def run_name(config: RunConfig) -> str:
    """The run's name: as configured, else made of held-out region and seed, e.g. ``held-out-asia-seed0``.

    A backbone other than the default one is put in front. Methods around the algorithm and a router of domain
    ids are named too, so that two configurations of one data set do not share a folder.
    """
    if config.run_name:
        name = config.run_name
        if file_name(name) != name:
            msg = f"run_name: expected the name of one folder, such as {file_name(name)}; got {name!r}"
            raise ConfigError(msg)
        return name
    held_out = config.data.held_out
    protocol = f"held-out-{held_out.lower().replace(' ', '-')}" if held_out else "all"
    backbone = config.model.backbone
    prefix = "" if backbone == ModelConfig.backbone else f"{backbone.replace('/', '-')}-"
    method = METHODS.get(config.algorithm)
    asks_place = method is not None and method.places
    router = "domain-ids-" if config.encoder.name == "domain" and asks_place else ""
    around = "".join(f"{name}-" for name in config.around)
    return file_name(f"{prefix}{around}{router}{protocol}-seed{config.seed}")


def run_folder(config: RunConfig, *, dry_run: bool = False) -> RunFolder:
    """The folder of a run: ``OUTPUT/<data>/<algorithm>/<name>``; that of a dry run ends in ``-dry``."""
    name = run_name(config) + ("-dry" if dry_run else "")
    return RunFolder(Path(config.output).expanduser() / config.data.name / config.algorithm / name)


def different_keys(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Keys whose values differ, as ``model.top_k: 3, now 2``; :data:`FREE_KEYS` are left out."""
    changed = []
    for key in sorted(old.keys() | new.keys()):
        name, before, after = f"{prefix}{key}", old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            changed += different_keys(before, after, f"{name}.")
        elif before != after and name not in FREE_KEYS:
            changed.append(f"{name}: {before!r}, now {after!r}")
    return changed


def write_text(path: Path, text: str) -> None:
    """Write a small file completely or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    with whole_file(path, "make space or choose another --output") as scratch:
        scratch.write_text(text, encoding="utf-8")
