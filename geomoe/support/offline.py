"""Offline mode: switches that forbid downloads, and detection of a missing network."""

from __future__ import annotations

import os
import socket
from urllib.parse import urlsplit
from urllib.request import getproxies

#: Environment variables that forbid downloads: geomoe's own, and that of the Hugging Face hub.
SWITCHES = ("GEOMOE_OFFLINE", "HF_HUB_OFFLINE")


def is_on(switch: str) -> bool:
    """Whether an environment variable is set, to anything but 0, false, no, off or an empty text.

    What is no word for yes or no counts as yes: a slip of the pen must not open the network.
    """
    return os.environ.get(switch, "").strip().lower() not in {"", "0", "false", "no", "off"}


def offline() -> str | None:
    """The name of the first switch that forbids downloads; None: they are allowed."""
    return next((switch for switch in SWITCHES if is_on(switch)), None)


def kept_off(url: str) -> str | None:
    """Return the reason why a server must not be contacted; None if it may be.

    If its name cannot be resolved, there is no network, and hub clients would retry for minutes. Behind a
    proxy no name is resolved here, because the proxy does that.
    """
    switch = offline()
    if switch is not None:
        return f"downloads are switched off ({switch})"
    host = urlsplit(url).hostname
    if host is None or getproxies():
        return None
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return f"there is no network ({host} cannot be resolved)"
    return None
