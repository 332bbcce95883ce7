"""Check the data set of a configuration: open its splits, check them, and write the findings."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from geomoe.build import build_datamodule
from geomoe.checking.check import Check, CheckOptions, by_severity, check
from geomoe.checking.reach import Reach, find_reach, look_at_reach
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

#: Splits that do not shrink if a domain is held out; test keeps every domain.
WITH_HELD_OUT = ("all", "test", "id_test")


class CheckedData(NamedTuple):
    """A checked data set.

    Attributes:
        name: name of the data set.
        root: folder of the data; None: the default folder.
        parts: split name -> opened split.
        found: result of the check.
        reach: extent of the training places and resolution of the encoder; None: there is nothing to compare.
    """

    name: str
    root: str | None
    parts: dict[str, LabelledImages]
    found: Check
    reach: Reach | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the content of check.json; nested named tuples are not converted yet."""
        data = {"name": self.name, "root": self.root, "sound": self.found.sound, **self.found._asdict()}
        data["reach"] = None if self.reach is None else self.reach._asdict()
        del data["odd"]  # only for maps; the listed samples are under countries
        return data

    def save(self, output: Path) -> list[Path]:
        """Write check.json, and check.html and check.png if places are known; all files or none.

        Raises:
            OutputError: the folder cannot be created or written.
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
    """Check every split of a configuration's data set, and compare counts with the full data set.

    Args:
        config: configuration with the data set, its folder and protocol.
        options: what to check.
        tell: called with the number of opened images and the total.

    Raises:
        ConfigError: the data set does not have this protocol.
        DatasetNotFoundError: the data is missing.
        DataError: tables or outlines cannot be read.
    """
    every_image = options is None or options.images is None
    module = build_datamodule(config)
    unnoticed = module.verify() if every_image else []
    parts = {name: module.dataset(name) for name in module.split_names()}
    expected = expected_counts(config, read_facts(config.data.name))
    found = check(parts, options, expected=expected, unnoticed=unnoticed, tell=tell)
    reach = find_reach(config, parts["train"]) if "train" in parts else None
    found = found._replace(findings=by_severity([*found.findings, *look_at_reach(reach)]))
    return CheckedData(config.data.name, config.data.root, parts, found, reach)


def open_splits(config: RunConfig) -> dict[str, LabelledImages]:
    """Open every split of a configuration's data set."""
    module = build_datamodule(config)
    return {name: module.dataset(name) for name in module.split_names()}


def open_all(config: RunConfig) -> dict[str, LabelledImages]:
    """Open every split without a held-out domain if the cache is the same, so that all images are covered."""
    parts = open_splits(config)
    if config.data.held_out is not None:
        with contextlib.suppress(ConfigError):  # the protocol may require a held-out domain
            whole = open_splits(replace(config, data=replace(config.data, held_out=None)))
            if whole["test"].image_key == parts["test"].image_key:
                return whole
    return parts


def expected_counts(config: RunConfig, facts: Facts) -> dict[str, int] | None:
    """Return the known numbers of samples in the splits of the full data set under a protocol."""
    if config.data.protocol not in (None, *facts.samples_protocols) or facts.samples is None:
        return None
    if config.data.held_out is None:
        return facts.samples
    return {name: count for name, count in facts.samples.items() if name in WITH_HELD_OUT}


@dataclass(frozen=True)
class Cached:
    """An image cache that was made, completed or verified: its folder, and the cache itself."""

    path: Path
    images: Any  # a memory map of pixels, with its rows and the unreadable images


def cache_data(
    config: RunConfig, workers: int, tell: Callable[[int, int], None] = lambda done, total: None
) -> Cached:
    """Make, complete or verify the image cache of a configuration's data set.

    Args:
        config: configuration with the data set and the size of its images.
        workers: number of processes that read images.
        tell: called with the number of finished images and the total.

    Raises:
        ConfigError: the data set keeps its images in memory.
    """
    from geomoe.datasets.cache.make import make_cache
    from geomoe.datasets.cache.use import cache_path

    parts = open_all(config)
    some = next(iter(parts.values()))
    if not some.cacheable:
        raise ConfigError(f"{config.data.name}: its images are in memory already; there is nothing to cache")
    path = cache_path(config.data.name, some)
    return Cached(path, make_cache(path, list(parts.values()), workers=workers, tell=tell))
