"""Base class of location encoders: fixed features of a place, then a small trainable head.

The fixed part is evaluated once per data set and once per grid, never once per step: training asks
for :meth:`LocationEncoder.feature_table` once and feeds rows of that table to
:meth:`LocationEncoder.embed`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from geomoe.coords import check_lonlat
from geomoe.errors import ConfigError, CoordinateError
from geomoe.types import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike

#: Places of a table, or cells of a grid, that are computed at a time, which limits the memory; a grid is
#: computed in whole rows, at least one.
GRID_CELLS = 8192


class LocationEncoder(nn.Module):
    """phi(lon, lat): places to embeddings of width ``out_dim``.

    An unknown place has zero features and gets the learned vector ``unknown``.

    Args:
        feature_dim: F, width of the fixed features.
        out_dim: L, width of the embedding.
        head: (B, F) float32 to (B, L); trained.
        noise: standard deviation of Gaussian noise on the features, in training only.
        freeze: whether the fixed part has no trainable weights; if not, its features must be
            recomputed at each step.

    Attributes:
        feature_dim: F.
        out_dim: L.
        frozen_features: whether the features are the same at every step, so that they can be computed once.
        unknown: (L,) embedding of an unknown place.
        recipe: the arguments of :func:`geomoe.create_encoder` that made the encoder; empty if it was made
            without that function.
        trained: (number of domains,) bool, domain ids with training samples; None for encoders that read
            places and not domains.

    Raises:
        ConfigError: a width below 1, or noise that is negative or not finite.
    """

    trained: Tensor | None

    def __init__(
        self, feature_dim: int, out_dim: int, head: nn.Module, *, noise: float = 0.0, freeze: bool = True
    ) -> None:
        super().__init__()
        check_size("out_dim", out_dim)
        if not 0 <= noise < float("inf"):
            msg = f"noise: expected a standard deviation of at least 0; got {noise}"
            raise ConfigError(msg)
        self.feature_dim = feature_dim
        self.out_dim = out_dim
        self.noise = noise
        self.frozen_features = freeze
        self.head = head
        self.recipe: dict[str, Any] = {}
        self.unknown = nn.Parameter(torch.randn(out_dim))  # the scale of a LayerNorm's output
        self.register_buffer("trained", None, persistent=False)

    @property
    def resolution_km(self) -> float | None:
        """Half the wavelength of the finest feature, in km; None if the encoder defines none.

        Two places that are much closer than this get nearly the same vector. The head can form sharper edges,
        but learns finer structure poorly.
        """
        return None

    @property
    def architecture(self) -> dict[str, Any]:
        """Plain values to rebuild this encoder without its weights file (empty: none are needed)."""
        return {}

    # Never compiled: it runs once for a data set, and it checks values.
    @torch.compiler.disable
    def features(self, lonlat: Tensor, domain: Tensor | None = None) -> Tensor:
        """Fixed features of places.

        Args:
            lonlat: (B, 2) float64 degrees, longitude first; NaN, NaN where the place is unknown.
            domain: (B,) int64 domain ids, for encoders of domains; others ignore it.

        Returns:
            (B, F) float32; zeros where the place is unknown.

        Raises:
            CoordinateError: wrong shape, half a coordinate missing, an infinity or a latitude beyond 90.
        """
        known = known_places(lonlat)[:, None]
        with_grad = torch.is_grad_enabled() and (lonlat.requires_grad or not self.frozen_features)
        with torch.set_grad_enabled(with_grad), torch.autocast(lonlat.device.type, enabled=False):
            features = self._features(torch.where(known, lonlat, 0).double())
            return torch.where(known, features, 0).contiguous()

    @torch.no_grad()
    def feature_table(self, place: Place | Tensor) -> Tensor:
        """Fixed features of every place of a data set; beyond the result, the memory is bounded.

        Args:
            place: N places on any device, or their lonlat (N, 2) degrees alone, longitude first; NaN, NaN
                where unknown.

        Returns:
            (N, F) float32 on the encoder's device.

        Raises:
            CoordinateError: as in :meth:`features`.
        """
        lonlat, domain, _ = place if isinstance(place, Place) else Place.of(place)
        device = self.unknown.device
        parts = zip(lonlat.split(GRID_CELLS), domain.split(GRID_CELLS), strict=True)
        return torch.cat([self.features(places.to(device), ids.to(device)) for places, ids in parts])

    def embed(self, features: Tensor, known: Tensor | None = None) -> Tensor:
        """Embeddings of places from their features; noise is added in training.

        Args:
            features: (B, F) float32.
            known: (B,) bool; None: every place is known.

        Returns:
            (B, L) float32.

        Raises:
            ConfigError: features of another shape.
        """
        if features.ndim != 2 or features.shape[1] != self.feature_dim:
            msg = f"features: expected (B, {self.feature_dim}); got {tuple(features.shape)}"
            raise ConfigError(msg)
        if known is None:
            known = torch.ones(len(features), dtype=torch.bool, device=features.device)
        features = features.to(self.unknown.dtype)  # float64 only in a network converted to it
        # In float32 even under autocast: rounding a place to bfloat16 moves it by tens of kilometres.
        with torch.autocast(features.device.type, enabled=False):
            if self.training and self.noise > 0:
                features = features + self.noise * torch.randn_like(features)
            # `unknown` is always in the graph, because data-parallel training expects its gradient.
            return torch.where(known[:, None], self.head(features), self.unknown)

    def forward(self, place: Place | Tensor, *, domain: Tensor | None = None) -> Tensor:
        """Embeddings of places, from their fixed features if these are given.

        Args:
            place: a Place, or lonlat (B, 2) degrees alone, longitude first; NaN, NaN where unknown.
            domain: (B,) int64 domain ids, for encoders of domains; only if ``place`` is a lonlat tensor.

        Returns:
            (B, L) float32.

        Raises:
            CoordinateError: an invalid place whose features are not given.
            ConfigError: features of another encoder, or ``domain`` in addition to a Place, which has its own.
        """
        if not isinstance(place, Place):
            place = Place.of(place, domain)
        elif domain is not None:
            raise ConfigError("domain: a Place has its own domains; leave this out")
        features = self.features(place.lonlat, place.domain) if place.features is None else place.features
        return self.embed(features, place.known)

    def embed_grid(self, lon: ArrayLike, lat: ArrayLike) -> Iterator[tuple[slice, Tensor]]:
        """Embeddings of a grid, in bands of rows, with bounded memory and without noise.

        Args:
            lon: (W,) degrees: the columns.
            lat: (H,) degrees: the rows.

        Yields:
            The slice of rows of a band, and their (rows * W, L) float32 embeddings, row-major.

        Raises:
            CoordinateError: an axis that is not a finite vector, or a latitude beyond 90.
        """
        device = self.unknown.device
        columns, rows = (torch.from_numpy(axis).to(device) for axis in _check_axes(lon, lat))
        return self._bands(columns, rows)

    def _bands(self, lon: Tensor, lat: Tensor) -> Iterator[tuple[slice, Tensor]]:
        band = max(1, GRID_CELLS // max(1, len(lon)))
        # Modes are entered for the computation only: around a `yield` they would leak into the caller.
        with torch.no_grad():
            prepared = self._prepare_grid(lon)
        for start in range(0, len(lat), band):
            rows = slice(start, min(start + band, len(lat)))
            with torch.no_grad(), torch.autocast(lon.device.type, enabled=False):
                embedding = self._grid_rows(prepared, lat[rows])
            yield rows, embedding

    def _features(self, lonlat: Tensor) -> Tensor:
        """(B, F) float32 features of known places, (B, 2) float64."""
        raise NotImplementedError

    def _prepare_grid(self, lon: Tensor) -> Any:  # noqa: ANN401 - whatever _grid_rows of the class wants
        """Compute what all rows of a grid share."""
        return lon

    def _grid_rows(self, prepared: Any, lat: Tensor) -> Tensor:  # noqa: ANN401
        """(R * W, L) embeddings of R rows: here cell by cell; subclasses may have a faster way."""
        width = len(prepared)
        lonlat = torch.stack([prepared.repeat(len(lat)), lat.repeat_interleave(width)], dim=1)
        parts = [self.head(self._features(part)) for part in lonlat.split(GRID_CELLS)]
        return torch.cat(parts)


def mlp_head(feature_dim: int, hidden_dim: int, out_dim: int) -> nn.Sequential:
    """The usual head: linear, GELU, linear, LayerNorm (so that all embeddings have the same scale).

    Args:
        feature_dim: width F of the features (B, F).
        hidden_dim: width between both linear layers.
        out_dim: width L of the embedding (B, L).

    Raises:
        ConfigError: a width that is not a positive whole number.
    """
    check_size("hidden_dim", hidden_dim)
    check_size("out_dim", out_dim)
    return nn.Sequential(
        nn.Linear(feature_dim, hidden_dim), nn.GELU(), nn.Linear(hidden_dim, out_dim), nn.LayerNorm(out_dim)
    )


def check_size(name: str, value: int) -> None:
    """Refuse a width that is not a positive integer."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        msg = f"{name}: expected a positive whole number; got {value!r}"
        raise ConfigError(msg)


def known_places(lonlat: Tensor) -> Tensor:
    """(B,) bool: known rows of lonlat (B, 2); refuses what :func:`geomoe.check_lonlat` refuses."""
    if lonlat.ndim != 2 or lonlat.shape[1] != 2 or not lonlat.is_floating_point():
        msg = f"lonlat: expected floating (B, 2) degrees; got {tuple(lonlat.shape)} {lonlat.dtype}"
        raise CoordinateError(msg)
    missing = torch.isnan(lonlat)
    beyond = (lonlat[:, 1].abs() > 90) | (lonlat[:, 0].abs() > 360)
    legal = missing.all(dim=1) | (lonlat.isfinite().all(dim=1) & ~beyond)
    if not bool(legal.all()):
        check_lonlat(lonlat.detach().cpu().numpy())  # its error says what is wrong, and where
    return ~missing[:, 0]


def fibonacci_lattice(number: int) -> Tensor:
    """(number, 2) lonlat degrees, float64: places evenly distributed over the whole sphere."""
    index = torch.arange(number, dtype=torch.float64)
    golden = (1 + 5**0.5) / 2
    lon = (index / golden * 360) % 360 - 180
    lat = torch.rad2deg(torch.asin(1 - (2 * index + 1) / number))
    return torch.stack([lon, lat], dim=1)


def _check_axes(lon: ArrayLike, lat: ArrayLike) -> list[Any]:
    import numpy as np

    axes: list[Any] = []
    for name, axis in (("lon", lon), ("lat", lat)):
        values = np.array(axis, dtype=np.float64)
        if values.ndim != 1 or not np.isfinite(values).all():
            msg = f"grid {name}: expected a vector of finite degrees; got shape {values.shape}"
            raise CoordinateError(msg)
        places = np.zeros((len(values), 2))
        places[:, len(axes)] = values
        check_lonlat(places, where=f"grid {name}")
        axes.append(values)
    return axes
