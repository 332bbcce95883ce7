"""The command line of ``geomoe data``."""

from __future__ import annotations

from argparse import Namespace

from geomoe.cli.parsing import ALIASES, SWITCHES, Parser, UsageError, add_short_flags, number, whole
from geomoe.config.keys import Setting, keys, nearest_key
from geomoe.config.limits import MOST_SEED, MOST_WORKERS

ACTIONS = ("info", "download", "check", "cache", "sample")

_DESCRIPTION = """\
info NAME: licence, size, where to get it, the expected tree, and whether it is found in --data-root.
download NAME: show the licence, ask, fetch what --data-root lacks, check its hash; can be stopped and
repeated. check NAME: labels, splits, places, images that cannot be read, and what two splits have in common.
cache NAME: decode and resize every image once, into a memory map that later runs find and use. sample NAME
DIR: write a small data set of the same layout. Only download uses the network. NAME is a data set or a
shipped configuration; keys of the configuration are flags, as for train."""

_EXAMPLE = "geomoe data check fmow --data-root data --output check"


_OF_DOWNLOAD = ("url", "sha256", "md5", "yes")


class DataParser(Parser):
    """The verb's own options, and the configuration keys of data and model as flags."""

    def parse(self, argv: list[str]) -> Namespace:
        """Remove the settings of configuration keys from the command line, then parse the rest.

        Raises:
            UsageError: an unknown argument, or one that the action does not accept.
        """
        settings, rest = split(argv)
        args = super().parse(rest)
        args.settings, args.command = settings, ["geomoe", "data", *argv]
        if args.name is None and args.action != "info":
            self.error(f"{args.action}: give the NAME of a data set or configuration")
        if (args.folder is None) == (args.action == "sample"):
            wrong = (
                "give the DIR to write to" if args.folder is None else f"unexpected argument {args.folder!r}"
            )
            self.error(f"{args.action}: {wrong}")
        for flag in _OF_DOWNLOAD:
            if args.action != "download" and getattr(args, flag):
                self.error(f"{args.action}: takes no --{flag}; it is for download")
        return args

    def unknown(self, word: str) -> str:
        """The error text for an unknown argument; if it has a dot, with the nearest key."""
        flag = word.partition("=")[0]
        if flag.startswith("--") and "." in flag:
            return f"{flag}: unknown key{nearest_key(flag.removeprefix('--'))}"
        return super().unknown(word)


def parser() -> DataParser:
    """The parser of this verb."""
    made = DataParser("data", _DESCRIPTION, _EXAMPLE)
    made.usage = "geomoe data {info,download,check,cache,sample} NAME [DIR] [options] [--data.key VALUE ...]"
    made.add_argument("action", choices=ACTIONS, help="what to do")
    made.add_argument("name", metavar="NAME", nargs="?", help="data set or shipped configuration")
    made.add_argument("folder", metavar="DIR", nargs="?", help="sample: folder that is written")
    add_short_flags(made)
    made.add_argument(
        "--url",
        metavar="URL",
        help="download: another source: of a file, or of a folder (ends in /), or a path",
    )
    digest = made.add_mutually_exclusive_group()
    digest.add_argument(
        "--sha256", metavar="HEX", help="download: SHA-256 of the file at --url, from a source you trust"
    )
    digest.add_argument("--md5", metavar="HEX", help="download: its MD5 instead")
    made.add_argument("--yes", action="store_true", help="download: the licence is read and agreed to")
    made.add_argument(
        "--near",
        type=number(0, 20_100),
        default=1.0,
        metavar="KM",
        help="check: places closer than this count as near (default: 1)",
    )
    made.add_argument(
        "--images",
        type=whole(0, 10**12),
        metavar="N",
        help="check: open N images, evenly spread; 0: none (default: all)",
    )
    made.add_argument(
        "--countries",
        metavar="FILE",
        help="check: outlines of countries for country codes, instead of the package's own",
    )
    made.add_argument("--output", metavar="DIR", help="check: write check.json and check.png there")
    made.add_argument(
        "--workers",
        type=whole(1, MOST_WORKERS),
        metavar="N",
        help="check, cache: processes (default: one a core)",
    )
    made.add_argument(
        "--seed", type=whole(0, MOST_SEED), default=0, metavar="N", help="sample: its seed (default: 0)"
    )
    return made


def split(argv: list[str]) -> tuple[list[Setting], list[str]]:
    """Settings of configuration keys, and the other arguments."""
    settings: list[Setting] = []
    rest: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        flag, equals, value = word.partition("=")
        key = flag.removeprefix("--").replace("-", "_")
        key = ALIASES.get(key, key)
        if not flag.startswith("--") or key not in keys() or key in {"seed", "output"}:
            rest.append(word)
            continue
        if flag in SWITCHES:
            settings.append(Setting(key, value or "true", flag))
            continue
        if not equals and not words:
            raise UsageError(f"{flag} needs a value; see geomoe data --help")
        settings.append(Setting(key, value if equals else words.pop(0), flag))
    return settings, rest
