"""The embedded data set as a torchgeo / Lightning data module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader
from torchgeo.datamodules import NonGeoDataModule

from geomoe.datasets.augment import augment_images, to_batch
from geomoe.datasets.bluemarble import BlueMarble
from geomoe.datasets.collate import collate
from geomoe.datasets.sampler import EpochSampler
from geomoe.errors import ConfigError

if TYPE_CHECKING:
    import os

    from matplotlib.figure import Figure

    from geomoe.datasets.augment import Augment
    from geomoe.types import Batch

AUGMENTS = ("none", "flips", "flips_rotations")


class BlueMarbleDataModule(NonGeoDataModule):
    """Loaders of the embedded data set; on the device, sample dicts become :class:`~geomoe.types.Batch`.

    ``mean`` and ``std`` are those of the whole Blue Marble image, sea and poles included: constants
    that no split and no held-out region can change.
    """

    mean = torch.tensor([54.9, 65.4, 80.0])
    std = torch.tensor([82.2, 77.3, 73.1])

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        held_out: str | None = None,
        split_seed: int = 0,
        batch_size: int = 128,
        num_workers: int = 0,
        augment: Augment = "flips_rotations",
        seed: int = 0,
    ) -> None:
        """Say what to load; nothing is read or written before it is needed.

        Args:
            root: folder of the crops; default: GEOMOE_CACHE, else the system's cache folder.
            held_out: region left out of train and val; test keeps every region.
            split_seed: one of the declared splits, 0 to 3.
            batch_size: samples in a step, on each device.
            num_workers: processes that load batches; 0 is fastest for this memory map.
            augment: none, flips or flips_rotations, of training images only.
            seed: of the order of the training samples.

        Raises:
            ConfigError: an unknown kind of augmentation.
        """
        if augment not in AUGMENTS:
            msg = f"data.augment: expected one of {', '.join(AUGMENTS)}; got {augment!r}"
            raise ConfigError(msg)
        super().__init__(
            BlueMarble, batch_size, num_workers, root=root, held_out=held_out, split_seed=split_seed
        )
        # torchgeo keeps one data set for all splits under this name; here it is a method.
        del self.dataset
        self.augment, self.seed = augment, seed
        self._parts: dict[str, BlueMarble] = {}

    def dataset(self, split: str) -> BlueMarble:  # type: ignore[override]
        """One split: train, val, test or held_out; opened once."""
        if split not in self._parts:
            self._parts[split] = BlueMarble(split=split, **self.kwargs)
        return self._parts[split]

    def prepare_data(self) -> None:
        """Cut the crops if they are not there; Lightning calls this in one process on each machine."""
        self.dataset("test")

    def setup(self, stage: str) -> None:
        """Open the splits that a stage needs: fit, validate, test or predict."""
        if stage == "fit":
            self.train_dataset = self.dataset("train")
        if stage in ("fit", "validate"):
            self.val_dataset = self.dataset("val")
        if stage == "test":
            self.test_dataset = self.dataset("test")
        if stage == "predict":
            self.predict_dataset = self.dataset("test")

    def info(self) -> dict[str, Any]:
        """Plain facts for checkpoints and run.json: what a model of this data must know."""
        return {
            "name": "bluemarble",
            "classes": list(BlueMarble.classes),
            "domains": list(BlueMarble.regions),
            "bands": 3,
            "image_size": 32,
            "mean": [round(float(value), 4) for value in self.mean],
            "std": [round(float(value), 4) for value in self.std],
            "held_out": self.kwargs["held_out"],
            "split_seed": self.kwargs["split_seed"],
            "data_hash": self.dataset("test").data_hash,
        }

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Shuffled, whole batches only; ``loader.sampler`` is an :class:`EpochSampler`.

        Under several devices the sampler already deals out each rank's share: tell Lightning's
        Trainer ``use_distributed_sampler=False``.
        """
        data = self.dataset("train")
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        sampler = EpochSampler(len(data), self.seed, self.batch_size, rank, world)
        return self._loader(data, sampler=sampler, drop_last=True)

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        """In order, every sample once."""
        return self._loader(self.dataset("val"))

    def test_dataloader(self) -> DataLoader[dict[str, Any]]:
        """In order, every sample once; every region, also under a held-out protocol."""
        return self._loader(self.dataset("test"))

    def predict_dataloader(self) -> DataLoader[dict[str, Any]]:
        """The same as test."""
        return self._loader(self.dataset("test"))

    def _loader(self, data: BlueMarble, **options: Any) -> DataLoader[dict[str, Any]]:  # noqa: ANN401
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
        batch = to_batch(sample, self.mean, self.std)
        return batch._replace(image=augment_images(batch.image, self.augment)) if train else batch

    def plot(self, *args: Any, **kwargs: Any) -> Figure:  # noqa: ANN401 - passed on
        """Draw a sample; see :meth:`BlueMarble.plot`."""
        return self.dataset("val").plot(*args, **kwargs)
