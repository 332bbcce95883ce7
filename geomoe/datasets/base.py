"""The base class of all data sets: a torchgeo data set of labelled images with places and domains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from torchgeo.datasets import NonGeoDataset

from geomoe.coords import check_lonlat
from geomoe.datasets.collate import Samples
from geomoe.support.figures import plain_text
from geomoe.types import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from torch import Tensor

    from geomoe.earth.footprints import Footprints


class DecodedImages(Protocol):
    """Decoded images: a cache (:class:`geomoe.datasets.cache.pixels.ImageCache`)."""

    def read(self, rows: NDArray[np.int64], other: Callable[[int], Tensor]) -> Tensor:
        """Return (B, bands, H, W) for rows of the whole data set; ``other(k)`` opens the k-th if missing."""


class Columns(NamedTuple):
    """What is known about each sample without opening its image; arrays of N rows.

    Attributes:
        lonlat: (N, 2) float64 degrees, longitude first; NaN, NaN where the place is unknown.
        label: (N,) int64 positions in the class names.
        domain: (N,) int64 positions in the domain names; -1 where unknown.
        block: (N,) int64 ids of the resampling units of intervals (a spatial block, a camera, a site):
            samples of one unit are not independent.
        row: (N,) int64 position of each sample in the whole data set, the same under every protocol.
    """

    lonlat: NDArray[np.float64]
    label: NDArray[np.int64]
    domain: NDArray[np.int64]
    block: NDArray[np.int64]
    row: NDArray[np.int64]


class Grouping(NamedTuple):
    """A second grouping of samples, scored in addition to the domains (for example years and regions).

    Attributes:
        names: group names, by id.
        ids: (N,) int64 positions in ``names``; -1: in no group.
        uncounted: groups that never count as the worst group.
    """

    names: tuple[str, ...]
    ids: NDArray[np.int64]
    uncounted: tuple[str, ...] = ()


class LabelledImages(NonGeoDataset):
    """One split of a data set; readers derive from it and implement how an image is opened.

    A sample is a dict of tensors: ``image`` (bands, H, W) float32 raw values, ``label`` int64, ``lon``
    and ``lat`` float64 degrees (NaN where unknown), ``domain`` int64 (-1 where unknown), ``index``
    int64 (row in this data set), and one entry for each column of ``extra``.

    Attributes:
        classes: class names; a label is a position.
        regions: domain names (regions, cameras, years, styles); a domain is a position.
        lonlat, labels, domains, blocks, rows: the columns; see :class:`Columns`.
        place: lonlat and domains as one :class:`~geomoe.types.Place`.
        domain_unit: one word for a domain in reports (region, year, camera, style).
        block_unit: one word for the resampling units of intervals.
        beside: further splits that are scored in a report on this split.
        uncounted: domains that are not proper groups (FMoW's region "Other"): they are scored, but never
            count as the worst domain.
        remarks: notes for data checks on how the data was read, such as skipped rows.
        doubts: suspicious values in the tables, for data checks.
        total: samples in the whole data set on disk, in any split or none; None: the sum of its splits.
        overlapping: pairs of splits that share samples by definition.
        footprints: where the images are, with their corners; None: not known.
        ground: (N, 2) ground size of a pixel in metres, and longer side in pixels; None: not known.
        groups: (N, G) numbers of groups whose images should be in one split; -1: in none; None: no groups.
        parents: (N,) numbers of the scenes to which the images belong by their file names; -1: none; None:
            not determined.
        extra: further numeric columns, one value for each sample (year, country code, ...).
        countries: country codes, indexed by the column ``country`` of ``extra``, if it exists.
        data_hash: hash that changes when the data changes.
        earlier_hashes: hashes that earlier versions of the package gave to the same data.
        earlier_image_keys: the same for :attr:`image_key`.
        cached: decoded images, read instead of the files if ``geomoe data cache`` made them.
        cacheable: False if the images are in memory anyway.
        contents: (N,) hash of every byte of each image's file; None: not known.
        pixel_type: type in which a cache stores pixels if :meth:`load_image` converts the files' values to
            floats; None: the type that :meth:`load_image` returns.
    """

    cached: DecodedImages | None = None
    cacheable: bool = True
    earlier_hashes: tuple[str, ...] = ()
    earlier_image_keys: tuple[str, ...] = ()
    pixel_type: str | None = None
    contents: NDArray[Any] | None = None
    classes: tuple[str, ...]
    regions: tuple[str, ...]
    uncounted: tuple[str, ...] = ()
    domain_unit: str = "domain"
    block_unit: str = "spatial block"
    beside: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    total: int | None = None
    footprints: Footprints | None = None
    ground: NDArray[np.float64] | None = None
    groups: NDArray[np.int64] | None = None
    parents: NDArray[np.int64] | None = None
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
        """Store the columns; no image is opened.

        Args:
            columns: one row for each sample of this split.
            split: name of the split.
            image_size: side in pixels to which images are resized; None: not resized.
            transforms: applied to each sample.
            extra: further numeric columns.
            data_hash: hash of everything that defines the samples.

        Raises:
            CoordinateError: a place is invalid.
        """
        self.lonlat = check_lonlat(columns.lonlat, where=type(self).__name__).lonlat
        self.labels, self.domains = columns.label, columns.domain
        self.blocks, self.rows = columns.block, columns.row
        self.split, self.image_size, self.transforms = split, image_size, transforms
        self.extra = dict(extra or {})
        self.data_hash = data_hash

    def type_of(self, index: int) -> str | None:
        """Return the type of an image's values in its file; None: that of :meth:`load_image`."""
        return self.pixel_type

    def load_image(self, index: int) -> Tensor:
        """Open one image: (bands, H, W), raw values, any real dtype.

        Raises:
            DataError: the file is missing or unreadable; the message names it.
        """
        raise NotImplementedError

    def name_of(self, index: int) -> str:
        """The name of a sample in messages: its file, or its row in the whole data set."""
        return f"row {self.rows[index]}"

    def absent_files(self) -> list[Path]:
        """Return the missing image files, without opening any; the base class returns none."""
        return []

    @property
    def image_key(self) -> str:
        """Return the key of the image cache: equal for equal rows and pixels, under every protocol."""
        return self.data_hash

    @property
    def place(self) -> Place:
        """The places of all samples, as tensors that share the memory of the columns."""
        return Place.of(torch.from_numpy(self.lonlat), torch.from_numpy(self.domains))

    def groupings(self) -> dict[str, Grouping]:
        """Return further groupings that a report scores, by kind (year, camera); here none."""
        return {}

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one sample.

        Raises:
            IndexError: the row does not exist.
        """
        if not -len(self) <= index < len(self):
            msg = f"{type(self).__name__} {self.split} has {len(self)} samples; got index {index}"
            raise IndexError(msg)
        sample = {key: value[0] for key, value in self.read([index % len(self)]).items()}
        return sample if self.transforms is None else self.transforms(sample)

    def __getitems__(self, indices: Sequence[int]) -> Sequence[dict[str, Any]]:
        """Return many samples, read together; torch's loaders call this with any collate function."""
        if self.transforms is not None:
            return [self[i] for i in indices]
        chosen = np.asarray(indices, dtype=np.int64)
        # Bytes are converted to floats on the device: converting here takes longer than reading.
        return Samples({"image": self.read_images(chosen), **self.read_columns(chosen)})

    def read(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """Return a batch: a sample dict with a leading batch dimension; no transforms are applied."""
        chosen = np.asarray(indices, dtype=np.int64)
        return {"image": self.read_images(chosen).float(), **self.read_columns(chosen)}

    def read_columns(self, chosen: NDArray[np.int64]) -> dict[str, Tensor]:
        """Return everything in a batch except the images."""
        return {
            "label": torch.from_numpy(self.labels[chosen]),
            "lon": torch.from_numpy(self.lonlat[chosen, 0]),
            "lat": torch.from_numpy(self.lonlat[chosen, 1]),
            "domain": torch.from_numpy(self.domains[chosen]),
            "index": torch.from_numpy(chosen),
            **{key: torch.from_numpy(np.asarray(column)[chosen]) for key, column in self.extra.items()},
        }

    def read_images(self, chosen: NDArray[np.int64]) -> Tensor:
        """Return (B, bands, H, W) raw values, resized if a size is set: float32, or uint8 from a cache."""
        if self.cached is not None:
            return self.cached.read(self.rows[chosen], lambda k: self.sized(self.load_image(int(chosen[k]))))
        return torch.stack([self.sized(self.load_image(int(index))) for index in chosen])

    def sized(self, image: Tensor) -> Tensor:
        """Return an image or a batch as float32, resized (antialiased) if a size is set."""
        image, size = image.float(), self.image_size
        if size is None or image.shape[-2:] == (size, size):
            return image
        from torchvision.transforms.v2.functional import resize

        return resize(image, [size, size], antialias=True)

    @plain_text()
    def plot(self, sample: dict[str, Any], show_titles: bool = True, suptitle: str | None = None) -> Figure:
        """Draw one sample, as torchgeo data sets do.

        Args:
            sample: sample of this data set; its ``prediction`` (class id), if any, is shown too.
            show_titles: whether to write class, domain and place above the image.
            suptitle: title of the figure.
        """
        from matplotlib import pyplot as plt

        low, high = self.scale
        image = sample["image"].float().cpu()
        image = image[list(self.rgb)] if len(image) > max(self.rgb) else image[:1]
        figure, axes = plt.subplots(figsize=(3.2, 3.4), layout="constrained")
        shown = ((image - low) / (high - low)).clamp(0, 1).permute(1, 2, 0)
        axes.imshow(shown.numpy(), cmap="gray")  # applies to a single band; three bands are colours
        axes.axis("off")
        if show_titles:
            axes.set_title(self.title(sample), fontsize=9)
        if suptitle is not None:
            figure.suptitle(suptitle)
        return figure

    def title(self, sample: dict[str, Any]) -> str:
        """Return class, domain and place of a sample, and its prediction if there is one."""
        domain, lon, lat = int(sample["domain"]), float(sample["lon"]), float(sample["lat"])
        where = "place unknown" if np.isnan(lon) else f"{lon:.1f}, {lat:.1f}"
        named = self.regions[domain] if domain >= 0 else "domain unknown"
        text = f"{self.classes[int(sample['label'])]}\n{named}, {where}"
        if "prediction" in sample:
            text += f"\nprediction: {self.classes[int(sample['prediction'])]}"
        return text
