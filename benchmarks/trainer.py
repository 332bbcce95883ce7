"""The cost of Lightning and geomoe's reports: a training step of a run compared with a bare PyTorch loop.

    python -m benchmarks.trainer [--steps 24] [--batch 8] [--methods erm groupdro dann fish swad]

Each method has a bare loop that does the same by hand. Both train the same network from the same weights
on the same kind of loader, with timm's optimiser and a schedule, on one thread, in lockstep: after each
step of the real run (its task, callbacks, seeds and sums, as ``geomoe train`` has them) the bare loop does
one step, and so on. A step of the run is timed from the end of the bare step before it to its own last
hook, so that fetching, transfer, hooks and callbacks all count. CPU time of the process, ratios of medians.
The bars are for ViT-Tiny at 224 px: 1.05 for ERM against timm's optimiser, 1.03 for the other methods.
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

from geomoe.algorithms import Facts
from geomoe.build import build_method
from geomoe.config import DataConfig, ModelConfig, RunConfig, TrainerConfig
from geomoe.datasets import EpochSampler
from geomoe.datasets.batches.to_batch import to_batch
from geomoe.datasets.collate import collate
from geomoe.training.optimizers import LearningRate
from geomoe.training.progress import TrainingProgress
from geomoe.training.resumable import ResumableData
from geomoe.training.runfolder import run_folder
from geomoe.training.saving import Saving, StopRequest
from geomoe.training.task import TrainingTask
from geomoe.training.trainer import make_trainer, quiet_lightning
from geomoe.types import Batch

BARS = {"erm": 1.05, "groupdro": 1.03, "dann": 1.03, "fish": 1.03, "swad": 1.03}
DOMAINS = 4
WARM_UP = 4


class Images(Dataset):
    """Random images in memory, read by whole batches, with everything that a sample has."""

    def __init__(self, size: int, pixels: int) -> None:
        generator = np.random.default_rng(0)
        self.image = torch.from_numpy(generator.integers(0, 256, (size, 3, pixels, pixels), dtype=np.uint8))
        self.lonlat = generator.uniform((-180, -90), (180, 90), (size, 2))
        self.labels, self.domains = np.arange(size) % 12, np.arange(size) % DOMAINS

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
    """The part of a data module that a run uses, over :class:`Images`."""

    mean, std = torch.tensor([54.9, 65.4, 80.0]), torch.tensor([82.2, 77.3, 73.1])

    def __init__(self, steps: int, batch_size: int, pixels: int) -> None:
        self.batch_size = batch_size
        self.train_dataset = Images(steps * batch_size, pixels)
        self.val_dataset = Images(batch_size, pixels)

    def setup(self, stage: str) -> None:
        """Nothing to open."""

    def train_dataloader(self) -> DataLoader:
        """A loader with a shuffled order, like that of a run."""
        sampler = EpochSampler(len(self.train_dataset), 0, self.batch_size)
        return DataLoader(self.train_dataset, self.batch_size, sampler=sampler, collate_fn=collate)

    def val_dataloader(self) -> DataLoader:
        """One batch."""
        return DataLoader(self.val_dataset, self.batch_size, collate_fn=collate)

    def on_after_batch_transfer(self, batch: dict, dataloader_idx: int = 0) -> Batch:
        """Normalise."""
        return to_batch(batch, self.mean, self.std)


class BareLoop:
    """ERM in a PyTorch loop without any framework."""

    def __init__(self, model: torch.nn.Module, loaders: Loaders, config: RunConfig, steps: int) -> None:
        self.model, self.options, self.steps = model.train(), config.optimizer, steps
        self.loader, self.loaders = iter(loaders.train_dataloader()), loaders
        self.number = 0
        self.optimizer = self.optimizer_of(self.model)
        self.schedule = LambdaLR(self.optimizer, LearningRate(self.options, steps))
        self.prepare()

    def optimizer_of(self, module: torch.nn.Module) -> torch.optim.Optimizer:
        """The optimiser of timm that a run uses."""
        options = self.options
        return create_optimizer_v2(
            module, opt=options.name, lr=options.lr, weight_decay=options.weight_decay, fused=True
        )

    def prepare(self) -> None:
        """Prepare the further state of a method."""

    def step(self) -> None:
        """Read a batch and update."""
        self.train(to_batch(next(self.loader), self.loaders.mean, self.loaders.std))
        self.number += 1

    def train(self, batch: Batch) -> None:
        """Run forward and backward, and update the weights."""
        self.optimizer.zero_grad()
        cross_entropy(self.model(batch.image), batch.label).backward()
        self.optimizer.step()
        self.schedule.step()


class BareGroupDRO(BareLoop):
    """The weights of the domains, by hand."""

    def prepare(self) -> None:
        """Equal weights."""
        self.q = torch.full((DOMAINS,), 1 / DOMAINS)

    def train(self, batch: Batch) -> None:
        """sum_d q_d R_d."""
        self.optimizer.zero_grad()
        each = cross_entropy(self.model(batch.image), batch.label, reduction="none")
        shares = torch.nn.functional.one_hot(batch.domain, DOMAINS).float()
        risks = (each @ shares) / shares.sum(dim=0).clamp(min=1)
        self.q = self.q * (0.01 * risks.detach()).exp()
        self.q = self.q / self.q.sum()
        (self.q * risks).sum().backward()
        self.optimizer.step()
        self.schedule.step()


class BareDANN(BareLoop):
    """A discriminator in turns with the network, by hand."""

    def prepare(self) -> None:
        """Make three linear layers."""
        width = self.model.num_features
        layers = [torch.nn.Linear(width, 256), torch.nn.ReLU(), torch.nn.Linear(256, 256), torch.nn.ReLU()]
        self.discriminator = torch.nn.Sequential(*layers, torch.nn.Linear(256, DOMAINS))
        self.other = self.optimizer_of(self.discriminator)

    def train(self, batch: Batch) -> None:
        """Train the discriminator first."""
        if self.number % 2 == 0:
            with torch.no_grad():
                features = self.model.forward_head(self.model.forward_features(batch.image), pre_logits=True)
            self.other.zero_grad()
            cross_entropy(self.discriminator(features), batch.domain).backward()
            self.other.step()
            return
        features = self.model.forward_head(self.model.forward_features(batch.image), pre_logits=True)
        task = cross_entropy(self.model.head(features), batch.label)
        self.optimizer.zero_grad()
        loss = task - cross_entropy(self.discriminator(features), batch.domain)
        loss.backward(inputs=list(self.model.parameters()))
        self.optimizer.step()
        self.schedule.step()


class BareFish(BareLoop):
    """An inner network that steps at every domain, by hand."""

    def prepare(self) -> None:
        """Make a copy for the optimiser."""
        self.inner = copy.deepcopy(self.model)
        self.optimizer = self.optimizer_of(self.inner)

    def train(self, batch: Batch) -> None:
        """Run the inner loop, then move towards its result."""
        self.inner.load_state_dict(self.model.state_dict())
        for number in torch.randperm(DOMAINS).tolist():
            rows = batch.domain == number
            self.optimizer.zero_grad()
            cross_entropy(self.inner(batch.image[rows]), batch.label[rows]).backward()
            self.optimizer.step()
        with torch.no_grad():
            for own, other in zip(self.model.parameters(), self.inner.parameters(), strict=True):
                own.lerp_(other, 0.5)


class BareSWAD(BareLoop):
    """ERM, and the mean of its weights."""

    def prepare(self) -> None:
        """Store the first weights."""
        self.mean = torch.nn.utils.parameters_to_vector(self.model.parameters()).detach()

    def train(self, batch: Batch) -> None:
        """Take ERM's step, then update the mean."""
        super().train(batch)
        with torch.no_grad():
            weights = torch.nn.utils.parameters_to_vector(self.model.parameters())
            self.mean.lerp_(weights, 1 / (self.number + 1))


BARE = {
    "erm": BareLoop,
    "groupdro": BareGroupDRO,
    "dann": BareDANN,
    "fish": BareFish,
    "swad": BareSWAD,
}


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


def configured(name: str, model: ModelConfig, batch: int, output: str) -> RunConfig:
    """A run of one method; swad wraps ERM."""
    around = (name,) if name == "swad" else ()
    return RunConfig(
        algorithm="erm" if around else name, around=around, output=output, model=model,
        data=DataConfig(batch_size=batch),
        trainer=TrainerConfig(max_epochs=1, accelerator="cpu", devices=1),
    )  # fmt: skip


def measure(name: str, model: ModelConfig, batch: int, steps: int) -> tuple[float, float, float]:
    """Median seconds of a step of the run and of a bare step, and the median of their ratios."""
    with tempfile.TemporaryDirectory() as output, quiet_lightning():
        config = configured(name, model, batch, output)
        classes, domains = [str(k) for k in range(12)], [str(k) for k in range(DOMAINS)]
        info = {"classes": classes, "domains": domains, "bands": 3}
        torch.manual_seed(0)
        facts = Facts(classes=12, domains=tuple(range(DOMAINS)), num_domains=DOMAINS)
        method = build_method(config, info, facts)
        total = steps + WARM_UP
        loaders = Loaders(total, batch, model.image_size)
        backbone = copy.deepcopy(method.answering().backbone).requires_grad_(True)
        lockstep = Lockstep(BARE[name](backbone, loaders, config, total))
        folder = run_folder(config)
        folder.start(config)
        saving = Saving(folder, "val_acc", 0, True, StopRequest())
        with Path(output, "progress").open("w") as file:
            shown = TrainingProgress(Console(file=file, force_terminal=True))
            trainer = make_trainer(
                config.trainer, callbacks=[saving, shown, lockstep], logger=False, default_root_dir=output
            )
            trainer.fit(TrainingTask(method, config, info), datamodule=ResumableData(loaders, 0))
        run, bare = lockstep.run_times[WARM_UP:], lockstep.bare_times[WARM_UP:]
        if name == "dann":  # two kinds of steps in turns: pairs of them
            run, bare = (
                [sum(times[k : k + 2]) for k in range(0, len(times) - 1, 2)] for times in (run, bare)
            )
        ratio = statistics.median(a / b for a, b in zip(run, bare, strict=True))
        return statistics.median(run), statistics.median(bare), ratio


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=24, help="measured steps of each")
    parser.add_argument("--batch", type=int, default=8, help="images in a ViT-Tiny step")
    parser.add_argument("--methods", nargs="+", default=list(BARE), choices=BARE)
    options = parser.parse_args()
    torch.set_num_threads(1)
    tiny = ModelConfig(backbone="vit_tiny_patch16_224", image_size=224)
    print(
        f"step of a geomoe run / bare PyTorch step with timm's AdamW, {options.steps} interleaved, 1 thread"
    )
    for method in options.methods:
        report(method, f"ViT-Tiny, 224 px, batch {options.batch}", tiny, options, BARS[method])
    if "erm" in options.methods:
        report("erm", "vit_quick, 32 px, batch 128", ModelConfig(), options, None, 128)
        report("erm", "vit_quick, 32 px, batch 8 (overhead shows)", ModelConfig(), options, None, 8)


def report(
    method: str, name: str, model: ModelConfig, options: argparse.Namespace, bar: float | None, batch: int = 0
) -> None:
    """Measure one case and print its line."""
    steps = options.steps if bar else 4 * options.steps
    run, bare, paired = measure(method, model, batch or options.batch, steps)
    verdict = "" if bar is None else f", bar <= {bar}: {'PASS' if paired <= bar else 'MISS'}"
    times = f"{1e3 * run:.1f} / {1e3 * bare:.1f} ms = {run / bare:.3f} (of pairs: {paired:.3f})"
    print(f"{method}, {name}: {times}{verdict}")


if __name__ == "__main__":
    main()
