"""What Lightning and geomoe's reports cost: a training step of a run beside a bare PyTorch loop.

    python -m benchmarks.trainer [--steps 24] [--batch 8]

Both train the same network from the same weights on the same kind of loader, with timm's optimiser
and a schedule, on one thread, in lockstep: after each step of the real run (its task, callbacks,
seeds and sums, as ``geomoe train`` has them) the bare loop does one step, and so on. A step of the
run is timed from the end of the bare step before it to its own last hook, so that fetching,
transfer, hooks and callbacks all count. CPU time of the process, ratios of medians; the bar is for
ViT-Tiny at 224 px.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from timm.optim import create_optimizer_v2
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset

from geomoe.build import build_algorithm
from geomoe.config import DataConfig, ModelConfig, RunConfig, TrainerConfig
from geomoe.datasets import EpochSampler
from geomoe.datasets.batches.to_batch import to_batch
from geomoe.datasets.collate import collate
from geomoe.training.progress import TrainingProgress
from geomoe.training.resumable import ResumableData
from geomoe.training.run import _quiet_lightning, _trainer
from geomoe.training.runfolder import run_folder
from geomoe.training.saving import Saving, StopRequest
from geomoe.training.task import LearningRate, TrainingTask
from geomoe.types import Batch

BAR = 1.05
WARM_UP = 4


class Images(Dataset):
    """Random images in memory, read by whole batches, with everything that a sample has."""

    def __init__(self, size: int, pixels: int) -> None:
        generator = np.random.default_rng(0)
        self.image = torch.from_numpy(generator.integers(0, 256, (size, 3, pixels, pixels), dtype=np.uint8))
        self.lonlat = generator.uniform((-180, -90), (180, 90), (size, 2))
        self.labels, self.domains = np.arange(size) % 12, np.arange(size) % 5

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, rows: list[int]) -> dict:
        chosen = np.asarray(rows)
        return {
            "image": self.image[chosen].float(),
            "label": torch.from_numpy(self.labels[chosen]),
            "lon": torch.from_numpy(self.lonlat[chosen, 0]),
            "lat": torch.from_numpy(self.lonlat[chosen, 1]),
            "domain": torch.from_numpy(self.domains[chosen]),
            "index": torch.from_numpy(chosen),
        }


class Loaders:
    """The data module's part that a run asks for, over :class:`Images`."""

    mean, std = torch.tensor([54.9, 65.4, 80.0]), torch.tensor([82.2, 77.3, 73.1])

    def __init__(self, steps: int, batch_size: int, pixels: int) -> None:
        self.batch_size = batch_size
        self.train_dataset = Images(steps * batch_size, pixels)
        self.val_dataset = Images(batch_size, pixels)

    def setup(self, stage: str) -> None:
        """Nothing to open."""

    def train_dataloader(self) -> DataLoader:
        """In an order of its own, as a run has it."""
        sampler = EpochSampler(len(self.train_dataset), 0, self.batch_size)
        return DataLoader(self.train_dataset, self.batch_size, sampler=sampler, collate_fn=collate)

    def val_dataloader(self) -> DataLoader:
        """One batch."""
        return DataLoader(self.val_dataset, self.batch_size, collate_fn=collate)

    def on_after_batch_transfer(self, batch: dict, dataloader_idx: int = 0) -> Batch:
        """Normalise."""
        return to_batch(batch, self.mean, self.std)


class BareLoop:
    """A PyTorch loop without any framework."""

    def __init__(self, model: torch.nn.Module, loaders: Loaders, config: RunConfig, steps: int) -> None:
        self.model = model.train()
        options = config.optimizer
        self.optimizer = create_optimizer_v2(
            self.model, opt=options.name, lr=options.lr, weight_decay=options.weight_decay
        )
        self.schedule = LambdaLR(self.optimizer, LearningRate(options, steps))
        self.loader, self.loaders = iter(loaders.train_dataloader()), loaders

    def step(self) -> None:
        """Read a batch, go forward and backward, update."""
        batch = to_batch(next(self.loader), self.loaders.mean, self.loaders.std)
        self.optimizer.zero_grad()
        cross_entropy(self.model(batch.image), batch.label).backward()
        self.optimizer.step()
        self.schedule.step()


class Lockstep(Callback):
    """Times each step of the run, and does a bare step after it."""

    def __init__(self, bare: BareLoop) -> None:
        self.bare = bare
        self.run_times: list[float] = []
        self.bare_times: list[float] = []
        self.mark = 0.0

    def on_train_epoch_start(self, trainer, pl_module) -> None:
        """Begin to time the first step."""
        self.mark = time.process_time()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        """Time the step that ends here, then a bare one."""
        ended = time.process_time()
        self.bare.step()
        after = time.process_time()
        self.run_times.append(ended - self.mark)
        self.bare_times.append(after - ended)
        self.mark = time.process_time()


def measure(model: ModelConfig, batch: int, steps: int) -> tuple[float, float, float]:
    """Median seconds of a step of the run and of a bare step, and the median of their ratios."""
    with tempfile.TemporaryDirectory() as output, _quiet_lightning():
        config = RunConfig(
            algorithm="erm", output=output, model=model, data=DataConfig(batch_size=batch),
            trainer=TrainerConfig(max_epochs=1, accelerator="cpu", devices=1),
        )  # fmt: skip
        info = {"classes": [str(k) for k in range(12)], "domains": [str(k) for k in range(5)], "bands": 3}
        torch.manual_seed(0)
        algorithm = build_algorithm(config, info)
        total = steps + WARM_UP
        loaders = Loaders(total, batch, model.image_size)
        lockstep = Lockstep(BareLoop(copy.deepcopy(algorithm.model.backbone), loaders, config, total))
        folder = run_folder(config)
        folder.start(config)
        saving = Saving(folder, "val_acc", 0, True, StopRequest())
        with Path(output, "progress").open("w") as file:
            shown = TrainingProgress(Console(file=file, force_terminal=True))
            trainer = _trainer(
                config.trainer, callbacks=[saving, shown, lockstep], logger=False, default_root_dir=output
            )
            trainer.fit(TrainingTask(algorithm, config, info), datamodule=ResumableData(loaders, 0))
        run, bare = lockstep.run_times[WARM_UP:], lockstep.bare_times[WARM_UP:]
        ratio = statistics.median(a / b for a, b in zip(run, bare, strict=True))
        return statistics.median(run), statistics.median(bare), ratio


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=24, help="measured steps of each")
    parser.add_argument("--batch", type=int, default=8, help="images in a ViT-Tiny step")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tiny = ModelConfig(backbone="vit_tiny_patch16_224", image_size=224)
    cases = [
        (f"ViT-Tiny, 224 px, batch {options.batch}", tiny, options.batch, BAR),
        ("vit_quick, 32 px, batch 128", ModelConfig(), 128, None),
        ("vit_quick, 32 px, batch 8 (overhead shows)", ModelConfig(), 8, None),
    ]
    print(
        f"step of a geomoe run / bare PyTorch step with timm's AdamW, {options.steps} interleaved, 1 thread"
    )
    for name, model, batch, bar in cases:
        run, bare, paired = measure(model, batch, options.steps if bar else 4 * options.steps)
        ratio = run / bare
        verdict = "" if bar is None else f", bar <= {bar}: {'PASS' if ratio <= bar else 'MISS'}"
        print(
            f"{name}: {1e3 * run:.1f} / {1e3 * bare:.1f} ms = {ratio:.3f} (of pairs: {paired:.3f}){verdict}"
        )


if __name__ == "__main__":
    main()
