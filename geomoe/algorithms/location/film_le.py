"""FiLM by location: cross-entropy on image features that the place scales and shifts."""

from __future__ import annotations

from dataclasses import dataclass

from geomoe.algorithms.contract import Method
from geomoe.support.options import option


class FiLMLE(Method):
    """ERM on z' = g(m) * z + b(m) (FiLM, Perez et al., AAAI 2018), g and b an MLP on the location encoding.

    The network is a :class:`~geomoe.models.FiLMNetwork` with the same location encoder as MoGE. It answers as
    ERM's network until the first update.

    Raises:
        ConfigError: an option out of its range.
    """

    @dataclass(frozen=True)
    class Options(Method.Options):
        """The size of the MLP."""

        hidden: int = option(128, "width of the hidden layer of the MLP on the encoding", at_least=1)
