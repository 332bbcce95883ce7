"""Convert data sets of the package wilds to data sets of geomoe, with places that wilds does not provide."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from geomoe.datasets.base import Columns, LabelledImages
from geomoe.errors import ConfigError, DataError, InputError, one_line

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

_DOMAINS = {"fmow": "region", "iwildcam": "location"}


class WildsImages(LabelledImages):
    """A data set or subset of wilds as a geomoe data set; made by :func:`from_wilds`.

    ``row`` is the position in wilds' table; a sample also has wilds' metadata fields.

    Attributes:
        inner: wilds' data set.
        indices: (N,) int64 positions of the samples in it.
    """

    def __init__(
        self,
        inner: Any,  # noqa: ANN401 - a WILDSDataset
        indices: NDArray[np.int64],
        columns: Columns,
        classes: Sequence[str],
        regions: Sequence[str],
        **options: Any,  # noqa: ANN401 - those of LabelledImages
    ) -> None:
        self.inner, self.indices = inner, indices
        self.classes, self.regions = tuple(classes), tuple(regions)
        super().__init__(columns, **options)

    def load_image(self, index: int) -> Tensor:
        """Open one picture: (bands, H, W) raw values; the transform of the subset is not applied.

        Raises:
            DataError: wilds cannot open it, or it is not a picture.
        """
        from PIL import EpsImagePlugin, Image

        EpsImagePlugin.gs_binary = False  # wilds opens any format, and PostScript would be executed
        where = f"wilds {self.inner.dataset_name}, sample {self.indices[index]}"
        try:
            found = self.inner.get_input(int(self.indices[index]))
            if isinstance(found, Image.Image):
                with found:  # wilds leaves some files open
                    return torch.from_numpy(np.array(found.convert("RGB")).transpose(2, 0, 1))
        except (OSError, ValueError, SyntaxError) as error:
            msg = f"{where}: cannot read the image ({one_line(error)})"
            raise DataError(msg) from error
        if isinstance(found, torch.Tensor) and found.ndim == 3:
            return found
        msg = f"{where}: not a picture but {type(found).__name__}; geomoe classifies pictures"
        raise DataError(msg)


def from_wilds(
    subset: Any,  # noqa: ANN401 - a WILDSSubset or WILDSDataset
    *,
    domain_by: str | None = None,
    gps: str | os.PathLike[str] | None = "gps_locations.json",
    image_size: int | None = None,
    transforms: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None,
) -> WildsImages:
    """Convert an image-classification data set or subset of wilds to a geomoe data set with places.

    FMoW's places come from its table; iWildCam's come from ``gps``, by the raw id of each camera, which
    wilds does not provide; places of other data sets are unknown (NaN, NaN).

    Args:
        subset: from ``wilds.get_dataset(...)``, or its ``get_subset(...)``.
        domain_by: metadata field that is the domain; default: region (fmow), location (iwildcam), else
            the first field.
        gps: iWildCam's file of places, in the data's folder or above it; None: no places.
        image_size: side in pixels to which pictures are resized; None: not resized.
        transforms: applied to each sample dict; the subset's own transform is not applied.

    Raises:
        InputError: the samples do not have exactly one class label each.
        ConfigError: the metadata field is unknown.
        DatasetNotFoundError: the file of places is missing.
    """
    inner = getattr(subset, "dataset", subset)
    indices = np.asarray(getattr(subset, "indices", np.arange(len(inner))), dtype=np.int64)
    name, fields = inner.dataset_name, list(inner.metadata_fields)
    label = _labels(inner, name)[indices]
    values = inner.metadata_array[indices].numpy()
    chosen = domain_by or _DOMAINS.get(name) or fields[0]
    if chosen not in fields:
        msg = f"domain_by: wilds {name} has {', '.join(fields)}; got {chosen!r}"
        raise ConfigError(msg)
    extra = {field: values[:, number] for number, field in enumerate(fields) if field != "y"}
    domain = extra[chosen].astype(np.int64)
    regions = _names(inner, chosen)
    classes: Sequence[str] = [f"class {k}" for k in range(inner.n_classes)]
    row, block, lonlat = indices, np.arange(len(indices)), np.full((len(indices), 2), np.nan)
    if name == "fmow":
        row, block, lonlat = _fmow_places(inner, indices)
        classes = list(inner.category_to_idx)
    elif name == "iwildcam":
        classes, cameras, places = _iwildcam_places(inner, gps)
        block, lonlat = extra["sequence"].astype(np.int64), places[extra["location"]]
        regions = cameras if chosen == "location" else regions
    digest = hashlib.sha256(name.encode())
    for column in (row, label, lonlat):
        digest.update(np.ascontiguousarray(column).data)
    return WildsImages(
        inner, indices, Columns(lonlat, label, domain, block, row), classes, regions,
        split=_split_name(inner, indices), image_size=image_size, transforms=transforms,
        extra=extra, data_hash=digest.hexdigest(),
    )  # fmt: skip


def _labels(inner: Any, name: str) -> NDArray[np.int64]:  # noqa: ANN401
    label = getattr(inner, "y_array", None)
    if label is None or inner.n_classes is None or label.ndim != 1 or label.is_floating_point():
        msg = f"wilds {name}: expected one class for each sample; its labels are of another kind"
        raise InputError(msg)
    return label.numpy().astype(np.int64)


def _names(inner: Any, field: str) -> list[str]:  # noqa: ANN401
    column = inner.metadata_array[:, inner.metadata_fields.index(field)]
    known = (inner.metadata_map or {}).get(field)
    if known is not None:
        return [str(name) for name in known]
    return [f"{field} {number}" for number in range(int(column.max()) + 1)]


def _fmow_places(
    inner: Any,  # noqa: ANN401
    indices: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    from geomoe.datasets.fmow.reader import cells
    from geomoe.datasets.fmow.tables import read_table

    # Not metadata.iloc[indices]: the table has rows (split "seq") that the data set leaves out.
    rows = np.asarray(inner.full_idxs)[indices]
    lonlat = read_table(Path(inner.data_dir)).lonlat[rows]  # mended at the antimeridian
    return rows, cells(lonlat, rows), lonlat


def _iwildcam_places(
    inner: Any,  # noqa: ANN401
    gps: str | os.PathLike[str] | None,
) -> tuple[tuple[str, ...], list[str], NDArray[np.float64]]:
    from geomoe.datasets.iwildcam.reader import camera_names, find_places
    from geomoe.datasets.iwildcam.tables import read_places, read_table

    folder = Path(inner.data_dir)
    table = read_table(folder)
    places = np.full((len(table.locations), 2), np.nan)
    if gps is not None:
        places = read_places(find_places(folder, gps), table.locations)
    return table.classes, camera_names(table.locations), places


def _split_name(inner: Any, indices: NDArray[np.int64]) -> str:  # noqa: ANN401
    codes = np.unique(np.asarray(inner.split_array)[indices])
    names = [name for name, code in inner.split_dict.items() if code in codes]
    return names[0] if len(codes) == 1 and names else "all"
