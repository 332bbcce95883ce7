"""One of the processes of distributed runs, one after the other: see test_ddp."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
from lightning.pytorch.callbacks import Callback

from geomoe.config.load import read_config
from geomoe.training import fit


class Keep(Callback):
    """Writes what each process begins and ends with, and the rows that it trained on."""

    def __init__(self, folder):
        self.folder, self.rows = folder, []

    def on_train_start(self, trainer, pl_module):
        self.begin = _state(pl_module)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.rows.append(batch.index.clone())

    def on_train_end(self, trainer, pl_module):
        kept = {"begin": self.begin, "state": _state(pl_module), "rows": torch.cat(self.rows)}
        torch.save(kept, f"{self.folder}/{trainer.global_rank}.pt")


def _state(pl_module):
    return {name: value.clone() for name, value in pl_module.algorithm.state_dict().items()}


def main(orders):
    """Train each of (configuration, folder, batches of an epoch), as plain values."""
    for order in orders:
        config = read_config(order["config"])
        fit(config, quiet=True, callbacks=[Keep(order["folder"])], limit_batches=order["limit"])


def as_a_program(orders):
    """The same for this file as a program, which Lightning starts again for the second process."""
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        os.environ.pop(name, None)
    sys.argv = [__file__, json.dumps(orders)]
    main(orders)


def as_torchrun_does(order):
    """The same, in the environment that torchrun gives each of its two processes."""
    rank, port, orders = order
    os.environ |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GROUP_RANK": "0"}
    os.environ["TORCHELASTIC_RUN_ID"] = "test"
    main(orders)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
