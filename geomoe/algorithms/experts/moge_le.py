"""MoGE + location encoding: MoGE with a term of the place in its class scores."""

from __future__ import annotations

from geomoe.algorithms.experts.moge import MoGE


class MoGELE(MoGE):
    """MoGE whose scores also have a term that depends on the place alone, like those of ERM+LE.

    Scores are W z + b + V LayerNorm(phi(m)), with V zero at first; the losses and their options are MoGE's.
    The shared expert alone (MoGE-SE) has no place and therefore no such term, in evaluation as well as in
    expert dropout and ``shared_task``. Compared with MoGE, this method shows how much of a gain is due to the
    experts, and how much to the frequencies of the classes at a place.

    Raises:
        ConfigError: an option out of its range, or a network without MoGE blocks.
    """
