"""Location token: cross-entropy on a transformer whose blocks attend to the place."""

from __future__ import annotations

from geomoe.algorithms.contract import Method


class LEToken(Method):
    """ERM on a vision transformer that has the location encoding as one more token of every block.

    The network is a :class:`~geomoe.models.LocationTokenViT` with the same location encoder as MoGE.
    """
