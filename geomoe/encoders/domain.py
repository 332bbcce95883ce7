"""An encoder that embeds domain ids instead of places, for testing a router that is given the region."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from geomoe.encoders.base import LocationEncoder, check_size
from geomoe.errors import ConfigError
from geomoe.support.text import counted
from geomoe.types import UNKNOWN_DOMAIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike


class DomainEmbedding(LocationEncoder):
    """``domain``: one learned vector for each domain id, and one for "unknown" (id -1).

    Its single feature is the id itself. Coordinates are not used: a sample of a known domain is known
    even if its place is not, so the argument ``known`` is ignored. A domain without training samples would
    keep its random initial vector, so it counts as unknown.

    Args:
        num_domains: ids are 0 to num_domains - 1.
        out_dim: width of the embedding.
        noise: standard deviation of the noise on the embedding, in training.
        trained: ids with training samples; None: all of them.

    Raises:
        ConfigError: num_domains is missing or below 1, or a trained id is outside its range.
    """

    trained: Tensor

    def __init__(
        self,
        num_domains: int | None,
        out_dim: int = 64,
        noise: float = 0.0,
        trained: Sequence[int] | None = None,
    ) -> None:
        if num_domains is None:
            msg = "num_domains: the encoder domain needs the number of domains of the data set"
            raise ConfigError(msg)
        check_size("num_domains", num_domains)
        check_size("out_dim", out_dim)
        super().__init__(1, out_dim, nn.Embedding(num_domains, out_dim), noise=noise)
        self.num_domains = num_domains
        ids = range(num_domains) if trained is None else trained
        if not set(ids) <= set(range(num_domains)):
            msg = f"trained: expected domain ids from 0 to {num_domains - 1}; got {sorted(ids)}"
            raise ConfigError(msg)
        mask = torch.zeros(num_domains, dtype=torch.bool)
        mask[list(ids)] = True
        self.register_buffer("trained", mask, persistent=False)  # it describes the data, so it is saved there

    @torch.compiler.disable
    def features(self, lonlat: Tensor, domain: Tensor | None = None) -> Tensor:
        """The ids as (B, 1) float32 (exact below 2^24); -1 where the domain is unknown or was not trained.

        Args:
            lonlat: (B, 2); only its length and device are read.
            domain: (B,) int64 domain ids; None: unknown everywhere.

        Raises:
            ConfigError: an id that is neither -1 nor one of the domains, or a wrong number of ids.
        """
        if domain is None:
            return torch.full((len(lonlat), 1), float(UNKNOWN_DOMAIN), device=lonlat.device)
        if domain.shape != (len(lonlat),) or domain.is_floating_point():
            msg = f"domain: expected ({len(lonlat)},) whole numbers; got {tuple(domain.shape)} {domain.dtype}"
            raise ConfigError(msg)
        bad = (domain < UNKNOWN_DOMAIN) | (domain >= self.num_domains)
        if bool(bad.any()):
            limit = f"-1 (unknown) or 0 to {self.num_domains - 1}"
            msg = f"domain: expected {limit}; got {int(domain[bad][0])} in {counted(int(bad.sum()), 'row')}"
            raise ConfigError(msg)
        known = (domain >= 0) & self.trained.to(domain.device)[domain.clamp(min=0)]
        return torch.where(known, domain, UNKNOWN_DOMAIN).to(torch.float32)[:, None]

    def embed(self, features: Tensor, known: Tensor | None = None) -> Tensor:
        """(B, L) float32 vectors of the ids in ``features`` (B, 1)."""
        if features.ndim != 2 or features.shape[1] != 1:
            msg = f"features: expected (B, 1) domain ids; got {tuple(features.shape)}"
            raise ConfigError(msg)
        ids = features[:, 0].long()
        told = (ids >= 0)[:, None]
        embedding = torch.where(told, self.head(ids.clamp(min=0)), self.unknown)
        if self.training and self.noise > 0:
            embedding = embedding + self.noise * torch.randn_like(embedding)
        return embedding

    def embed_grid(self, lon: ArrayLike, lat: ArrayLike) -> Iterator[tuple[slice, Tensor]]:
        """Not supported: a grid has places, and this encoder does not read places.

        Raises:
            ConfigError: always.
        """
        msg = "encoder domain: it knows domain ids, not places, so it has no map; use another encoder"
        raise ConfigError(msg)
