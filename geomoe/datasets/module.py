"""The base class of all data modules: loaders, protocol and facts over :class:`LabelledImages`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch
from torchgeo.datamodules import NonGeoDataModule

from geomoe.catalogue import CATALOGUE
from geomoe.datasets.augment.pipeline import AUGMENTS, augment_images, check_augment
from geomoe.datasets.base import LabelledImages
from geomoe.datasets.batches.grouped import grouped_sampler, in_groups
from geomoe.datasets.batches.shuffled import EpochSampler
from geomoe.datasets.batches.to_batch import to_batch
from geomoe.datasets.cache.use import use_cache
from geomoe.datasets.collate import collate
from geomoe.datasets.of_domains import OfDomains, domain_id
from geomoe.datasets.training_places import thin_places
from geomoe.errors import ConfigError, DataError
from geomoe.support.text import counted
from geomoe.support.workers import SAMPLE_TENSORS, open_loader

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from matplotlib.figure import Figure
    from torch import Tensor
    from torch.utils.data import DataLoader

    from geomoe.datasets.augment.pipeline import Augment
    from geomoe.types import Batch

log = logging.getLogger(__name__)

BATCH = 64  # samples in a step if no number is given and the training split is large enough


SELECTING = ("train", "val", "id_val")  # splits that training and selection see


class ImageDataModule(NonGeoDataModule):
    """Loaders of one data set; on the device, sample dicts become :class:`~geomoe.types.Batch`.

    Each data set derives from it and defines how a split is opened (:meth:`open`) and the ``mean`` and
    ``std`` of its pixels (as attributes, or in :meth:`statistics` if they are computed).

    Attributes:
        name: the data set's name in configurations.
        mean: (bands,) raw values.
        std: (bands,) raw values.
        pixel_types: types of the pixels in the files of the training images.
    """

    name: str
    pixel_types: tuple[str, ...] = ("uint8",)
    mean: Tensor = torch.tensor([0.485, 0.456, 0.406]) * 255  # ImageNet's, as used for pretrained weights
    std: Tensor = torch.tensor([0.229, 0.224, 0.225]) * 255

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        held_out: str | None = None,
        split_seed: int = 0,
        batch_size: int | None = 128,
        num_workers: int = 0,
        augment: Augment = "flips_rotations",
        image_size: int | None = None,
        seed: int = 0,
        **options: Any,  # noqa: ANN401 - the data set's own keys
    ) -> None:
        """Configure what to load; nothing is read or written before it is needed.

        Args:
            root: folder of the data; default: the default folder of the data set.
            held_out: domain left out of train and val; test keeps every domain.
            split_seed: seed of one of the declared splits.
            batch_size: samples per step on each device; None: :data:`BATCH`, or the whole training split
                where that has fewer.
            num_workers: number of processes that load batches.
            augment: augmentation of training images.
            image_size: side in pixels; None: not resized.
            seed: seed of the order of the training samples.
            **options: the keys of ``geomoe.catalogue.OPTIONAL_KEYS`` that this data set supports.

        Raises:
            ConfigError: the kind of augmentation is unknown.
        """
        if augment not in AUGMENTS:
            msg = f"data.augment: expected one of {', '.join(AUGMENTS)}; got {augment!r}"
            raise ConfigError(msg)
        super().__init__(LabelledImages, BATCH if batch_size is None else batch_size, num_workers)
        self._fits = batch_size is None
        # In torchgeo this name is an attribute with one data set for all splits; here it is a method.
        vars(self).pop("dataset", None)
        self.root, self.held_out, self.split_seed, self.image_size = root, held_out, split_seed, image_size
        self.options = options
        self.augment, self.seed = augment, seed
        self._parts: dict[str, LabelledImages] = {}
        self._looked_over: set[str] = set()

    def open(self, split: str) -> LabelledImages:
        """Open one split: train, val, test, held_out, or a further split of the data set.

        Raises:
            ConfigError: the split, domain or protocol is unknown.
            DatasetNotFoundError: the data is missing; the message says how to get it.
            DataError: the data is damaged.
        """
        raise NotImplementedError

    def split_names(self) -> tuple[str, ...]:
        """The splits that can be opened under this protocol."""
        return (*CATALOGUE[self.name].splits, *(() if self.held_out is None else ("held_out",)))

    def dataset(self, split: str) -> LabelledImages:  # type: ignore[override]
        """Return one split, opened once; it reads the cache if ``geomoe data cache`` made one."""
        if split not in self._parts:
            self._parts[split] = self.open(split)
            use_cache(self.name, self._parts[split])
            if split in SELECTING and self.options.get("train_domains"):
                self._parts[split] = self._of_train_domains(split)
        return self._parts[split]

    def _of_train_domains(self, split: str) -> LabelledImages:
        """Return the samples of ``data.train_domains``; a validation split with other domains stays whole."""
        whole, names = self._parts[split], self.options["train_domains"]
        part = OfDomains(whole, names)
        if split == "train":
            for name in names:
                if not (part.domains == whole.regions.index(name)).any():
                    msg = f"data.train_domains: {self.name} has no training samples of {name}"
                    raise ConfigError(f"{msg} under this protocol; leave it out")
        return part if len(part) else whole

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Return (bands,) mean and standard deviation of raw values, used to normalise images."""
        return self.mean, self.std

    def verify(self) -> list[str]:
        """Read every byte of the files, for a check; return the changes that earlier runs did not notice."""
        return []

    def write_index(self, folder: Path) -> None:
        """Write the split of each sample to a run's folder, if the protocol requires it."""

    def prepare_data(self) -> None:
        """Prepare files that are made once; Lightning calls this in one process on each machine."""
        self.dataset("test")

    def setup(self, stage: str) -> None:
        """Open the splits that a stage (fit, validate, test or predict) needs.

        Raises:
            DataError: a split that training needs has no samples, or its image files are missing.
        """
        if stage == "fit":
            self.train_dataset = self._whole("train")
            self._whole("val")
        if stage in ("fit", "validate"):
            self.val_dataset = self.dataset("val")
        if stage == "test":
            self.test_dataset = self.dataset("test")
        if stage == "predict":
            self.predict_dataset = self.dataset("test")

    def _whole(self, split: str) -> LabelledImages:
        """Return a complete split; missing files raise here, not in the middle of an epoch."""
        data = self.dataset(split)
        if split in self._looked_over:
            return data
        if not len(data):
            msg = f"{self.name}: split {split} has no samples; is the table, or the protocol, the right one?"
            raise DataError(msg)
        gone = data.absent_files() if data.cached is None else []
        if gone:
            msg = f"{gone[0]}: no such image, the first of {len(gone)} missing of the {len(data)} of split"
            raise DataError(f"{msg} {split}; the copy of {self.name} is not complete: copy its images again")
        self._looked_over.add(split)
        return data

    def info(self) -> dict[str, Any]:
        """Return plain facts for checkpoints and run.json, such as the names of classes and domains."""
        mean, std = self.statistics()
        data = self.dataset("test")
        names = self.options.get("train_domains") or ()
        chosen = {"train_domains": sorted(domain_id(name, data.regions) for name in names)} if names else {}
        return {
            **chosen,
            "name": self.name,
            "classes": list(data.classes),
            "domains": list(data.regions),
            "uncounted": list(data.uncounted),
            "bands": len(mean),
            "image_size": self.image_size,
            "mean": [round(float(value), 4) for value in mean],
            "std": [round(float(value), 4) for value in std],
            "pixel_types": list(self.pixel_types),
            "held_out": self.held_out,
            "split_seed": self.split_seed,
            "data_hash": data.data_hash,
            "places": thin_places(self.dataset("train").lonlat),
        }

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Return shuffled full batches; ``loader.sampler`` is an :class:`EpochSampler`.

        With several devices the sampler already selects the rows of each rank, so Lightning's
        Trainer needs ``use_distributed_sampler=False``.
        """
        data = self.dataset("train")
        check_augment(self.augment, len(self.statistics()[0]), data.scale)
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if self._fits:
            self._fit_batch(data, rank, world)
        return self._loader(data, sampler=self.sampler(data, rank, world), drop_last=True)

    def _fit_batch(self, data: LabelledImages, rank: int, world_size: int) -> None:
        """Set the batch to :data:`BATCH`, or to the share of a rank in a training split that has fewer."""
        groups = self.options.get("groups_per_batch") or 1
        usable = len(data) if groups == 1 else int(in_groups(data).sum())
        many = min(BATCH, usable // world_size)
        before, self.batch_size = self.batch_size, max(many - many % groups, groups)
        if rank == 0 and self.batch_size < min(BATCH, before):
            text = "a batch is %s on each device: there are %d to train with (data.batch_size sets it)"
            log.info(text, counted(self.batch_size, "sample"), usable)

    def sampler(self, data: LabelledImages, rank: int, world_size: int) -> EpochSampler:
        """Return the sampler of training samples: shuffled, or with a few domains in each batch."""
        if self.options.get("groups_per_batch"):
            many = (self.options["groups_per_batch"], self.options.get("batches_per_epoch", 0))
            return grouped_sampler(data, *many, self.seed, self.batch_size, rank, world_size)
        return EpochSampler(len(data), self.seed, self.batch_size, rank, world_size)

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Return every sample once, in order."""
        return self._loader(self.dataset("val"))

    def test_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Return every sample of every domain once, in order, also under a held-out protocol."""
        return self._loader(self.dataset("test"))

    def predict_dataloader(self) -> DataLoader[dict[str, Any]]:
        """The same as test."""
        return self._loader(self.dataset("test"))

    def _loader(self, data: LabelledImages, **options: Any) -> DataLoader[dict[str, Any]]:  # noqa: ANN401
        return open_loader(
            data,
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            tensors=SAMPLE_TENSORS,
            collate_fn=collate,
            persistent_workers=self.num_workers > 0,
            **options,
        )

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int = 0) -> Batch:  # type: ignore[override]
        """Normalise the batch on its device, and augment it in training."""
        return self.to_batch(batch, train=bool(self.trainer and self.trainer.training))

    def to_batch(self, sample: dict[str, Any], *, train: bool = False) -> Batch:
        """Normalise and augment like :meth:`on_after_batch_transfer`, for loops without Lightning.

        Args:
            sample: a collated sample dict, on any device.
            train: whether to augment, drawing from torch's global CPU generator.
        """
        if train:
            sample = {**sample, "image": augment_images(sample["image"].float(), self.augment)}
        return to_batch(sample, *self.statistics())

    def plot(self, *args: Any, **kwargs: Any) -> Figure:  # noqa: ANN401 - passed on
        """Draw a sample; see :meth:`LabelledImages.plot`."""
        return self.dataset("val").plot(*args, **kwargs)
