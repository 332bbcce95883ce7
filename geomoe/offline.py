"""The switches that keep geomoe off the network."""

from __future__ import annotations

import os

#: Environment variables that forbid downloads: geomoe's own, and that of the Hugging Face hub.
SWITCHES = ("GEOMOE_OFFLINE", "HF_HUB_OFFLINE")


def is_on(switch: str) -> bool:
    """Whether an environment variable is set to 1, true, yes or on, in any case."""
    return os.environ.get(switch, "").strip().lower() in {"1", "true", "yes", "on"}


def offline() -> str | None:
    """The name of the first switch that forbids downloads; None: they are allowed."""
    return next((switch for switch in SWITCHES if is_on(switch)), None)
