"""``geomoe data download``: show the licence, ask for consent, download, and report the files."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from geomoe.cli.console import Result, progress, rows, say
from geomoe.cli.data_text import size_text
from geomoe.cli.parsing import UsageError

if TYPE_CHECKING:
    from geomoe.config import RunConfig
    from geomoe.fetching.digests import Digest
    from geomoe.fetching.plan import Item, Plan
    from geomoe.support.progress import Count, Progress


def download(args: Namespace, config: RunConfig) -> Result:
    """Download the files of a data set that a folder lacks; nothing is changed before the user agrees.

    Raises:
        UsageError: no folder, or the user has not agreed.
    """
    if config.data.root is None:
        raise UsageError("download: give the folder to write to: --data-root DIR")
    from geomoe.fetching.download import carry_out
    from geomoe.fetching.plan import make_plan

    plan = make_plan(config.data.name, config.data.root, args.url, digest_of(args))
    if not plan.missing:
        return result(plan, plan.items)
    plan.check()
    agree(plan, args)
    with bytes_done(quiet=args.quiet) as come:
        return result(plan, carry_out(plan, lambda what, done, total: come(done, total, what)))


def digest_of(args: Namespace) -> Digest | None:
    """The hash given by the user, if any."""
    from geomoe.fetching.digests import parse_digest

    given = [(name, getattr(args, name)) for name in ("sha256", "md5") if getattr(args, name) is not None]
    return parse_digest(*given[0], where=f"--{given[0][0]}") if given else None


def agree(plan: Plan, args: Namespace) -> None:
    """Show what will be downloaded, and continue if the user agrees, at the prompt or by ``--yes``.

    Raises:
        UsageError: the user does not agree.
    """
    facts = plan.facts
    interactive = sys.stdin.isatty() and sys.stderr.isatty()
    if not args.yes and not interactive:
        raise UsageError(
            f"download: {plan.name} has this licence: {facts.licence}; nothing was fetched: --yes agrees to "
            f"it ({size_text(plan.to_come)} would go to {plan.root})"
        )
    if not (args.yes and args.quiet):
        for line in notice(plan).splitlines():
            say(f"geomoe: {line}")
    if args.yes:
        return
    from rich.console import Console
    from rich.prompt import Confirm

    try:
        if Confirm.ask("Download it under this licence?", console=Console(stderr=True), default=False):
            return
    except EOFError:  # Ctrl-D
        say("")
    raise UsageError("download: not agreed to; nothing was fetched")


def notice(plan: Plan) -> str:
    """Licence, size, source, target and free space."""
    sources = {item.file.source: None for item in plan.missing}
    facts = {
        "data set": f"{plan.name}: {plan.facts.title}",
        "licence": plan.facts.licence,
        "files": ", ".join(item.file.name for item in plan.missing),
        "source": "; ".join(sources),
        "to come": f"{size_text(plan.to_come)}; on disk: {plan.facts.size['disk']}",
        "target": "; ".join(dict.fromkeys(str(item.place) for item in plan.missing)),
        "free there": size_text(plan.free),
    }
    return rows(facts)


def bytes_done(*, quiet: bool) -> Progress:
    """Report how much has been received and how fast."""
    return progress(_come, quiet=quiet)


def _come(count: Count) -> str:
    of = "" if count.total is None else f" of {size_text(count.total)}"
    return f"{count.what}: {size_text(count.done)}{of}, {count.rate / 1e6:.1f} MB/s"


def result(plan: Plan, items: tuple[Item, ...]) -> Result:
    """The files that are there after the download."""
    files = [
        {
            "name": item.file.name,
            "path": item.place,
            "state": item.state,
            "source": item.file.source if item.state == "fetched" else None,
            "algorithm": item.file.digest.algorithm if item.file.digest.value else None,
            "hash": item.file.digest.value or None,
        }
        for item in items
    ]
    data = {"name": plan.name, "root": plan.root, "licence": plan.facts.licence, "files": files}
    lines = {str(item.place): item.state for item in items}
    look = shlex.join(["geomoe", "data", "check", plan.name, "--data-root", str(plan.root)])
    return Result(data, f"{rows(lines)}\n\nto look it over: {look}")
