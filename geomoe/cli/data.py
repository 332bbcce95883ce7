"""``geomoe data``: describe, download, check or cache a data set, or write a small sample of it."""

from __future__ import annotations

import shlex
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from geomoe.cli.console import Result, progress, rows
from geomoe.cli.data_download import download
from geomoe.cli.data_info import info
from geomoe.cli.data_parser import parser
from geomoe.cli.data_text import check_text
from geomoe.config.keys import Setting
from geomoe.config.load import load
from geomoe.config.shipped import shipped
from geomoe.support.files import check_folder, no_empty_folders

if TYPE_CHECKING:
    from geomoe.config import RunConfig
    from geomoe.support.progress import Progress

#: Splits that lose no samples if a domain is held out; test keeps every domain.
WITH_HELD_OUT = ("all", "test", "id_test")

__all__ = ["parser", "resume_hint", "run"]


def run(args: Namespace) -> Result:
    """Run one of the five actions."""
    if args.action == "download":
        return download(args, configuration(args))
    return {"info": info, "check": check, "cache": cache, "sample": sample}[args.action](args)


def configuration(args: Namespace, *more: Setting) -> RunConfig:
    """The configuration for a name: the shipped one, or the defaults with the data set of that name."""
    from geomoe.config.load import data_set_of

    name = data_set_of(args.name)
    settings = [*args.settings, *more]
    if args.name in shipped():
        return load(args.name, flags=settings)
    return load(flags=[Setting("data.name", name, "NAME"), *settings])


def check(args: Namespace) -> Result:
    """Check a data set; status 1 if it has a fault."""
    if args.output is not None:
        check_folder(args.output)
    config = configuration(args, *no_budget(args))
    from geomoe.checking.check import CheckOptions
    from geomoe.checking.run import check_data

    options = CheckOptions(
        near_km=args.near, images=args.images, workers=workers(args), countries=args.countries
    )
    with images_done(args) as tell:
        checked = check_data(config, options, tell)
    files = [] if args.output is None else checked.save(Path(args.output))
    data = checked.as_dict()
    return Result({**data, "files": files}, check_text(data, files), status=0 if data["sound"] else 1)


def no_budget(args: Namespace) -> list[Setting]:
    """Settings without a run's budget: by default a check reads the whole data set."""
    from geomoe.catalogue import CATALOGUE
    from geomoe.config.load import data_set_of

    keys = {"num_domains", "budget"} & set(CATALOGUE[data_set_of(args.name)].keys)
    if keys & {one.key.removeprefix("data.") for one in args.settings}:
        return []
    return [Setting(f"data.{key}", "null", "check") for key in sorted(keys)]


def cache(args: Namespace) -> Result:
    """Create, complete or verify the image cache of a data set."""
    config = configuration(args)
    from geomoe.checking.run import cache_data

    with images_done(args) as tell:
        cached = cache_data(config, workers(args), tell)
    made = cached.images
    facts = {
        "cache": cached.path,
        "images": len(made.rows),
        "shape": list(made.pixels.shape[1:]),
        "type": made.pixels.dtype.name,
        "megabytes": round(made.pixels.nbytes / 1e6, 1),
        "unreadable": len(made.unreadable),
    }
    listed = "".join(f"\n  row {row}: {problem}" for row, problem in made.unreadable)
    return Result({**facts, "unreadable": made.unreadable}, rows(facts) + listed)


def sample(args: Namespace) -> Result:
    """Write a small data set in the layout of the full one."""
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
    """Number of processes that read images: as given, else one for each core that this process may use."""
    from geomoe.support.workers import usable_cores

    return args.workers or usable_cores()


def images_done(args: Namespace) -> Progress:
    """Report how many images are done."""
    return progress(lambda count: count.of("images"), quiet=args.quiet, at_once=True)


def resume_hint(args: Namespace, argv: list[str]) -> str:
    """The command that completes an interrupted cache or download."""
    if args.action not in {"cache", "download"}:
        return ""
    return f"; go on with: {shlex.join(['geomoe', 'data', *argv])}"
