"""One pass over the images for all checkpoints: everything that the diagnostics need is gathered here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from geomoe.inference.sweep import batches, forced_choices
from geomoe.models.families import prefix_tokens
from geomoe.models.networks import classify
from geomoe.types import Place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from geomoe.datasets.base import LabelledImages
    from geomoe.inference import Predictor
    from geomoe.types import BlockExperts, ModelOutput

IMAGES = 512  # images whose tokens are compared by CKA, as in geomoe.evaluation
TOKENS = 8  # tokens of each of these images


class Answers(NamedTuple):
    """Answers of a network at other places: predicted (N,) class ids, and top1 (M, N) dominant experts."""

    predicted: NDArray[np.int64]
    top1: NDArray[np.int64]


@dataclass(frozen=True)
class Seen:
    """Answers of one checkpoint for N samples, with M layers of E experts, and D features.

    Attributes:
        layers: M names, such as "block 8" or "head"; none without experts.
        predicted: (N,) class ids.
        features: (N, D) pooled features.
        weights: (M, N, E) gate weights.
        outputs: (M, E, N, D) every expert's output for each sample: that for the class token if the backbone
            has one, else the mean over tokens; for a head of experts, the features.
        tokens: M arrays (E, R, D), every expert's output on the same R tokens.
        forced: (M, E, N) class ids when one expert of one layer is used for all samples; -1 in spare slots.
        shared: (N,) class ids of the shared expert alone; None without one, as in a head of experts.
        moved: name -> answers at other places.
        alive: M x E flags, which slots hold an expert; None: all do.
        answers: number of answers computed for each image: normal, with forced experts, at other places.
    """

    layers: tuple[str, ...]
    predicted: NDArray[np.int64]
    features: NDArray[np.float32]
    weights: NDArray[np.float32]
    outputs: NDArray[np.float32]
    tokens: tuple[NDArray[np.float32], ...]
    forced: NDArray[np.int64]
    shared: NDArray[np.int64] | None
    moved: dict[str, Answers]
    answers: int
    alive: tuple[tuple[bool, ...], ...] | None = None

    @property
    def top1(self) -> NDArray[np.int64]:
        """(M, N) expert with the largest gate weight."""
        return self.weights.argmax(axis=2)

    def alive_in(self, at: int) -> tuple[bool, ...]:
        """E flags, which slots of a layer hold an expert."""
        return (True,) * self.weights.shape[2] if self.alive is None else self.alive[at]


class Experts(NamedTuple):
    """Layers with experts: M names, such as "block 8" or "head", and E, the number of experts in each."""

    layers: tuple[str, ...]
    experts: int


def experts_in(predictor: Predictor) -> Experts:
    """Find the layers with experts of a network, by running it on one empty image at an unknown place."""
    bands, size = len(predictor.info["mean"]), predictor.config.model.image_size
    place = predictor.with_features(Place.unknown(1))
    output = predictor.forward(torch.zeros(1, bands, size, size), place, cka_tokens=0)
    if not output.expert_outputs:
        return Experts((), 0)
    names = tuple(f"block {number}" for number in predictor.blocks) or ("head",)
    return Experts(names, len(output.expert_outputs[0]))


def sweep(
    predictors: Sequence[Predictor],
    dataset: LabelledImages,
    rows: NDArray[np.int64],
    moves: Sequence[Mapping[str, NDArray[np.float64]]],
    *,
    batch_size: int = 64,
    num_workers: int = 0,
) -> list[Seen]:
    """Read each image once, and run all networks on it.

    Args:
        predictors: networks that read images of one size.
        dataset: a split.
        rows: (N,) rows of the split, ascending.
        moves: for each network, other places (N, 2) of the samples, by name.
        batch_size: images in a forward pass.
        num_workers: number of processes that read images; 0: this process.
    """
    place = dataset.place.take(torch.from_numpy(rows))
    watches = [_Watch(one, place, others) for one, others in zip(predictors, moves, strict=True)]
    start = 0
    for _, image in batches(dataset, batch_size, num_workers, rows):
        for watch in watches:
            watch.see(image, slice(start, start + len(image)))
        start += len(image)
    return [watch.seen() for watch in watches]


class _Watch:
    """Collects the answers of one network, batch by batch."""

    def __init__(self, predictor: Predictor, place: Place, moves: Mapping[str, NDArray[np.float64]]) -> None:
        self.predictor = predictor
        self.place = predictor.with_features(place)
        self.moves = {
            name: predictor.with_features(place._replace(lonlat=torch.from_numpy(lonlat)))
            for name, lonlat in moves.items()
        }
        self.sampled = set(np.linspace(0, len(place.lonlat) - 1, IMAGES).round().astype(int).tolist())
        self.parts: dict[str, list[Tensor]] = {}
        self.tokens: list[list[Tensor]] = []

    def _keep(self, name: str, value: Tensor) -> None:
        self.parts.setdefault(name, []).append(value.cpu())

    def see(self, image: Tensor, here: slice) -> None:
        """Run the network on one batch; ``here``: its rows among the samples."""
        predictor, place = self.predictor, self.place.take(here)
        output = predictor.forward(image, place, cka_tokens=0)
        self._keep("predicted", output.logits.argmax(dim=1))
        self._keep("features", output.features.float())
        self._keep("weights", _gates(output))
        if output.expert_outputs:
            self._experts(output, here)
            self._forced(image, place, output)
        places = [moved.take(here) for moved in self.moves.values()]
        for name, answer in zip(self.moves, predictor.forward_places(image, places), strict=True):
            self._keep(f"predicted {name}", answer.logits.argmax(dim=1))
            self._keep(f"top1 {name}", _gates(answer).argmax(dim=2))

    def _experts(self, output: ModelOutput, here: slice) -> None:
        """Each expert's output: one vector for each sample, and some tokens of some samples."""
        count = len(output.logits)
        tokens = [outputs.unflatten(1, (count, -1)) for outputs in output.expert_outputs]  # (E, B, N, D)
        first = prefix_tokens(self.predictor.model.backbone) > 0  # the class token stands for the sample
        one = [part[:, :, 0] if first else part.mean(dim=2) for part in tokens]
        self._keep("outputs", torch.stack(one).float())
        chosen = [row - here.start for row in range(here.start, here.stop) if row in self.sampled]
        self.tokens = self.tokens or [[] for _ in tokens]
        for kept, part in zip(self.tokens, tokens, strict=True):
            of = np.unique(np.linspace(0, part.shape[2] - 1, TOKENS).round().astype(int))
            kept.append(part[:, chosen][:, :, of].flatten(1, 2).float().cpu())

    def _forced(self, image: Tensor, place: Place, output: ModelOutput) -> None:
        """Classes when one expert serves all samples."""
        predictor = self.predictor
        if not predictor.num_experts:  # a head: the classifier reads the expert's features
            with torch.inference_mode():
                each = [classify(predictor.model.backbone, features) for features in output.expert_outputs[0]]
            self._keep("forced", torch.stack(each).argmax(dim=2)[None])
            return
        alive = predictor.model.alive
        choices = forced_choices(alive)
        shared: list[BlockExperts] = ["shared"] if predictor.model.has_shared else []
        found = predictor.forward_many(image, place, [*shared, *choices])
        if shared:
            self._keep("shared", found["shared"].logits.argmax(dim=1))
        every = torch.stack([found[choice].logits.argmax(dim=1) for choice in choices])
        forced = every.new_full((len(alive), predictor.num_experts, len(output.logits)), -1)
        forced[torch.tensor(alive, device=forced.device)] = every
        self._keep("forced", forced)

    def seen(self) -> Seen:
        """All answers, in the order of the samples."""
        axes = {"weights": 1, "outputs": 2, "forced": 2}
        whole = {
            name: torch.cat(parts, dim=axes.get(name, 1 if name.startswith("top1 ") else 0)).numpy()
            for name, parts in self.parts.items()
        }
        count = len(whole["predicted"])
        forced = whole.get("forced", np.zeros((0, 0, count), dtype=np.int64))
        return Seen(
            layers=experts_in(self.predictor).layers,
            predicted=whole["predicted"],
            features=whole["features"],
            weights=whole["weights"],
            outputs=whole.get("outputs", np.zeros((0, 0, count, 0), dtype=np.float32)),
            tokens=tuple(torch.cat(parts, dim=1).numpy() for parts in self.tokens),
            forced=forced,
            shared=whole.get("shared"),
            moved={name: Answers(whole[f"predicted {name}"], whole[f"top1 {name}"]) for name in self.moves},
            alive=self.predictor.model.alive or None,
            answers=1 + len(self.moves) + int((forced >= 0).any(axis=2).sum()) + ("shared" in whole),
        )


def _gates(output: ModelOutput) -> Tensor:
    """(M, B, E) gate weights; (0, B, 1) without experts."""
    if not output.routings:
        return output.logits.new_zeros(0, len(output.logits), 1)
    return torch.stack([routing.weights.float() for routing in output.routings])
