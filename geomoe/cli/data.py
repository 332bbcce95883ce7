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
from geomoe.config.of_data import load_data
from geomoe.support.files import check_folder

if TYPE_CHECKING:
    from geomoe.support.progress import Progress

__all__ = ["parser", "resume_hint", "run"]


def run(args: Namespace) -> Result:
    """Run one of the five actions."""
    if args.action == "download":
        return download(args, load_data(args.name, args.settings))
    return {"info": info, "check": check, "cache": cache, "sample": sample}[args.action](args)


def check(args: Namespace) -> Result:
    """Check a data set; status 1 if it has a fault."""
    if args.output is not None:
        check_folder(args.output)
    config = load_data(args.name, args.settings, whole=True)
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


def cache(args: Namespace) -> Result:
    """Create, complete or verify the image cache of a data set."""
    config = load_data(args.name, args.settings)
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
    from geomoe.datasets.samples.write import make_sample

    made = make_sample(data_set_of(args.name), Path(args.folder), args.seed)
    told = {"data": made.data, "folder": made.folder, "files": made.files}
    command = shlex.join(["geomoe", "train", args.name, "--data-root", str(made.folder), *made.flags])
    return Result({**told, "command": command}, f"{rows(told)}\n\nto try it: {command}")


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
