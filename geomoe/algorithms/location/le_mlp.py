"""Location + MLP: cross-entropy on image features and a location encoding through an MLP."""

from __future__ import annotations

from dataclasses import dataclass

from geomoe.algorithms.contract import Method
from geomoe.support.options import option


class LEMLP(Method):
    """ERM+LE whose head is an MLP, so that the place can change what image features mean.

    The network is a :class:`~geomoe.models.LocationMLPNetwork` with the same location encoder as MoGE.

    Raises:
        ConfigError: an option out of its range.
    """

    @dataclass(frozen=True)
    class Options(Method.Options):
        """The size of the MLP."""

        hidden: int = option(256, "width of the hidden layer of the MLP", at_least=1)
