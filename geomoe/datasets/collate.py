"""Batches that are read together and can still be used as a list of samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

from torch import Tensor
from torch.utils.data import default_collate


class Samples(Sequence[dict[str, Any]]):
    """Sample dicts that were read together: what a data set's ``__getitems__`` returns.

    PyTorch's and torchgeo's collate functions see a list of samples; :func:`collate` uses the tensors
    directly.

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
        """Return one sample, or a list of samples."""
        if isinstance(row, slice):
            return Samples({key: value[row] for key, value in self.batch.items()})
        if not -len(self) <= row < len(self):
            msg = f"there are {len(self)} samples; got {row}"
            raise IndexError(msg)
        sample = {key: value[row] for key, value in self.batch.items()}
        if "image" in sample:  # a cache returns bytes, but samples are always float32
            sample["image"] = sample["image"].float()
        return sample


def collate(samples: Any) -> dict[str, Any]:  # noqa: ANN401 - samples, or a batch that the data set made
    """Return a batch that was read together unchanged; stack a list of samples."""
    if isinstance(samples, Samples):
        return samples.batch
    return samples if isinstance(samples, dict) else default_collate(samples)
