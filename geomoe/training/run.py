"""One training run, from a configuration to a folder with checkpoints."""

from __future__ import annotations

import logging
import os
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning.pytorch import seed_everything

from geomoe.build import build_datamodule, build_method, settled
from geomoe.catalogue import BASELINE_METHOD, METHODS
from geomoe.checkpoint import Checkpoint, load_checkpoint, load_weights
from geomoe.config.load import load
from geomoe.config.reach import is_open
from geomoe.config.rules import check
from geomoe.errors import CheckpointError, ConfigError, DataError, DivergedError
from geomoe.models import Network
from geomoe.support.files import path_of
from geomoe.support.options import call_options
from geomoe.support.workers import SAMPLE_TENSORS, check_handles
from geomoe.training.damage import Begun, blaming, steps_done
from geomoe.training.finish import make_network
from geomoe.training.loggers import check_loggers, create_loggers
from geomoe.training.options import FitOptions, RunResult
from geomoe.training.progress import TrainingProgress
from geomoe.training.reach import tell_reach
from geomoe.training.record import facts
from geomoe.training.resumable import ResumableData
from geomoe.training.runfolder import RunFolder, different_keys, run_folder
from geomoe.training.saving import Saving, Stopped, StopRequest
from geomoe.training.stopping import Patience
from geomoe.training.task import TrainingTask
from geomoe.training.task_facts import facts_of
from geomoe.training.trainer import (
    device_of,
    make_trainer,
    quiet_lightning,
    refuse_absent,
    warn_of_emulation,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightning.pytorch import Callback

    from geomoe.config import RunConfig

log = logging.getLogger(__name__)

DRY_STEPS = 2


def train(
    name: str | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    file: str | os.PathLike[str] | None = None,
    options: FitOptions | None = None,
    **changes: Any,  # noqa: ANN401 - fields of FitOptions
) -> RunResult:
    """Train as ``geomoe train NAME`` does.

    ``train("bluemarble", {"algorithm": "erm", "data.held_out": "Asia"})`` is
    ``geomoe train bluemarble --algorithm erm --held-out Asia``.

    Args:
        name: a shipped configuration, such as bluemarble or folder.
        settings: values by dotted key (``data.root``, ``trainer.max_epochs``, ``moge.aux``), or in nested
            mappings; they override the files.
        file: a YAML file that overrides the shipped configuration.
        options: further options of the run, as for :func:`fit`.
        **changes: fields of :class:`FitOptions` by name: ``train("bluemarble", resume=True)``.

    Raises:
        ConfigError: lists every fault of every source.
        GeomoeError: an error of :func:`fit`.
    """
    if name is None and file is None:
        raise ConfigError("name: give a configuration, such as 'bluemarble' or 'folder', or a file")
    file = None if file is None else path_of(file, "file")
    return fit(load(name, file, values=settings), options, **changes)


def fit(
    config: RunConfig,
    options: FitOptions | None = None,
    **changes: Any,  # noqa: ANN401 - fields of FitOptions
) -> RunResult:
    """Train as configured in a separate folder, and keep the best and the last checkpoint.

    With several devices or nodes, call it in each process (torchrun and SLURM do) or let Lightning
    start the processes.

    Args:
        config: everything that determines the result.
        options: further options of the run.
        **changes: fields of :class:`FitOptions` by name: ``fit(config, resume=True)``.

    Raises:
        ConfigError: the configuration is invalid, or differs from that of the run to resume.
        OutputError: the folder exists or cannot be written.
        CheckpointError: the initial weights or the state to resume cannot be used.
        KeyboardInterrupt: Ctrl-C or SIGTERM was received; the state is in last.ckpt.
    """
    asked = call_options(FitOptions, options, changes)
    check(config)
    if asked.dry_run:
        limit = DRY_STEPS * config.trainer.accumulate_grad_batches
        config, asked = _shortened(config), replace(asked, limit_batches=limit)
    check_loggers(config.trainer.loggers)
    check_handles(2 * config.data.num_workers, SAMPLE_TENSORS)  # training's stay during validation
    refuse_absent(config.trainer)
    folder, first = run_folder(config, dry_run=asked.dry_run), is_first_process()
    with folder.alone() if first else nullcontext():
        return _fit(config, asked, folder, first=first)


def _fit(config: RunConfig, asked: FitOptions, folder: RunFolder, *, first: bool) -> RunResult:
    resume = asked.resume and not asked.dry_run
    config = folder.keep_choice(config) if resume else config
    if first:
        folder.check_resume(config) if resume else folder.check_new(replace=asked.dry_run)
    going_on = resume and folder.last.exists()
    with quiet_lightning():
        task, data = _build(config, _earlier(folder, config) if going_on else None)
        try:
            if first:
                folder.sweep() if going_on else folder.start(task.config)
                tell_reach(task, chosen=is_open(config))
            saving = _run(task, data, folder, asked, going_on=going_on)
        except BaseException:
            if first and not folder.last.exists():
                folder.discard()
            raise
        if first:
            load_weights(task.algorithm, load_checkpoint(folder.best).state_dict, folder.best)
            folder.finish()
    return RunResult(folder.path, folder.best, folder.last, saving.best, saving.stopped)


def _shortened(config: RunConfig) -> RunConfig:
    return replace(config, trainer=replace(config.trainer, max_epochs=1, max_steps=0))


def _earlier(folder: RunFolder, config: RunConfig) -> Checkpoint:
    """Load the run's last checkpoint; refuse a checkpoint of another run that was copied there."""
    earlier = load_checkpoint(folder.last)
    changed = different_keys(earlier.config.as_dict(), config.as_dict())
    if changed:
        msg = f"{folder.last}: the checkpoint of another run: {'; '.join(changed)}; bring back this run's own"
        raise CheckpointError(msg)
    return earlier


def _build(config: RunConfig, earlier: Checkpoint | None) -> tuple[TrainingTask, ResumableData]:
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)
    seed_everything(config.seed, workers=True, verbose=False)
    data = build_datamodule(config)
    data.prepare_data()
    data.setup("fit")
    info = data.info()
    config = settled(config, info)
    known = (info["data_hash"], *data.dataset("train").earlier_hashes)
    if earlier is not None and earlier.info.get("data_hash") not in known:
        msg = f"{earlier.path}: the data has changed since this run began; bring it back, or train again"
        raise DataError(msg)
    # A resumed run takes its weights from the checkpoint, so its initial weight files may be missing.
    found = earlier.info if earlier else info
    method = build_method(config, found, facts_of(config, data), pretrained=earlier is None)
    if earlier is not None:
        load_weights(method, earlier.state_dict, earlier.path)
    encoder = method.answering().encoder
    if encoder is not None and encoder.architecture:
        info["encoder"] = encoder.architecture
    if config.trainer.compile:
        for network in method.children():
            if isinstance(network, Network):
                network.compile()
    return TrainingTask(method, config, info), ResumableData(data, config.seed)


def _run(
    task: TrainingTask,
    data: ResumableData,
    folder: RunFolder,
    asked: FitOptions,
    *,
    going_on: bool,
) -> Saving:
    options, stop = task.config.trainer, StopRequest()
    saving = Saving(folder, options.select, options.checkpoint_every_n_steps, "csv" in options.loggers, stop)
    shown: list[Callback] = [] if asked.quiet else [TrainingProgress()]
    patience = Patience(options.select, options.patience, options.min_delta) if options.patience else None
    shown += [patience] if patience else []
    first_step = steps_done(folder.last) if going_on else 0
    begun = Begun()
    loop = options
    if not task.automatic_optimization:  # the stepper does this
        loop = replace(options, accumulate_grad_batches=1, gradient_clip=0.0)
    trainer = make_trainer(
        loop,
        limit_train_batches=asked.limit_batches,
        limit_val_batches=asked.limit_batches,
        callbacks=[saving, begun, *shown, *asked.callbacks],
        logger=create_loggers(options.loggers, folder.path, first_step) or False,
        default_root_dir=folder.path,
    )
    if trainer.is_global_zero:
        warn_of_emulation(options.precision, trainer.strategy.root_device.type)
        for logger in trainer.loggers:
            logger.log_hyperparams(task.config.as_dict())
        folder.write_facts(facts(task.config, device_of(trainer), asked.command, _data_facts(task, data)))
        data.inner.write_index(folder.path)
    try:
        with stop.listen(), blaming(folder.last if going_on else None, begun):
            trainer.fit(task, datamodule=data, ckpt_path=folder.last if going_on else None, weights_only=True)
    except (Stopped, SystemExit) as error:  # Lightning turns a KeyboardInterrupt into SystemExit
        raise KeyboardInterrupt from error
    except DivergedError as error:
        kept = (
            f"{folder.last} is from before that" if folder.last.exists() else "no checkpoint was written yet"
        )
        raise DivergedError(f"{error}; {kept}") from error
    saving.write_table(trainer)
    if patience is not None and trainer.is_global_zero:
        saving.stopped = patience.reason(len(saving.rows), options.max_epochs)
        if saving.stopped:
            log.warning("%s", saving.stopped)
            folder.note({"stopped": saving.stopped})
    if task.algorithm.makes_network:
        make_network(trainer, task, data, saving)
    return saving


def _data_facts(task: TrainingTask, data: ResumableData) -> dict[str, Any]:
    info, parts = task.info, {"train": data.inner.train_dataset, "val": data.inner.val_dataset}
    unknown = {name: int(np.isnan(part.lonlat[:, 0]).sum()) for name, part in parts.items()}
    config = task.config
    reads = METHODS[config.algorithm].places and config.encoder.name != "domain"  # other methods miss nothing
    for name, count in unknown.items():
        if count and reads:
            none_known = name == "train" and count == len(parts[name])
            hint = f": {config.algorithm} learns nothing of places; give them, or use {BASELINE_METHOD}"
            text = "%d of %d %s samples have no known place%s"
            log.warning(text, count, len(parts[name]), name, hint if none_known else "")
    return {
        "name": info["name"],
        "hash": info["data_hash"],
        "held_out": info["held_out"],
        "split_seed": info["split_seed"],
        "samples": {name: len(part) for name, part in parts.items()},
        "unknown_places": unknown,
    }


def is_first_process() -> bool:
    """Return whether this process writes and reports: a single one, or rank 0 of torchrun, SLURM, Lightning.

    Processes started by Lightning are identified by LOCAL_RANK and NODE_RANK, also in an interactive SLURM
    job, where all of them have the SLURM_PROCID of the shell.
    """
    names = ("RANK",) if os.environ.get("RANK") else ("NODE_RANK", "LOCAL_RANK", "SLURM_PROCID")
    return all(os.environ.get(name) in {None, "", "0"} for name in names)
