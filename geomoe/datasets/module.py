"""What every data module of geomoe is: loaders, protocol and facts over :class:`LabelledImages`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader
from torchgeo.datamodules import NonGeoDataModule

from geomoe.catalogue import CATALOGUE
from geomoe.datasets.augment.pipeline import AUGMENTS, augment_images, check_augment
from geomoe.datasets.base import LabelledImages
from geomoe.datasets.batches.grouped import grouped_sampler
from geomoe.datasets.batches.shuffled import EpochSampler
from geomoe.datasets.batches.to_batch import to_batch
from geomoe.datasets.cache.use import use_cache
from geomoe.datasets.collate import collate
from geomoe.datasets.training_places import thin_places
from geomoe.errors import ConfigError, DataError

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from matplotlib.figure import Figure
    from torch import Tensor

    from geomoe.datasets.augment.pipeline import Augment
    from geomoe.types import Batch


class ImageDataModule(NonGeoDataModule):
    """Loaders of one data set; on the device, sample dicts become :class:`~geomoe.types.Batch`.

    A data set derives from it, says how a split is opened (:meth:`open`) and what its pixels' ``mean``
    and ``std`` are (attributes, or :meth:`statistics` where they are computed).

    Attributes:
        name: the data set's name in configurations.
        mean: (bands,) raw values.
        std: (bands,) raw values.
    """

    name: str
    mean: Tensor = torch.tensor([0.485, 0.456, 0.406]) * 255  # ImageNet's: what pretrained weights saw
    std: Tensor = torch.tensor([0.229, 0.224, 0.225]) * 255

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        held_out: str | None = None,
        split_seed: int = 0,
        batch_size: int = 128,
        num_workers: int = 0,
        augment: Augment = "flips_rotations",
        image_size: int | None = None,
        seed: int = 0,
        **options: Any,  # noqa: ANN401 - the data set's own keys
    ) -> None:
        """Say what to load; nothing is read or written before it is needed.

        Args:
            root: folder of the data; default: the data set's own.
            held_out: domain left out of train and val; test keeps every domain.
            split_seed: which of the declared splits.
            batch_size: samples in a step, on each device.
            num_workers: processes that load batches.
            augment: what is done to training images.
            image_size: pixels on a side; None: as the images are.
            seed: of the order of the training samples.
            **options: those of ``geomoe.catalogue.OPTIONAL_KEYS`` that this data set understands.

        Raises:
            ConfigError: an unknown kind of augmentation.
        """
        if augment not in AUGMENTS:
            msg = f"data.augment: expected one of {', '.join(AUGMENTS)}; got {augment!r}"
            raise ConfigError(msg)
        super().__init__(LabelledImages, batch_size, num_workers)
        # torchgeo keeps one data set for all splits under this name; here it is a method.
        vars(self).pop("dataset", None)
        self.root, self.held_out, self.split_seed, self.image_size = root, held_out, split_seed, image_size
        self.options = options
        self.augment, self.seed = augment, seed
        self._parts: dict[str, LabelledImages] = {}
        self._looked_over: set[str] = set()

    def open(self, split: str) -> LabelledImages:
        """Open one split: train, val, test, held_out, and those that the data set has besides.

        Raises:
            ConfigError: no such split, domain or protocol.
            DatasetNotFoundError: the data is not there; the message says how to get it.
            DataError: the data is there and damaged.
        """
        raise NotImplementedError

    def split_names(self) -> tuple[str, ...]:
        """Every split that can be opened under this protocol."""
        return (*CATALOGUE[self.name].splits, *(() if self.held_out is None else ("held_out",)))

    def dataset(self, split: str) -> LabelledImages:  # type: ignore[override]
        """One split; opened once. Its images come from the cache, where ``geomoe data cache`` made one."""
        if split not in self._parts:
            self._parts[split] = self.open(split)
            use_cache(self.name, self._parts[split])
        return self._parts[split]

    def statistics(self) -> tuple[Tensor, Tensor]:
        """(bands,) mean and standard deviation of the raw values that images are normalised by."""
        return self.mean, self.std

    def write_index(self, folder: Path) -> None:
        """Write which samples are in which split into a run's folder, where a protocol asks for that."""

    def prepare_data(self) -> None:
        """Make what is made once; Lightning calls this in one process on each machine."""
        self.dataset("test")

    def setup(self, stage: str) -> None:
        """Open the splits that a stage needs: fit, validate, test or predict.

        Raises:
            DataError: a split that training needs has no samples, or images that are not there.
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
        """A split that lacks nothing, which is told before the first step, not in the middle of an epoch."""
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
        """Plain facts for checkpoints and run.json: what a model of this data must know."""
        mean, std = self.statistics()
        data = self.dataset("test")
        return {
            "name": self.name,
            "classes": list(data.classes),
            "domains": list(data.regions),
            "uncounted": list(data.uncounted),
            "bands": len(mean),
            "image_size": self.image_size,
            "mean": [round(float(value), 4) for value in mean],
            "std": [round(float(value), 4) for value in std],
            "held_out": self.held_out,
            "split_seed": self.split_seed,
            "data_hash": data.data_hash,
            "places": thin_places(self.dataset("train").lonlat),
        }

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Shuffled, whole batches only; ``loader.sampler`` is an :class:`EpochSampler`.

        Under several devices the sampler already deals out each rank's share: tell Lightning's
        Trainer ``use_distributed_sampler=False``.
        """
        data = self.dataset("train")
        check_augment(self.augment, len(self.statistics()[0]), data.scale)
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return self._loader(data, sampler=self.sampler(data, rank, world), drop_last=True)

    def sampler(self, data: LabelledImages, rank: int, world_size: int) -> EpochSampler:
        """The order of the training samples: shuffled, or a few domains in each batch."""
        if self.options.get("groups_per_batch"):
            many = (self.options["groups_per_batch"], self.options.get("batches_per_epoch", 0))
            return grouped_sampler(data, *many, self.seed, self.batch_size, rank, world_size)
        return EpochSampler(len(data), self.seed, self.batch_size, rank, world_size)

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        """In order, every sample once."""
        return self._loader(self.dataset("val"))

    def test_dataloader(self) -> DataLoader[dict[str, Any]]:
        """In order, every sample once; every domain, also under a held-out protocol."""
        return self._loader(self.dataset("test"))

    def predict_dataloader(self) -> DataLoader[dict[str, Any]]:
        """The same as test."""
        return self._loader(self.dataset("test"))

    def _loader(self, data: LabelledImages, **options: Any) -> DataLoader[dict[str, Any]]:  # noqa: ANN401
        return DataLoader(
            data,
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            collate_fn=collate,
            persistent_workers=self.num_workers > 0,
            **options,
        )

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int = 0) -> Batch:  # type: ignore[override]
        """Normalise, and in training augment, on the device that the batch has come to."""
        return self.to_batch(batch, train=bool(self.trainer and self.trainer.training))

    def to_batch(self, sample: dict[str, Any], *, train: bool = False) -> Batch:
        """What on_after_batch_transfer does, for loops without Lightning.

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
