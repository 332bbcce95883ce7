"""D3G+WRAP: the heads of D3G, mixed by domain and by a learned relation of a place to domain ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from geomoe.algorithms.location.d3g import HeadsOfDomains
from geomoe.support.options import option


class D3GWrap(HeadsOfDomains):
    """D3G with a location encoder, as wilds-geoshift defines it (Crasto and Rolf, arXiv 2503.02036).

    The cross-entropies are means over samples, and the relations are those of
    :class:`~geomoe.models.relations.GroupRelation`: a sample is related to its own domain by ``beta``, and to
    every domain by (1 - beta) times a cosine, which may be negative.

    Raises:
        ConfigError: as :class:`HeadsOfDomains`.
    """

    name = "d3g_wrap"

    @dataclass(frozen=True)
    class Options(HeadsOfDomains.Options):
        """How places are related to domains."""

        beta: float = option(0.8, "share of the fixed relation; the rest is learned", at_least=0, at_most=1)
        relations: Literal["wrap", "encoder"] = option(
            "wrap",
            "input of the learned relation: sines and cosines of the place, or encoder features",
        )
        negative: Literal["clip", "keep"] = option(
            "keep", "learned relations below 0: clip them to 0, or keep them"
        )
