"""What every data set of geomoe is: a torchgeo data set of labelled images with places and domains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from torchgeo.datasets import NonGeoDataset

from geomoe.coords import check_lonlat
from geomoe.datasets.collate import Samples
from geomoe.types import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from torch import Tensor


class DecodedImages(Protocol):
    """Images that were decoded before: a cache (:class:`geomoe.datasets.cache.pixels.ImageCache`)."""

    def read(self, rows: NDArray[np.int64], other: Callable[[int], Tensor]) -> Tensor:
        """(B, bands, H, W) of these rows of the whole data set; ``other(k)`` opens the k-th if it lacks."""


class Columns(NamedTuple):
    """What is known of each sample without opening its image; arrays of N rows.

    Attributes:
        lonlat: (N, 2) float64 degrees, longitude first; NaN, NaN where the place is unknown.
        label: (N,) int64 positions in the class names.
        domain: (N,) int64 positions in the domain names; -1 where unknown.
        block: (N,) int64 ids of the units that intervals are resampled in (a block of space, a camera, a
            site): samples of one unit are not independent.
        row: (N,) int64 position of each sample in the whole data set, the same under every protocol.
    """

    lonlat: NDArray[np.float64]
    label: NDArray[np.int64]
    domain: NDArray[np.int64]
    block: NDArray[np.int64]
    row: NDArray[np.int64]


class Grouping(NamedTuple):
    """A second way to group samples, scored beside the domains (years beside regions, say).

    Attributes:
        names: of the groups, by id.
        ids: (N,) int64 positions in ``names``; -1: in no group.
        uncounted: groups that never are the worst one.
    """

    names: tuple[str, ...]
    ids: NDArray[np.int64]
    uncounted: tuple[str, ...] = ()


class LabelledImages(NonGeoDataset):
    """One split of a data set; a reader derives from it and says how an image is opened.

    A sample is a dict of tensors: ``image`` (bands, H, W) float32 raw values, ``label`` int64, ``lon``
    and ``lat`` float64 degrees (NaN where unknown), ``domain`` int64 (-1 where unknown), ``index``
    int64 (row in this data set), and one entry for each column of ``extra``.

    Attributes:
        classes: class names; a label is a position.
        regions: domain names (regions, cameras, years, styles); a domain is a position.
        lonlat, labels, domains, blocks, rows: the columns; see :class:`Columns`.
        place: lonlat and domains as one :class:`~geomoe.types.Place`.
        domain_unit: what a domain is, in a word, for reports (region, year, camera, style).
        block_unit: what the blocks of intervals are, in a word.
        beside: further splits that a report on this one scores beside it.
        uncounted: domains that are no group of their own (FMoW's region "Other"): they are scored, but
            never are the worst one.
        remarks: what whoever checks the data should know of how it was read, such as rows left out.
        total: samples in the whole data set on disk, in whatever split or none; None: those of its splits.
        overlapping: pairs of splits that share samples by definition.
        extra: further numeric columns, one value for each sample (year, country code, ...).
        countries: country codes, by the number in the column ``country`` of ``extra``, where there is one.
        data_hash: changes when the data does.
        cached: decoded images that are read instead of the files, where ``geomoe data cache`` made them.
        cacheable: False where images are in memory anyway.
        pixel_type: type of the files' values, in which a cache keeps them, where :meth:`load_image` makes
            floats of them; None: its own type.
    """

    cached: DecodedImages | None = None
    cacheable: bool = True
    pixel_type: str | None = None
    classes: tuple[str, ...]
    regions: tuple[str, ...]
    uncounted: tuple[str, ...] = ()
    domain_unit: str = "domain"
    block_unit: str = "spatial block"
    beside: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    total: int | None = None
    overlapping: tuple[set[str], ...] = ({"test", "held_out"},)
    rgb: tuple[int, int, int] = (0, 1, 2)  # bands that plot() shows
    scale: tuple[float, float] = (0.0, 255.0)  # raw values that plot() draws black and white

    def __init__(
        self,
        columns: Columns,
        *,
        split: str,
        image_size: int | None = None,
        transforms: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None,
        extra: Mapping[str, NDArray[Any]] | None = None,
        data_hash: str = "",
    ) -> None:
        """Keep the columns; no image is opened.

        Args:
            columns: one row for each sample of this split.
            split: its name.
            image_size: pixels on a side that images are resized to; None: as they are.
            transforms: applied to each sample.
            extra: further numeric columns.
            data_hash: of whatever decides what the samples are.

        Raises:
            CoordinateError: an impossible place.
        """
        self.lonlat = check_lonlat(columns.lonlat, where=type(self).__name__).lonlat
        self.labels, self.domains = columns.label, columns.domain
        self.blocks, self.rows = columns.block, columns.row
        self.split, self.image_size, self.transforms = split, image_size, transforms
        self.extra = dict(extra or {})
        self.data_hash = data_hash

    def load_image(self, index: int) -> Tensor:
        """Open one image: (bands, H, W), raw values, any real dtype.

        Raises:
            DataError: the file is missing or unreadable; the message names it.
        """
        raise NotImplementedError

    def absent_files(self) -> list[Path]:
        """Image files that are not there, found without opening any; here: none is looked for."""
        return []

    @property
    def image_key(self) -> str:
        """What a cache of the images goes by: the same where rows and pixels are, whatever the protocol."""
        return self.data_hash

    @property
    def place(self) -> Place:
        """Where all samples are, as tensors that share the memory of the columns."""
        return Place.of(torch.from_numpy(self.lonlat), torch.from_numpy(self.domains))

    def groupings(self) -> dict[str, Grouping]:
        """Further groups that a report scores, by what they are (year, camera); here none."""
        return {}

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one sample.

        Raises:
            IndexError: no such row.
        """
        if not -len(self) <= index < len(self):
            msg = f"{type(self).__name__} {self.split} has {len(self)} samples; got index {index}"
            raise IndexError(msg)
        sample = {key: value[0] for key, value in self.read([index % len(self)]).items()}
        return sample if self.transforms is None else self.transforms(sample)

    def __getitems__(self, indices: Sequence[int]) -> Sequence[dict[str, Any]]:
        """Return many samples, read in one go; torch's loaders ask this way, with any collate function."""
        if self.transforms is not None:
            return [self[i] for i in indices]
        chosen = np.asarray(indices, dtype=np.int64)
        # bytes stay bytes until they are on the device: making floats here costs more than the reading
        return Samples({"image": self.read_images(chosen), **self.read_columns(chosen)})

    def read(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """Return a whole batch: the dict of a sample with a first dimension; no transforms."""
        chosen = np.asarray(indices, dtype=np.int64)
        return {"image": self.read_images(chosen).float(), **self.read_columns(chosen)}

    def read_columns(self, chosen: NDArray[np.int64]) -> dict[str, Tensor]:
        """Everything of a batch but the images."""
        return {
            "label": torch.from_numpy(self.labels[chosen]),
            "lon": torch.from_numpy(self.lonlat[chosen, 0]),
            "lat": torch.from_numpy(self.lonlat[chosen, 1]),
            "domain": torch.from_numpy(self.domains[chosen]),
            "index": torch.from_numpy(chosen),
            **{key: torch.from_numpy(np.asarray(column)[chosen]) for key, column in self.extra.items()},
        }

    def read_images(self, chosen: NDArray[np.int64]) -> Tensor:
        """(B, bands, H, W) raw values, resized when a size was asked for: float32, or uint8 from a cache."""
        if self.cached is not None:
            return self.cached.read(self.rows[chosen], lambda k: self.sized(self.load_image(int(chosen[k]))))
        return torch.stack([self.sized(self.load_image(int(index))) for index in chosen])

    def sized(self, image: Tensor) -> Tensor:
        """An image or a batch as float32, resized (antialiased) when a size was asked for."""
        image, size = image.float(), self.image_size
        if size is None or image.shape[-2:] == (size, size):
            return image
        from torchvision.transforms.v2.functional import resize

        return resize(image, [size, size], antialias=True)

    def plot(self, sample: dict[str, Any], show_titles: bool = True, suptitle: str | None = None) -> Figure:
        """Draw one sample, as torchgeo data sets do.

        Args:
            sample: from this data set; a ``prediction`` (class id) in it is shown too.
            show_titles: write class, domain and place above the image.
            suptitle: title of the figure.
        """
        from matplotlib import pyplot as plt

        low, high = self.scale
        image = sample["image"].float().cpu()
        image = image[list(self.rgb)] if len(image) > max(self.rgb) else image[:1]
        figure, axes = plt.subplots(figsize=(3.2, 3.4), layout="constrained")
        shown = ((image - low) / (high - low)).clamp(0, 1).permute(1, 2, 0)
        axes.imshow(shown.numpy(), cmap="gray")  # of a single band; three are colours
        axes.axis("off")
        if show_titles:
            axes.set_title(self.title(sample), fontsize=9)
        if suptitle is not None:
            figure.suptitle(suptitle)
        return figure

    def title(self, sample: dict[str, Any]) -> str:
        """Class, domain and place of a sample, and the prediction when there is one."""
        domain, lon, lat = int(sample["domain"]), float(sample["lon"]), float(sample["lat"])
        where = "place unknown" if np.isnan(lon) else f"{lon:.1f}, {lat:.1f}"
        named = self.regions[domain] if domain >= 0 else "domain unknown"
        text = f"{self.classes[int(sample['label'])]}\n{named}, {where}"
        if "prediction" in sample:
            text += f"\nprediction: {self.classes[int(sample['prediction'])]}"
        return text
