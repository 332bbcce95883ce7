"""The cost of every method of the catalogue: its training step relative to ERM's, parameters, inference.

    python -m benchmarks.methods
    python -m benchmarks.methods --backbone deit_small_patch16_224 --size 224 --batch 96 --device cuda

Each method is built on the same backbone and takes whole updates (losses, backward pass, optimiser) on
batches of noise with known places and domains of equal size, in turns with ERM in one process; the numbers
are medians of the ratios of the rounds. As in a run, fixed location features are computed before. Annealed
penalties are measured with their full weight. A method that alternates between learners is measured over a
complete turn, and the time is that of one update. Only the inner rooms are used (torch and timm), so the
benchmark also runs on a machine without Lightning and torchgeo.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import platform
import statistics
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.side_by_side import seconds, verdict
from geomoe.algorithms import Facts, Method, Now, method_class
from geomoe.build import build_network
from geomoe.catalogue import METHODS
from geomoe.config import EncoderConfig, ModelConfig, RunConfig
from geomoe.errors import GeomoeError, one_line
from geomoe.types import Batch, Place

#: Table 5 of MESSI (arXiv 2606.25665): time of a training step over ERM's, and milliseconds of inference with
#: a ResNet-50 (R50), DeiT-S (S) or DeiT-Ti (Ti).
PAPER_STEP = {
    "sagm": "2.04 (R50)", "gmoe": "2.02 (S)", "gmoe_sagm": "4.14 (S)",
    "messi_ot": "12.39 (S), 11.57 (Ti)", "messi_mmd": "4.24 (S)",
}  # fmt: skip
PAPER_INFERENCE_MS = {
    "erm": "32.42 (R50)", "sagm": "32.44 (R50)", "gmoe": "74.22 (S)", "gmoe_sagm": "74.17 (S)",
    "messi_ot": "61.41 (S), 23.50 (Ti)", "messi_mmd": "61.40 (S)",
}  # fmt: skip
#: Largest step / ERM's with a DeiT-S on a GPU.
GPU_BARS = {"messi_ot": 1.15, "messi_mmd": 1.05}
LATE = 10**6  # an update after every anneal


class PlainStepper:
    """The stepper of one process without precision, clipping or schedule: AdamW for each learner."""

    def __init__(self, method: Method) -> None:
        self.parameters = {
            name: [value for value in module.parameters() if value.requires_grad]
            for name, module in method.learners().items()
        }
        self.optimizers = {
            name: torch.optim.AdamW(found, lr=1e-5, fused=True) for name, found in self.parameters.items()
        }

    def gradients(self, loss: Tensor, learner: str = "main", *, samples: int | None = None) -> None:
        """Add gradients."""
        loss.backward(inputs=self.parameters[learner])

    def gathered(self, learner: str = "main") -> list[Tensor]:
        """Copies of the gradients."""
        return [
            torch.zeros_like(value) if value.grad is None else value.grad.clone()
            for value in self.parameters[learner]
        ]

    def apply(self, learner: str = "main") -> None:
        """One step."""
        self.optimizers[learner].step()
        self.optimizers[learner].zero_grad()

    def reset(self, learner: str = "main") -> None:
        """Reset the moments."""
        self.optimizers[learner].state.clear()

    @contextlib.contextmanager
    def replay(self) -> Iterator[None]:
        """Draw the same numbers in every block; the seed is that of the benchmark."""
        devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(0)
            yield


class Contestant:
    """A method on its network, with batches to train on."""

    def __init__(self, name: str, arguments: argparse.Namespace) -> None:
        torch.manual_seed(0)
        self.name, self.batch = name, make_batch(arguments)
        self.method = make(name, arguments).to(arguments.device).train()
        encoder = self.method.answering().encoder
        if encoder is not None and encoder.frozen_features:
            place = self.batch.place
            self.batch = self.batch._replace(place=place._replace(features=encoder.feature_table(place)))
        self.stepper = PlainStepper(self.method)
        self.turn = getattr(self.method.options, "steps", 0) + 1  # dann, cdann: updates of a whole turn
        self.step = -(-LATE // self.turn) * self.turn

    def train(self) -> None:
        """Updates of a whole turn."""
        for _ in range(self.turn):
            self.method.update(self.batch, Now(self.step, 2 * LATE, 0), self.stepper)
            self.method.stepped(Now(self.step + 1, 2 * LATE, 0))
            self.step += 1

    @torch.no_grad()
    def answer(self) -> None:
        """Inference on the batch, by the network that is kept."""
        network = self.method.answering().eval()
        network(self.batch.image, self.batch.place)
        self.method.train()

    @property
    def trained(self) -> int:
        """Parameters that are trained, in all learners."""
        found = {id(v): v.numel() for values in self.stepper.parameters.values() for v in values}
        return sum(found.values())

    @property
    def kept(self) -> int:
        """Parameters of the network that is kept."""
        return sum(value.numel() for value in self.method.answering().parameters())


def make(name: str, arguments: argparse.Namespace) -> Method:
    """A method, or ERM with a wrapper around it, built as a run builds it."""
    entry = METHODS[name]
    model = ModelConfig(
        backbone=arguments.backbone, image_size=arguments.size, moge_blocks=tuple(arguments.moge_blocks)
    )
    algorithm = "erm" if entry.wrapper else name
    config = dataclasses.replace(
        RunConfig(), algorithm=algorithm, model=model, encoder=EncoderConfig(legendre_polys=10)
    )
    domains = tuple(range(arguments.domains))
    info = {
        "classes": [str(number) for number in range(arguments.classes)],
        "domains": [str(number) for number in domains],
        "bands": 3,
    }
    centres = tuple((360.0 * domain / len(domains) - 180, 0.0) for domain in domains)  # along the equator
    facts = Facts(arguments.classes, domains, (1000,) * len(domains), len(domains), centres=centres)

    def build(kind: Any, *around: Method) -> Method:
        own = config.options.get(name if around else algorithm, {})
        return kind(kind.Options(**own), lambda: build_network(config, info), facts, *around)

    method = build(method_class(algorithm))
    return build(method_class(name), method) if entry.wrapper else method


def make_batch(arguments: argparse.Namespace) -> Batch:
    """Noise with known places; each domain has the same number of samples."""
    size, device = arguments.batch, arguments.device
    degrees = torch.rand(size, 2, dtype=torch.float64) - 0.5
    lonlat = degrees * torch.tensor([360.0, 180.0], dtype=torch.float64)
    image = torch.randn(size, 3, arguments.size, arguments.size).to(device)
    label = torch.randint(arguments.classes, (size,)).to(device)
    domain = (torch.arange(size) % arguments.domains).to(device)
    return Batch(image, label, Place.of(lonlat.to(device), domain), torch.arange(size).to(device))


class Row(NamedTuple):
    """One method's cost; ratios are to ERM in the same round."""

    name: str
    step: float
    inference: float
    trained: int
    kept: int


def measure(name: str, erm: Contestant, arguments: argparse.Namespace) -> Row:
    """Measure a method and ERM in turns, after one round to warm up."""
    own = Contestant(name, arguments)
    steps: list[float] = []
    answers: list[float] = []
    for number in range(arguments.rounds + 1):
        pair = (own, erm) if number % 2 else (erm, own)  # the first one finds the caches in another state
        trained = {one: seconds(one.train, arguments.device) / one.turn for one in pair}
        asked = {one: seconds(one.answer, arguments.device) for one in pair}
        if number:
            steps.append(trained[own] / trained[erm])
            answers.append(asked[own] / asked[erm])
    return Row(name, statistics.median(steps), statistics.median(answers), own.trained, own.kept)


def table(rows: list[Row]) -> str:
    """Markdown."""
    names = (
        *("method", "step / ERM's", "paper's step", "trained parameters", "kept parameters"),
        *("inference / ERM's", "paper's inference, ms"),
    )
    lines = [f"| {' | '.join(names)} |", f"| --- |{' ---: |' * (len(names) - 1)}"]
    for row in rows:
        paper, inference = PAPER_STEP.get(row.name, ""), PAPER_INFERENCE_MS.get(row.name, "")
        lines.append(
            f"| `{row.name}` | {row.step:.2f} | {paper} | {row.trained / 1e6:.2f} M | {row.kept / 1e6:.2f} M "
            f"| {row.inference:.2f} | {inference} |"
        )
    return "\n".join(lines)


def parse(given: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--backbone", default="vit_quick", help="a plain vision transformer")
    parser.add_argument("--size", type=int, default=32, help="pixels on a side")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--classes", type=int, default=12)
    parser.add_argument("--domains", type=int, default=4)
    parser.add_argument("--moge-blocks", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="rows as JSON, instead of a table")
    return parser.parse_args(given)


def main() -> None:
    """Measure and print."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    erm, rows, left = Contestant("erm", arguments), [], {}
    for name in arguments.methods:
        try:
            rows.append(measure(name, erm, arguments))
        except GeomoeError as error:  # a method that cannot use this backbone
            left[name] = one_line(error)
    where = torch.cuda.get_device_name() if arguments.device == "cuda" else platform.processor() or "CPU"
    if arguments.json:
        print(json.dumps({"device": where, "rows": [row._asdict() for row in rows], "left_out": left}))
        return
    print(
        f"{arguments.backbone}, {arguments.size} px, batch {arguments.batch}, {where}, "
        f"torch {torch.__version__}, threads: {arguments.threads}, median of {arguments.rounds} rounds\n"
    )
    print(table(rows))
    for row in rows:
        if (
            arguments.device == "cuda"
            and arguments.backbone.startswith("deit_small")
            and row.name in GPU_BARS
        ):
            verdict(f"{row.name}: step / ERM step", row.step, GPU_BARS[row.name])
    for name, reason in left.items():
        print(f"left out: {name}: {reason}")


if __name__ == "__main__":
    main()
