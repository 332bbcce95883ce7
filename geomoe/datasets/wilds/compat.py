"""Patch the package ``wilds`` 2.0.0 so that it works with current libraries.

wilds is the reference for splits, labels, groups and scores, but is no longer maintained. Importing it with
:func:`import_wilds`, and only then, fixes the following:

1. its check for newer versions starts threads that can block the exit of a process without network;
2. FMoW cannot be opened with pandas 2 or newer: a few of its time stamps have milliseconds;
3. FMoW's ``eval`` needs ``torch_scatter``, which is not a declared dependency;
4. importing FMoW disables Pillow's protection against decompression bombs for the whole process.

:func:`open_wilds` also prevents it from making folders and from contacting its server, which no longer
exists. The readers of geomoe need none of this; tests check that they agree with wilds.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from geomoe.errors import ConfigError, DataError, DependencyNotFoundError

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray
    from torch import Tensor

#: Data set of geomoe -> module and class of wilds.
OFFICIAL = {
    "fmow": ("wilds.datasets.fmow_dataset", "FMoWDataset"),
    "iwildcam": ("wilds.datasets.iwildcam_dataset", "IWildCamDataset"),
}


def installed() -> bool:
    """Return whether the package wilds is installed, without importing it."""
    return importlib.util.find_spec("wilds") is not None


def import_wilds() -> ModuleType:
    """Import and patch wilds once per process; ``wilds.get_dataset`` then works for FMoW and iWildCam.

    Raises:
        DependencyNotFoundError: wilds is not installed.
    """
    if not installed():
        msg = 'wilds is not installed: pip install "geomoe[wilds]"'
        raise DependencyNotFoundError(msg)
    if "wilds" not in sys.modules:
        _import_without_version_check()
    _mend_groups()
    _mend_fmow()
    return sys.modules["wilds"]


def _import_without_version_check() -> None:
    missing = object()
    checker, setting = sys.modules.get("outdated", missing), os.environ.get("OUTDATED_IGNORE")
    sys.modules["outdated"] = None  # type: ignore[assignment]  # wilds goes without it where it is missing
    try:
        importlib.import_module("wilds")
    finally:
        sys.modules.pop("outdated")
        if checker is not missing:
            sys.modules["outdated"] = checker  # type: ignore[assignment]
        if setting is None:
            os.environ.pop("OUTDATED_IGNORE", None)


def _mend_groups() -> None:
    if importlib.util.find_spec("torch_scatter") is not None:
        return
    for name in ("wilds.common.utils", "wilds.common.metrics.metric", "wilds.common.metrics.all_metrics"):
        vars(importlib.import_module(name))["avg_over_groups"] = average_over_groups


def average_over_groups(values: Tensor, groups: Tensor, n_groups: int) -> tuple[Tensor, Tensor]:
    """Replace ``wilds.common.utils.avg_over_groups``: mean (0 if empty) and size of each group.

    Args:
        values: (n,) float32.
        groups: (n,) int64 ids from 0.
        n_groups: G.

    Returns:
        (G,) means and (G,) counts, both of the values' dtype.
    """
    sums = torch.zeros(n_groups, dtype=values.dtype, device=values.device).index_add_(0, groups, values)
    counts = torch.bincount(groups, minlength=n_groups).to(values.dtype)
    return sums / counts.clamp(min=1), counts


def _mend_fmow() -> None:
    import pandas as pd
    from PIL import Image

    limit = Image.MAX_IMAGE_PIXELS
    pandas = SimpleNamespace(
        read_csv=pd.read_csv, to_datetime=lambda stamps: pd.to_datetime(stamps, format="ISO8601")
    )
    for name in ("wilds.datasets.fmow_dataset", "wilds.datasets.unlabeled.fmow_unlabeled_dataset"):
        vars(importlib.import_module(name))["pd"] = pandas
    Image.MAX_IMAGE_PIXELS = limit


def open_wilds(name: str, folder: str | os.PathLike[str], **options: Any) -> Any:  # noqa: ANN401 - a WILDSDataset
    """Open wilds' data set on a folder of tables and pictures; nothing is created or downloaded.

    Args:
        name: fmow or iwildcam.
        folder: the folder that contains the metadata; it may have any name.
        **options: options of the data set's class, such as ``split_scheme``.

    Raises:
        DependencyNotFoundError: wilds is not installed.
        ConfigError: the name is unknown.
    """
    if name not in OFFICIAL:
        msg = f"wilds: expected one of {', '.join(OFFICIAL)}; got {name!r}"
        raise ConfigError(msg)
    import_wilds()
    module, kind = OFFICIAL[name]
    found = getattr(importlib.import_module(module), kind)
    here = type(kind, (found,), {"initialize_data_dir": lambda _self, _root, _download: str(folder)})
    return here(root_dir=str(Path(folder).parent), download=False, **options)


def official_rows(inner: Any, rows: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:  # noqa: ANN401
    """Map rows of the metadata table to positions in wilds' data set.

    Args:
        inner: from :func:`open_wilds`.
        rows: (N,) rows of the table, as in a data set's ``rows``.
        labels: (N,) their labels, to verify that both refer to the same samples.

    Raises:
        DataError: wilds has different samples at these rows.
    """
    table = np.asarray(getattr(inner, "full_idxs", np.arange(len(inner))))  # fmow leaves some rows out
    found = np.searchsorted(table, rows).clip(max=len(table) - 1)
    same = (table[found] == rows) & (inner.y_array.numpy()[found] == labels)
    if not same.all():
        row = int(rows[np.flatnonzero(~same)[0]])
        msg = f"wilds {inner.dataset_name}: row {row} is another sample there; is it the same table?"
        raise DataError(msg)
    return found


def official_eval(inner: Any, positions: NDArray[np.int64], predicted: NDArray[np.int64]) -> dict[str, float]:  # noqa: ANN401
    """Return the metrics of wilds' own ``eval`` for predictions, under wilds' names.

    Args:
        inner: from :func:`open_wilds`.
        positions: (N,) positions of the samples, from :func:`official_rows`.
        predicted: (N,) class ids.
    """
    results, _ = inner.eval(
        torch.from_numpy(predicted), inner.y_array[positions], inner.metadata_array[positions]
    )
    return {name: float(value) for name, value in results.items()}
