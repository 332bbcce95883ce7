"""The configuration of a data set, for commands that only use the data and train no model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geomoe.catalogue import CATALOGUE
from geomoe.config.keys import Setting
from geomoe.config.load import data_set_of, load
from geomoe.config.shipped import shipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geomoe.config.schema import RunConfig

_BUDGET = ("budget", "num_domains")


def load_data(name: str, flags: Sequence[Setting] = (), *, whole: bool = False) -> RunConfig:
    """Read the configuration for a name.

    Args:
        name: a shipped configuration, or a data set, which gets the defaults.
        flags: settings that override it.
        whole: whether to ignore the configuration's limits on samples and domains (``data.budget``,
            ``data.num_domains``), unless a flag sets one of them.

    Raises:
        ConfigError: there is no configuration or data set of that name, or the configuration has faults.
    """
    data_set = data_set_of(name)
    settings = list(flags)
    if whole:
        settings += _no_budget(data_set, {one.key.removeprefix("data.") for one in flags})
    if name in shipped():
        return load(name, flags=settings)
    return load(flags=[Setting("data.name", data_set, "NAME"), *settings])


def _no_budget(data_set: str, given: set[str]) -> list[Setting]:
    keys = [key for key in _BUDGET if key in CATALOGUE[data_set].keys]
    return [] if given.intersection(keys) else [Setting(f"data.{key}", "null", "check") for key in keys]
