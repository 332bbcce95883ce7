"""Batches that are read in one go, and still are a list of samples to whoever wants one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

from torch import Tensor
from torch.utils.data import default_collate


class Samples(Sequence[dict[str, Any]]):
    """Sample dicts that were read together: what a data set's ``__getitems__`` returns.

    PyTorch's and torchgeo's collate functions take it for a list of samples; :func:`collate` takes
    the tensors as they were read.

    Args:
        batch: name -> tensor with one row for each sample.
    """

    def __init__(self, batch: Mapping[str, Tensor]) -> None:
        self.batch = dict(batch)

    def __len__(self) -> int:
        return len(next(iter(self.batch.values())))

    @overload
    def __getitem__(self, row: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, row: slice) -> Samples: ...

    def __getitem__(self, row: int | slice) -> dict[str, Any] | Samples:
        """One sample, or some of them."""
        if isinstance(row, slice):
            return Samples({key: value[row] for key, value in self.batch.items()})
        if not -len(self) <= row < len(self):
            msg = f"there are {len(self)} samples; got {row}"
            raise IndexError(msg)
        sample = {key: value[row] for key, value in self.batch.items()}
        if "image" in sample:  # bytes of a cache: a sample is float32, whoever asks
            sample["image"] = sample["image"].float()
        return sample


def collate(samples: Any) -> dict[str, Any]:  # noqa: ANN401 - samples, or a batch that the data set made
    """A batch read in one go stays as it is; a list of samples is stacked."""
    if isinstance(samples, Samples):
        return samples.batch
    return samples if isinstance(samples, dict) else default_collate(samples)
