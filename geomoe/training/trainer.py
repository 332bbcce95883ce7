"""Lightning's trainer for a run: made as configured, with one-line errors and without its own messages."""

from __future__ import annotations

import logging
import os
import platform
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from geomoe.errors import ConfigError
from geomoe.training.saving import CheckpointIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geomoe.config import TrainerConfig

log = logging.getLogger(__name__)

# Warnings of Lightning about deliberate choices: loaders without worker processes (the data is a memory
# map), a frozen encoder in eval mode, a loader that resumes in the middle of an epoch (ours does).
_REMARKS = (
    r".*does not have many workers.*",
    r".*module\(s\) in eval mode at the start of training.*",
    r".*your dataloader is not resumable.*",
    r".*is smaller than the logging interval.*",
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*",
)


def make_trainer(options: TrainerConfig, **extra: Any) -> Trainer:  # noqa: ANN401 - Lightning's own options
    """Make Lightning's trainer.

    Raises:
        ConfigError: Lightning does not accept these options on this machine.
    """
    plugins: list[Any] = [CheckpointIO()]
    if SLURMEnvironment.detect():
        # A job requeued by SLURM must use --resume; Lightning's requeue would store its files elsewhere.
        plugins.append(SLURMEnvironment(auto_requeue=False))
    try:
        return Trainer(
            max_epochs=options.max_epochs,
            accelerator=options.accelerator,
            devices=options.devices,
            num_nodes=options.num_nodes,
            strategy=options.strategy,
            precision=options.precision,  # type: ignore[arg-type]
            accumulate_grad_batches=options.accumulate_grad_batches,
            gradient_clip_val=options.gradient_clip or None,
            plugins=plugins,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,  # the data module's sampler distributes the rows
            enable_progress_bar=False,
            enable_model_summary=False,
            **extra,
        )
    except (ValueError, TypeError, RuntimeError, ImportError, MisconfigurationException) as error:
        msg = f"trainer: {' '.join(str(error).split())}"
        raise ConfigError(msg) from error


def refuse_absent(options: TrainerConfig) -> None:
    """Refuse accelerators and devices that this machine does not have, before any data is read.

    Raises:
        ConfigError: the machine has no such device, or fewer than requested.
    """
    with quiet_lightning():
        trainer = make_trainer(options, logger=False, enable_checkpointing=False)
    most = max(4 * (os.cpu_count() or 1), 16)
    if trainer.strategy.root_device.type == "cpu" and trainer.num_devices > most:
        msg = f"trainer.devices: {trainer.num_devices} processes on the processor are too many; use 1"
        raise ConfigError(f"{msg} (up to {most} are started)")


def warn_of_emulation(precision: str, device: str) -> None:
    """Warn if bfloat16 is used on a processor that emulates it, which is tens of times slower."""
    processor = torch.backends.cpu.get_cpu_capability()
    if device == "cpu" and precision.startswith("bf16") and processor == "AVX2":
        log.warning(
            "trainer.precision %s: this processor (%s) only emulates bfloat16, which takes many times "
            "as long; use --trainer.precision 32-true",
            precision, processor,
        )  # fmt: skip


def device_of(trainer: Trainer) -> str:
    """Return the number and kind of the devices that train, such as ``1 x cpu (...)``."""
    device = trainer.strategy.root_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return f"{trainer.world_size} x {device.type} ({name})"


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Hide Lightning's log messages, and its warnings about deliberate choices."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for remark in _REMARKS:
            warnings.filterwarnings("ignore", message=remark)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
