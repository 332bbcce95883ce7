"""The samples of some domains of a split, as a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geomoe.datasets.base import Columns, LabelledImages
from geomoe.errors import ConfigError
from geomoe.support.words import unknown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from geomoe.datasets.base import Grouping

_NAMES = (
    *("classes", "regions", "uncounted", "domain_unit", "block_unit", "beside", "countries", "remarks"),
    *("total", "overlapping", "rgb", "scale", "pixel_type", "cacheable"),
)


class OfDomains(LabelledImages):
    """Some of the samples of a split; everything else is that of the whole split.

    Args:
        whole: the split.
        names: the domains that are kept.

    Raises:
        ConfigError: the data has no domain of such a name.
    """

    def __init__(self, whole: LabelledImages, names: Sequence[str]) -> None:
        ids = [domain_id(name, whole.regions) for name in names]
        self.whole, self.kept = whole, np.flatnonzero(np.isin(whole.domains, ids))
        for name in _NAMES:
            setattr(self, name, getattr(whole, name))
        kept = self.kept
        super().__init__(
            Columns(
                whole.lonlat[kept],
                whole.labels[kept],
                whole.domains[kept],
                whole.blocks[kept],
                whole.rows[kept],
            ),
            split=whole.split,
            image_size=whole.image_size,
            transforms=whole.transforms,
            extra={key: np.asarray(column)[kept] for key, column in whole.extra.items()},
            data_hash=whole.data_hash,
        )
        self.cached = whole.cached

    def load_image(self, index: int) -> Tensor:
        """Open one image."""
        return self.whole.load_image(int(self.kept[index]))

    def read_images(self, chosen: NDArray[np.int64]) -> Tensor:
        """Read images like the whole split."""
        return self.whole.read_images(self.kept[chosen])

    def absent_files(self) -> list[Path]:
        """Missing image files of the whole split."""
        return self.whole.absent_files()

    @property
    def image_key(self) -> str:
        """The key of the whole split's image cache."""
        return self.whole.image_key

    def groupings(self) -> dict[str, Grouping]:
        """Return the further groupings of the samples that are kept."""
        found = self.whole.groupings()
        return {kind: one._replace(ids=one.ids[self.kept]) for kind, one in found.items()}

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the reader has
        """Further attributes of the whole split, such as its folder."""
        if name in ("whole", "kept"):  # not set yet: a copy is being made
            raise AttributeError(name)
        return getattr(self.whole, name)


def domain_id(name: str, regions: Sequence[str]) -> int:
    """The position of a domain.

    Raises:
        ConfigError: there is no domain of that name.
    """
    if name not in regions:
        raise ConfigError(unknown("data.train_domains", "domain", name, regions))
    return list(regions).index(name)
