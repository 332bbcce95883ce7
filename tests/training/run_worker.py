"""One training run in a process of its own, which may be killed at a given moment: see test_resume."""

from __future__ import annotations

import os
import signal
import time

from lightning.pytorch.callbacks import Callback

from geomoe.config.load import read_config
from geomoe.training import RunFolder, fit


class Kill(Callback):
    """Sends this process a signal when a batch begins."""

    def __init__(self, epoch, batch, number=signal.SIGKILL):
        self.epoch, self.batch, self.number = epoch, batch, number

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (self.epoch, self.batch):
            os.kill(os.getpid(), self.number)


def hold(folder, ready):
    """Train, as it looks to others, in a folder of runs until it is killed."""
    with RunFolder(folder).alone():
        ready.touch()
        time.sleep(300)


def main(order):
    kill = [Kill(**order["kill"])] if order.get("kill") else []
    config = read_config(order["config"])
    fit(config, resume=order.get("resume", False), quiet=True, callbacks=kill, limit_batches=order["limit"])
