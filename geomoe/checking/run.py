"""From a configuration to a check of its data set: splits opened, looked over, and the findings written."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from geomoe.build import build_datamodule
from geomoe.checking.check import Check, CheckOptions, check
from geomoe.errors import ConfigError
from geomoe.fetching.facts import read_facts
from geomoe.support.files import Workplace, no_empty_folders
from geomoe.support.plain import jsonable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from geomoe.config import RunConfig
    from geomoe.datasets.base import LabelledImages
    from geomoe.fetching.facts import Facts

#: Splits that lose nothing when a domain is held out; test keeps every domain.
WITH_HELD_OUT = ("all", "test", "id_test")


class CheckedData(NamedTuple):
    """A data set that was looked over.

    Attributes:
        name: of the data set.
        root: folder of the data; None: its own.
        parts: split -> what was read.
        found: everything that was found.
    """

    name: str
    root: str | None
    parts: dict[str, LabelledImages]
    found: Check

    def as_dict(self) -> dict[str, Any]:
        """What check.json holds; named tuples within are not yet plain."""
        data = {"name": self.name, "root": self.root, "sound": self.found.sound, **self.found._asdict()}
        del data["odd"]  # for maps; what is listed of it is under countries
        return data

    def save(self, output: Path) -> list[Path]:
        """Write check.json, and check.html and check.png where places are known; together or not at all.

        Raises:
            OutputError: the folder cannot be made or written.
        """
        from geomoe.checking.figure import draw_places  # matplotlib takes a second
        from geomoe.checking.page import check_page

        text = json.dumps(jsonable(self.as_dict()), indent=1, ensure_ascii=False) + "\n"
        page = check_page(self.parts, self.found, f"Check of {self.name}")
        figure = draw_places(self.parts, self.found, f"{self.name}: where its splits are")
        with no_empty_folders(output), Workplace(output, "the check") as place:
            place.write("check.json", lambda path: path.write_text(text, encoding="utf-8"))
            if page is not None:
                place.write("check.html", lambda path: path.write_text(page, encoding="utf-8"))
            if figure is not None:
                style = {"Software": None}
                place.write("check.png", lambda path: figure.savefig(path, dpi=110, metadata=style))
            return list(place.finish())


def check_data(
    config: RunConfig,
    options: CheckOptions | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> CheckedData:
    """Look over every split of a configuration's data set; numbers are compared with the full one's.

    Args:
        config: names the data set, its folder and protocol.
        options: what is looked at.
        tell: called with the number of images opened and of all.

    Raises:
        ConfigError: a protocol that the data set does not have.
        DatasetNotFoundError: the data is not where it was looked for.
        DataError: tables or outlines that cannot be read.
    """
    parts = open_splits(config)
    expected = expected_counts(config, read_facts(config.data.name))
    found = check(parts, options, expected=expected, tell=tell)
    return CheckedData(config.data.name, config.data.root, parts, found)


def open_splits(config: RunConfig) -> dict[str, LabelledImages]:
    """Every split of a configuration's data set."""
    module = build_datamodule(config)
    return {name: module.dataset(name) for name in module.split_names()}


def open_all(config: RunConfig) -> dict[str, LabelledImages]:
    """The same with nothing held out, where this run would find that cache: every image is in some split."""
    parts = open_splits(config)
    if config.data.held_out is not None:
        with contextlib.suppress(ConfigError):  # its protocol asks for a held-out domain
            whole = open_splits(replace(config, data=replace(config.data, held_out=None)))
            if whole["test"].image_key == parts["test"].image_key:
                return whole
    return parts


def expected_counts(config: RunConfig, facts: Facts) -> dict[str, int] | None:
    """Numbers of samples that the full data set has in the splits of a protocol, as far as they are known."""
    if config.data.protocol not in (None, *facts.samples_protocols) or facts.samples is None:
        return None
    if config.data.held_out is None:
        return facts.samples
    return {name: count for name, count in facts.samples.items() if name in WITH_HELD_OUT}


@dataclass(frozen=True)
class Cached:
    """An image cache that was made, finished or verified: its folder, and the cache itself."""

    path: Path
    images: Any  # a memory map of pixels, with the rows that it holds and those that cannot be read


def cache_data(
    config: RunConfig, workers: int, tell: Callable[[int, int], None] = lambda done, total: None
) -> Cached:
    """Make the image cache of a configuration's data set, or finish it, or verify it.

    Args:
        config: names the data set and the size of its images.
        workers: processes that read images.
        tell: called with the number of images done and of all.

    Raises:
        ConfigError: the data set's images are in memory already.
    """
    from geomoe.datasets.cache.make import make_cache
    from geomoe.datasets.cache.use import cache_path

    parts = open_all(config)
    some = next(iter(parts.values()))
    if not some.cacheable:
        raise ConfigError(f"{config.data.name}: its images are in memory already; there is nothing to cache")
    path = cache_path(config.data.name, some)
    return Cached(path, make_cache(path, list(parts.values()), workers=workers, tell=tell))
