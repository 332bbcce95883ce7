"""Convert any data set, geomoe's or the user's, to the table that a sweep needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import numpy as np
import torch

from geomoe.coords import check_lonlat
from geomoe.errors import InputError
from geomoe.support.text import counted
from geomoe.types import Place

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch.utils.data import Dataset


class DataModule(Protocol):
    """The part of a data module that a sweep uses."""

    def dataset(self, split: str) -> Dataset[Any]:
        """Return one split."""


class Table(NamedTuple):
    """The facts about N samples that a sweep needs, read without opening an image.

    Attributes:
        place: checked places.
        label: (N,) true class ids.
        block: (N,) ids of spatial blocks; if the data set declares none, each sample has its own.
    """

    place: Place
    label: NDArray[np.int64]
    block: NDArray[np.int64]


def part_of(dataset: Dataset[Any] | DataModule, split: str | None) -> Dataset[Any]:
    """Return the given data set, or a split of a data module.

    Raises:
        InputError: ``split`` is given for a data set, or missing for a data module.
    """
    name = type(dataset).__name__
    if hasattr(dataset, "__getitem__"):
        if split is not None:
            msg = f"split: {name} is one split already; leave it out, got {split!r}"
            raise InputError(msg)
        return cast("Dataset[Any]", dataset)
    if split is None:
        msg = f"split: {name} has several; choose train, val, test or held_out"
        raise InputError(msg)
    return cast("DataModule", dataset).dataset(split)


def table_of(data: Any) -> Table:  # noqa: ANN401 - a data set of anybody's
    """Read the columns ``lonlat``, ``labels``, ``domains`` and, if present, ``blocks``.

    Raises:
        InputError: there are no samples, or a column is missing or has a wrong length.
        CoordinateError: a place is invalid.
    """
    name = type(data).__name__
    missing = [column for column in ("lonlat", "labels", "domains") if not hasattr(data, column)]
    if missing:
        msg = f"{name}: has no {', '.join(missing)}; these arrays have one row for each sample"
        raise InputError(msg)
    count = len(data)
    if count == 0:
        msg = f"{name}: has no samples to predict"
        raise InputError(msg)
    lonlat = check_lonlat(data.lonlat, where=f"{name}.lonlat").lonlat
    columns = {
        "labels": data.labels,
        "domains": data.domains,
        "blocks": getattr(data, "blocks", np.arange(count)),
    }
    label, domain, block = (np.asarray(column, dtype=np.int64) for column in columns.values())
    for column, found in zip(("lonlat", *columns), (lonlat, label, domain, block), strict=True):
        if len(found) != count:
            samples = counted(count, "sample")
            msg = f"{name}.{column}: expected a row for each of the {samples}; got {len(found)}"
            raise InputError(msg)
    return Table(Place.of(torch.from_numpy(lonlat), torch.from_numpy(domain)), label, block)
