"""Parsers of the verbs: no abbreviations, errors with the nearest name, and an example in the help."""

from __future__ import annotations

import argparse
import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from geomoe.cli import console
from geomoe.config.limits import MOST_BATCH, MOST_WORKERS
from geomoe.errors import GeomoeError
from geomoe.support.columns import read_columns
from geomoe.support.text import is_utf8, why_not_utf8
from geomoe.support.words import nearest

if TYPE_CHECKING:
    from collections.abc import Callable

#: Short flags -> configuration keys, for all verbs that accept such keys.
ALIASES = {
    "held_out": "data.held_out",
    "data_root": "data.root",
    "metadata": "data.metadata",
    "allow_vrt": "data.allow_vrt",
    "safe_csv": "data.safe_csv",
    "columns": "data.columns",
}
SWITCHES = ("--allow-vrt", "--safe-csv")  # short flags without a value


_NAMED = ("output", "checkpoint", "folder")
_KEYS = ("output", "data.root", "data.metadata")  # keys that name files
_EMPTY = "the name of the file is empty; is a variable of the shell not set?"
#: Arguments that name files -> what a message calls them.
_FILES = {
    "output": "--output", "checkpoint": "--checkpoint", "folder": "DIR", "data_root": "--data-root",
    "metadata": "--metadata", "config": "--config", "weights": "--weights", "colors": "--colors",
    "countries": "--countries", "inputs": "INPUT", "points": "POINTS", "reports": "REPORT", "spec": "SPEC",
}  # fmt: skip

#: Variables that torch, Lightning and matplotlib read as whole numbers.
_NUMBERS = (
    *("RANK", "LOCAL_RANK", "JSM_NAMESPACE_RANK", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID"),
    "SOURCE_DATE_EPOCH",
)
#: Number of a process -> how many there are, of which launchers give one with it. Lightning reads the former.
_LAUNCHED = {
    "RANK": ("WORLD_SIZE",),
    "LOCAL_RANK": ("WORLD_SIZE",),
    "SLURM_PROCID": ("SLURM_NTASKS", "WORLD_SIZE"),
    "JSM_NAMESPACE_RANK": ("JSM_NAMESPACE_SIZE", "WORLD_SIZE"),
}
_READ = ("checkpoint", "weights", "colors")  # besides the inputs, which the verbs look at


class UsageError(GeomoeError):
    """The command line is wrong."""


def whole(least: int, most: int) -> Callable[[str], int]:
    """A function that reads the value of a flag as a whole number from ``least`` to ``most``."""

    def read(text: str) -> int:
        known = text.isdecimal() and len(text) <= 18
        if known and least <= int(text) <= most:
            return int(text)
        msg = f"expected a whole number from {least} to {most:,}; got {text[:40]!r}"
        raise argparse.ArgumentTypeError(msg)

    return read


def number(least: float, most: float) -> Callable[[str], float]:
    """A function that reads the value of a flag as a number from ``least`` to ``most``."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if least <= value <= most:
            return value
        msg = f"expected a number from {least:g} to {most:g}; got {text[:40]!r}"
        raise argparse.ArgumentTypeError(msg)

    return read


def columns(text: str) -> dict[str, str]:
    """Read the value of a flag such as ``filename=image,lon=x``."""
    try:
        return read_columns(text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises a one-line :class:`UsageError` instead of printing its usage.

    Args:
        verb: the verb, as typed.
        description: one paragraph.
        example: commands shown at the end of the help.
        json: whether the verb has the option ``--json``.
    """

    def __init__(self, verb: str, description: str, example: str, *, json: bool = True) -> None:
        super().__init__(
            prog=f"geomoe {verb}",
            description=description,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.verb = verb
        self.common = self.add_argument_group("messages")
        if json:
            self.common.add_argument("--json", action="store_true", help="print the result as JSON")
        self.common.add_argument("--quiet", action="store_true", help="no progress, no messages but errors")
        self.common.add_argument("--debug", action="store_true", help="show the traceback of an error")

    def print_help(self, file: object = None) -> None:
        """Print the help, in the encoding of stdout."""
        console.write(self.format_help())

    def add_data_of_run(self) -> None:
        """Add the options for the data of a checkpoint's run."""
        self.add_argument(
            "--data-root", metavar="DIR", help="folder of the data (default: where the run found it)"
        )
        self.add_argument("--allow-vrt", action="store_true", help="read .vrt files, which name other files")

    def add_batches(self) -> None:
        """Add the options for how many images are read and classified at once."""
        self.add_argument(
            "--batch-size",
            type=whole(1, MOST_BATCH),
            default=64,
            metavar="N",
            help="images at once (default: 64)",
        )
        self.add_argument(
            "--num-workers",
            type=whole(0, MOST_WORKERS),
            default=0,
            metavar="N",
            help="processes that read images (default: 0)",
        )

    def add_device(self) -> None:
        """Add the option for the device."""
        self.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: auto)")

    def parse(self, argv: list[str]) -> argparse.Namespace:
        """Parse the arguments that follow the verb.

        Raises:
            UsageError: names every unknown argument, with the nearest known one.
        """
        args, extra = self.parse_known_args([_at_home(word) for word in argv])
        if extra:
            self.error("; ".join(self.unknown(word) for word in extra))
        args.command = ["geomoe", self.verb, *argv]
        return args

    def unknown(self, word: str) -> str:
        """The error text for an argument that this verb does not have."""
        if not word.startswith("-"):
            return f"unexpected argument {word!r}"
        flag = word.partition("=")[0]
        return f"unknown argument {flag}{nearest(flag, self.flags())}"

    def flags(self) -> list[str]:
        """Every long option of this verb."""
        return [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]

    def error(self, message: str) -> NoReturn:
        """Raise the error as one line."""
        choice = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if choice:
            message += nearest(choice[1], [word.strip(" '") for word in choice[2].split(",")])
        raise UsageError(f"{message}; see {self.prog} --help")


def _at_home(word: str) -> str:
    """``--flag=~/file`` with the home's path, which shells put in at the beginning of a word alone."""
    flag, equals, value = word.partition("=")
    return f"{flag}{equals}{Path(value).expanduser()}" if flag[:2] == "--" and value[:2] == "~/" else word


def refuse_unnamable(args: argparse.Namespace) -> None:
    """Refuse empty file names, and names of outputs and checkpoints that are not UTF-8.

    Reports and rasters can only store names in UTF-8. An empty name usually comes from a shell variable that
    is not set, and would mean the current folder.

    Raises:
        UsageError: there is such a name; the error names the option.
    """
    for name, option in _FILES.items():
        given = getattr(args, name, None)
        for one in given if isinstance(given, list) else [given]:
            if isinstance(one, str) and not one.strip():
                raise UsageError(f"{option}: {_EMPTY}")
            if name in _NAMED and isinstance(one, str) and not is_utf8(one):
                raise UsageError(f"{option}: {one}: {why_not_utf8(one, 'choose another')}")
    for setting in getattr(args, "settings", ()):
        if setting.key in _KEYS and isinstance(setting.value, str) and not setting.value.strip():
            raise UsageError(f"{setting.source}: {_EMPTY}")


def refuse_numbers_of_environment() -> None:
    """Refuse variables of the environment that libraries read as whole numbers, if they are none.

    Raises:
        UsageError: one is no whole number; the error names it.
    """
    for name in _NUMBERS:
        given = os.environ.get(name)
        if given is None or (not given and name == "SOURCE_DATE_EPOCH"):  # matplotlib takes that as not set
            continue
        if not re.fullmatch(r"\s*[0-9]+\s*", given):
            raise UsageError(f"{name} in the environment: expected a whole number; got {given!r}; unset it")


def refuse_leftover_rank() -> None:
    """Refuse the number of a process without how many there are: training would leave files to a process 0.

    Raises:
        UsageError: such a variable is left from a launcher; the error names it. Or Slurm was asked for tasks
            in a way that does not say how many run on one machine.
    """
    tasks, job = int(os.environ.get("SLURM_NTASKS", "1")), os.environ.get("SLURM_JOB_NAME")
    if tasks > 1 and "SLURM_NTASKS_PER_NODE" not in os.environ and job not in {"bash", "interactive"}:
        msg = f"SLURM_NTASKS={tasks} in the environment: ask Slurm for --ntasks-per-node, not for --ntasks"
        raise UsageError(f"{msg}, or unset it")
    for name, sizes in _LAUNCHED.items():
        given = os.environ.get(name)
        if given is not None and int(given) > 0 and not any(size in os.environ for size in sizes):
            msg = f"{name}={given} in the environment, but no {sizes[0]}: it is left from a launcher"
            raise UsageError(f"{msg}; unset it, or start this command with torchrun or srun")


def refuse_overwriting(args: argparse.Namespace) -> None:
    """Refuse an output that is one of the files that the command reads, such as its checkpoint.

    Raises:
        UsageError: names both.
    """
    output = getattr(args, "output", None)
    if not isinstance(output, str) or not os.path.isfile(output):
        return
    for name in _READ:
        given = getattr(args, name, None)
        if isinstance(given, str) and os.path.realpath(given) == os.path.realpath(output):
            raise UsageError(f"{output}: would overwrite {_FILES[name]}; give another --output")


def add_short_flags(made: Parser) -> None:
    """Add the short flags of configuration keys of the data."""
    made.add_argument("--held-out", metavar="DOMAIN", help="the same as --data.held_out")
    made.add_argument("--data-root", metavar="DIR", help="folder of the data, the same as --data.root")
    made.add_argument(
        "--metadata",
        metavar="FILE",
        help="table of your own images (.csv, .tsv, .parquet, .gpkg, .shp, .geojson): --data.metadata",
    )
    made.add_argument("--columns", metavar="PART=COLUMN,...", help="names of its columns: --data.columns")
    made.add_argument(
        "--allow-vrt", action="store_true", help="read .vrt files too: --data.allow_vrt true (folder)"
    )
    made.add_argument(
        "--safe-csv",
        action="store_true",
        help="quote cells that a spreadsheet takes for formulas: --data.safe_csv true (folder)",
    )
