"""MoGE + location encoding: the encoding at the head, beside the experts."""

from __future__ import annotations

from geomoe.algorithms.experts.moge import MoGE


class MoGELE(MoGE):
    """MoGE whose scores also have a term of the place alone, as those of ERM+LE have.

    Scores are W z + b + V LayerNorm(phi(m)), with V zero at first; the losses and their options are MoGE's.
    The shared expert alone (MoGE-SE) has no place, and so is without the term, in use as in expert dropout
    and ``shared_task``. It tells what MoGE gains by experts from what it gains by how frequent classes are at
    a place.

    Raises:
        ConfigError: an option out of its range, or a network without MoGE blocks.
    """
