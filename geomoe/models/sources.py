"""Ids and mean places of the training domains, for networks that have a part for each domain."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from geomoe.coords import EARTH_RADIUS_KM
from geomoe.errors import ConfigError
from geomoe.types import Place


class SourceDomains(nn.Module):
    """Ids and mean places of the G domains that a network has a part for, in buffers.

    The buffers are saved with the weights, so a checkpoint can be used without the training data. A domain
    may turn out to have no training samples: its part is then kept, but never used.

    Args:
        ids: ids of the domains.

    Attributes:
        ids: (G,) int64, ascending.
        trained: (G,) bool, domains with training samples; all of them before :meth:`know` is called.
        centre: (G, 2) float64 lonlat degrees, the mean place of the training samples; 0 where unknown.
        placed: (G,) bool, whether the mean place is known.

    Raises:
        ConfigError: no domains.
    """

    ids: Tensor
    trained: Tensor
    centre: Tensor
    placed: Tensor

    def __init__(self, ids: Sequence[int]) -> None:
        super().__init__()
        if not len(ids):
            raise ConfigError("domains: expected at least one training domain; got none")
        count = len(ids)
        self.register_buffer("ids", torch.tensor(sorted(ids), dtype=torch.int64))
        self.register_buffer("trained", torch.ones(count, dtype=torch.bool))
        self.register_buffer("centre", torch.zeros(count, 2, dtype=torch.float64))
        self.register_buffer("placed", torch.zeros(count, dtype=torch.bool))

    def __len__(self) -> int:
        """Return G."""
        return len(self.ids)

    def know(self, domains: Sequence[int], centres: Sequence[tuple[float, float] | None] = ()) -> None:
        """Set which domains have training samples, and their mean places.

        Args:
            domains: ids.
            centres: lon, lat degrees for each of them, None where unknown; empty: all are unknown.

        Raises:
            ConfigError: a domain that the network has no part for.
        """
        position = {number: slot for slot, number in enumerate(self.ids.tolist())}
        foreign = sorted(set(domains) - set(position))
        if foreign:
            raise ConfigError(f"domains: expected some of {sorted(position)}; got {foreign} in addition")
        self.trained.fill_(False)
        self.placed.fill_(False)
        self.centre.fill_(0)
        for domain, centre in zip(domains, centres or [None] * len(domains), strict=True):
            self.trained[position[domain]] = True
            if centre is not None:
                self.placed[position[domain]] = True
                self.centre[position[domain]] = self.centre.new_tensor(centre)

    def own(self, domain: Tensor) -> Tensor:
        """(B, G) bool: which domain, if it has training samples, each domain id (B,) is that of."""
        return (domain[:, None] == self.ids) & self.trained

    def places(self) -> Place:
        """The G mean places, NaN where unknown, and the domain ids."""
        lonlat = torch.where(self.placed[:, None], self.centre, torch.nan)
        return Place(lonlat.double(), self.ids)

    def kilometres(self, lonlat: Tensor) -> Tensor:
        """(B, G) float64 great-circle km from known places (B, 2), in degrees, to the mean places."""
        chord = torch.cdist(_unit(lonlat), _unit(self.centre), compute_mode="donot_use_mm_for_euclid_dist")
        return 2 * EARTH_RADIUS_KM * torch.asin((chord / 2).clamp(max=1))


def _unit(lonlat: Tensor) -> Tensor:
    lon, lat = torch.deg2rad(lonlat.double()).unbind(dim=1)
    return torch.stack([lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()], dim=1)
