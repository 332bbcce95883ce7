"""One of the processes of distributed runs, one after the other: see test_ddp."""

from __future__ import annotations

import json
import sys

import torch
from lightning.pytorch.callbacks import Callback

from geomoe.config.load import read_config
from geomoe.training import fit


class Keep(Callback):
    """Writes what each process ends with, and the rows that it trained on."""

    def __init__(self, folder):
        self.folder, self.rows = folder, []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.rows.append(batch.index.clone())

    def on_train_end(self, trainer, pl_module):
        state = {name: value.clone() for name, value in pl_module.algorithm.state_dict().items()}
        torch.save({"state": state, "rows": torch.cat(self.rows)}, f"{self.folder}/{trainer.global_rank}.pt")


if __name__ == "__main__":
    for order in json.loads(sys.argv[1]):
        config = read_config(order["config"])
        fit(config, quiet=True, callbacks=[Keep(order["folder"])], limit_batches=order["limit"])
