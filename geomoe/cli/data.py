"""``geomoe data``: what a data set is, fetched, checked, made fast to read, in small to try."""

from __future__ import annotations

import contextlib
import shlex
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geomoe.cli.console import Result, rows, say
from geomoe.cli.data_download import download
from geomoe.cli.data_info import info
from geomoe.cli.data_parser import parser
from geomoe.cli.data_text import check_text
from geomoe.config.keys import Setting
from geomoe.config.load import load
from geomoe.config.shipped import shipped
from geomoe.support.files import check_folder, no_empty_folders

if TYPE_CHECKING:
    from collections.abc import Callable

    from geomoe.checking.check import Check
    from geomoe.config import RunConfig
    from geomoe.datasets.base import LabelledImages
    from geomoe.fetching.facts import Facts

#: Splits that lose nothing when a domain is held out; test keeps every domain.
WITH_HELD_OUT = ("all", "test", "id_test")

__all__ = ["parser", "resume_hint", "run"]


def run(args: Namespace) -> Result:
    """Do one of the five."""
    if args.action == "download":
        return download(args, configuration(args))
    return {"info": info, "check": check, "cache": cache, "sample": sample}[args.action](args)


def configuration(args: Namespace, *more: Setting) -> RunConfig:
    """The configuration of a name: the shipped one, or the defaults with that data set."""
    from geomoe.config.load import data_set_of

    name = data_set_of(args.name)
    settings = [*args.settings, *more]
    if args.name in shipped():
        return load(args.name, flags=settings)
    return load(flags=[Setting("data.name", name, "NAME"), *settings])


def open_splits(config: RunConfig) -> dict[str, LabelledImages]:
    """Every split of a configuration's data set."""
    from geomoe.build import build_datamodule

    module = build_datamodule(config)
    return {name: module.dataset(name) for name in module.split_names()}


def open_all(config: RunConfig) -> dict[str, LabelledImages]:
    """The same with nothing held out, where this run would find that cache: every image is in some split."""
    from geomoe.errors import ConfigError

    parts = open_splits(config)
    if config.data.held_out is not None:
        with contextlib.suppress(ConfigError):  # its protocol asks for a held-out domain
            whole = open_splits(replace(config, data=replace(config.data, held_out=None)))
            if whole["test"].image_key == parts["test"].image_key:
                return whole
    return parts


def check(args: Namespace) -> Result:
    """Look over a data set; status 1 when it has a fault."""
    if args.output is not None:
        check_folder(args.output)
    config = configuration(args, *no_budget(args))
    from geomoe.checking.check import check as look
    from geomoe.fetching.facts import read_facts

    parts = open_splits(config)
    tell = progress(args)
    found = look(
        parts,
        near_km=args.near,
        images=args.images,
        workers=workers(args),
        expected=expected_counts(config, read_facts(config.data.name)),
        countries=args.countries,
        tell=tell,
    )
    data = {"name": config.data.name, "root": config.data.root, "sound": found.sound, **found._asdict()}
    del data["odd"]  # for maps; what is listed of it is under countries
    files = [] if args.output is None else write(Path(args.output), data, parts, found)
    return Result({**data, "files": files}, check_text(data, files), status=0 if found.sound else 1)


def no_budget(args: Namespace) -> list[Setting]:
    """A check looks at all of a data set, not at what a run's budget would take of it, unless asked to."""
    from geomoe.catalogue import CATALOGUE
    from geomoe.config.load import data_set_of

    keys = {"num_domains", "budget"} & set(CATALOGUE[data_set_of(args.name)].keys)
    if keys & {one.key.removeprefix("data.") for one in args.settings}:
        return []
    return [Setting(f"data.{key}", "null", "check") for key in sorted(keys)]


def expected_counts(config: RunConfig, facts: Facts) -> dict[str, int] | None:
    """Numbers of samples that the full data set has in the splits of a protocol, as far as they are known."""
    if config.data.protocol not in (None, *facts.samples_protocols) or facts.samples is None:
        return None
    if config.data.held_out is None:
        return facts.samples
    return {name: count for name, count in facts.samples.items() if name in WITH_HELD_OUT}


def write(output: Path, data: dict[str, Any], parts: dict[str, LabelledImages], found: Check) -> list[Path]:
    """Write check.json, and check.html and check.png where places are known."""
    import json

    from geomoe.checking.figure import draw_places
    from geomoe.checking.page import check_page
    from geomoe.cli.console import plain
    from geomoe.support.files import Workplace

    text = json.dumps(plain(data), indent=1, ensure_ascii=False) + "\n"
    page = check_page(parts, found, f"Check of {data['name']}")
    figure = draw_places(parts, found, f"{data['name']}: where its splits are")
    with no_empty_folders(output), Workplace(output, "the check") as place:
        place.write("check.json", lambda path: path.write_text(text, encoding="utf-8"))
        if page is not None:
            place.write("check.html", lambda path: path.write_text(page, encoding="utf-8"))
        if figure is not None:
            place.write("check.png", lambda path: figure.savefig(path, dpi=110, metadata={"Software": None}))
        return list(place.finish())


def cache(args: Namespace) -> Result:
    """Make the image cache of a data set, or finish it, or verify it."""
    config = configuration(args)
    from geomoe.datasets.cache.make import make_cache
    from geomoe.datasets.cache.use import cache_path
    from geomoe.errors import ConfigError

    parts = open_all(config)
    some = next(iter(parts.values()))
    if not some.cacheable:
        raise ConfigError(f"{config.data.name}: its images are in memory already; there is nothing to cache")
    path = cache_path(config.data.name, some)
    made = make_cache(path, list(parts.values()), workers=workers(args), tell=progress(args))
    facts = {
        "cache": path,
        "images": len(made.rows),
        "shape": list(made.pixels.shape[1:]),
        "type": made.pixels.dtype.name,
        "megabytes": round(made.pixels.nbytes / 1e6, 1),
        "unreadable": len(made.unreadable),
    }
    listed = "".join(f"\n  row {row}: {problem}" for row, problem in made.unreadable)
    return Result({**facts, "unreadable": made.unreadable}, rows(facts) + listed)


def sample(args: Namespace) -> Result:
    """Write a small data set in the layout of a big one."""
    from geomoe.config.load import data_set_of
    from geomoe.datasets.samples.write import write_sample
    from geomoe.errors import ConfigError, OutputError
    from geomoe.fetching.facts import read_facts

    name = data_set_of(args.name)
    facts = read_facts(name)
    if not facts.sample:
        raise ConfigError(f"{name}: needs no sample, it comes with geomoe; geomoe train {name}")
    folder = Path(args.folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder}: is there and not empty; nothing is written over; choose a new folder")
    check_folder(folder)
    with no_empty_folders(folder):
        write_sample(facts, folder, args.seed)
    made = {"data": name, "folder": folder, "files": sum(path.is_file() for path in folder.rglob("*"))}
    words = ["geomoe", "train", args.name, "--data-root", str(folder), *shlex.split(facts.try_flags)]
    command = shlex.join(words)
    return Result({**made, "command": command}, f"{rows(made)}\n\nto try it: {command}")


def workers(args: Namespace) -> int:
    """How many processes read images: as asked, else one for each core that this process may use."""
    import os

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return args.workers or cores


def progress(args: Namespace) -> Callable[[int, int], None]:
    """Say how far it is, each time that a twentieth is done."""
    said = [-1]

    def tell(done: int, total: int) -> None:
        twentieth = 20 * done // max(total, 1)
        if twentieth > said[0] and not args.quiet:
            said[0] = twentieth
            say(f"geomoe: {done:,} of {total:,} images")

    return tell


def resume_hint(args: Namespace, argv: list[str]) -> str:
    """How a cache or a download that was begun is finished."""
    if args.action not in {"cache", "download"}:
        return ""
    return f"; go on with: {shlex.join(['geomoe', 'data', *argv])}"
