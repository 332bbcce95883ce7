"""Predict a data set in one pass: each image is read once for any number of expert choices."""

from __future__ import annotations

import logging
import os
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import Dataset

from geomoe.build import build_datamodule
from geomoe.datasets.collate import collate
from geomoe.errors import DataError
from geomoe.inference.ground import HINT, ground_of
from geomoe.inference.tables import part_of, table_of
from geomoe.support.workers import SAMPLE_TENSORS, open_loader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from geomoe.datasets.base import LabelledImages
    from geomoe.inference.predictor import Predictor
    from geomoe.inference.tables import DataModule
    from geomoe.types import BlockExperts, Experts, ModelOutput

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Predictions:
    """The predictions of a network for every sample of a data set, in the data set's order.

    Attributes:
        index: (N,) row of each sample in the data set.
        lonlat: (N, 2) float64 degrees, longitude first; NaN, NaN where the place is unknown.
        domain: (N,) domain ids; -1 where unknown.
        block: (N,) id of the spatial block of each sample; if the data set declares no blocks, each
            sample is its own block.
        label: (N,) true class ids.
        logits: (N, C) float32 class scores.
        weights: (M, N, E) float32 gate weights of each MoGE block; M = 0 without experts.
    """

    index: NDArray[np.int64]
    lonlat: NDArray[np.float64]
    domain: NDArray[np.int64]
    block: NDArray[np.int64]
    label: NDArray[np.int64]
    logits: NDArray[np.float32]
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: NDArray[np.bool_]) -> Predictions:
        """Return the predictions of some samples.

        Args:
            rows: (N,) mask of the samples.
        """
        names = ("index", "lonlat", "domain", "block", "label", "logits")
        return Predictions(
            **{name: getattr(self, name)[rows] for name in names}, weights=self.weights[:, rows]
        )

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """Return (N,) class ids with the highest score."""
        return self.logits.argmax(axis=1)

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Return (N,) whether the predicted class is the true class."""
        return self.predicted == self.label

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """(N, C) softmax of the scores."""
        scores = self.logits.astype(np.float64)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    @cached_property
    def top1(self) -> NDArray[np.int64]:
        """Return (M, N) numbers of the expert with the largest gate weight, in each MoGE block."""
        return self.weights.argmax(axis=2)


def predict_dataset(
    predictor: Predictor,
    dataset: Dataset | DataModule,
    split: str | None = None,
    experts: BlockExperts = "all",
    *,
    batch_size: int = 256,
    num_workers: int = 0,
) -> Predictions:
    """Predict every sample of a data set.

    Args:
        predictor: from :func:`geomoe.load`.
        dataset: a data set whose samples have raw ``image``, ``label``, ``lon``, ``lat`` and
            ``domain`` (see docs/formats.md), or a data module of such data sets.
        split: which part of a data module: train, val, test, held_out, or another of its splits.
        experts: "all", "shared", the number of one specialist, or a tuple of these, one for each block.
        batch_size: images in a forward pass.
        num_workers: number of processes that read images; 0: this process.

    Raises:
        InputError: the data set is empty or lacks places, labels or domains, or ``split`` is missing or
            not applicable.
        ConfigError: the network does not have these experts.
    """
    chosen = predict_many(
        predictor, dataset, [experts], split=split, batch_size=batch_size, num_workers=num_workers
    )
    return chosen[experts]


def predict_many(
    predictor: Predictor,
    dataset: Dataset | DataModule,
    choices: Sequence[BlockExperts],
    *,
    split: str | None = None,
    batch_size: int = 256,
    num_workers: int = 0,
) -> dict[BlockExperts, Predictions]:
    """Like :func:`predict_dataset`, for several choices of experts in one pass over the images."""
    choices = [predictor.check_experts(choice) for choice in choices]
    data = part_of(dataset, split)
    table = table_of(data)
    _tell_ground(predictor, data)
    place = predictor.with_features(table.place)
    logits: dict[BlockExperts, list[torch.Tensor]] = {choice: [] for choice in choices}
    weights: dict[BlockExperts, list[torch.Tensor]] = {choice: [] for choice in choices}
    for rows, image in batches(data, batch_size, num_workers):
        here = place.take(torch.from_numpy(rows).to(predictor.device))
        for choice, output in predictor.forward_many(image, here, choices).items():
            logits[choice].append(output.logits.float().cpu())
            weights[choice].append(_gates(output).cpu())
    lonlat, domain = table.place.lonlat.numpy(), table.place.domain.numpy()
    return {
        choice: Predictions(
            np.arange(len(table.label)), lonlat, domain, table.block, table.label,
            torch.cat(logits[choice]).numpy(), torch.cat(weights[choice], dim=1).numpy(),
        )
        for choice in choices
    }  # fmt: skip


def _tell_ground(predictor: Predictor, data: Dataset) -> None:
    """Warn if the images of a data set cover a different length of ground than the training images."""
    ground, trained = getattr(data, "ground", None), ground_of(predictor.info)
    if ground is None:
        return
    said = Counter(
        doubt for metres, pixels in ground.tolist() for doubt in trained.doubts(metres, int(pixels))
    )
    for doubt, count in said.items():
        log.warning("%s: %d of %d images", doubt.removesuffix(HINT), count, len(ground))


def forced_choices(alive: Sequence[Sequence[bool]]) -> list[tuple[Experts, ...]]:
    """Return choices that force each expert of each MoGE block; the other blocks route normally.

    Args:
        alive: for each block, which of its slots hold an expert (:attr:`geomoe.models.Network.alive`); spare
            slots are not forced.
    """
    return [
        tuple(expert if number == block else "all" for number in range(len(alive)))
        for block, slots in enumerate(alive)
        for expert, there in enumerate(slots)
        if there
    ]


def batches(
    data: Dataset, batch_size: int = 256, num_workers: int = 0, rows: NDArray[np.int64] | None = None
) -> Iterator[tuple[NDArray[np.int64], torch.Tensor]]:
    """Yield raw images in order: rows (B,) of the data set and image (B, bands, height, width).

    Args:
        data: a data set of sample dictionaries, with or without ``__getitems__``.
        batch_size: images in a batch.
        num_workers: number of processes that read images; 0: this process.
        rows: rows to read; default: all.
    """
    rows = np.arange(len(data)) if rows is None else rows  # type: ignore[arg-type]
    loader = open_loader(
        data,
        batch_size=batch_size,
        sampler=rows.tolist(),
        num_workers=num_workers,
        tensors=SAMPLE_TENSORS,
        collate_fn=collate,
        generator=torch.Generator(),  # otherwise the worker seed would consume the caller's random numbers
    )
    start = 0
    for sample in loader:
        image = sample["image"].float()  # a cache returns bytes
        yield rows[start : start + len(image)], image
        start += len(image)


def _gates(output: ModelOutput) -> torch.Tensor:
    """(M, B, E) gate weights; (0, B, 0) without experts."""
    if not output.routings:
        return torch.zeros(0, len(output.logits), 0)
    return torch.stack([routing.weights.float() for routing in output.routings])


def open_split(
    predictor: Predictor,
    split: str,
    root: str | os.PathLike[str] | None = None,
    *,
    allow_vrt: bool = False,
) -> LabelledImages:
    """Open a split of the data that a checkpoint was trained on, under the protocol of its run.

    Args:
        predictor: from :func:`geomoe.load`.
        split: train, val, test, held_out, or another split of the data set.
        root: folder of the data; default: that of the run.
        allow_vrt: whether to read VRTs; the setting in the checkpoint is ignored, as it may be untrusted.

    Raises:
        ConfigError: the split is unknown, or is held_out and the run held nothing out.
        DatasetNotFoundError: the data is missing.
        DataError: the data differs from the training data of the checkpoint, so the splits may differ too.
    """
    config = predictor.config
    folder = os.fspath(root) if root else config.data.root
    where = replace(config.data, root=folder, allow_vrt=allow_vrt)
    data = build_datamodule(replace(config, data=where)).dataset(split)
    trained, found = predictor.info.get("data_hash"), data.data_hash
    if trained not in (found, *data.earlier_hashes):
        msg = (
            f"{config.data.name}: the checkpoint was trained on data {str(trained)[:12]}, here is "
            f"{str(found)[:12]}: its test samples may have been trained on; use the geomoe that trained it"
        )
        raise DataError(msg)
    if list(data.classes) != predictor.classes:
        msg = (
            f"{config.data.name}: the checkpoint has other classes ({len(predictor.classes)}) than the data "
            f"({len(data.classes)}); use a checkpoint that was trained on this data"
        )
        raise DataError(msg)
    return data
