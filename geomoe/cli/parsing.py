"""Parsers of the verbs: no abbreviations, the nearest name in every refusal, an example at the end."""

from __future__ import annotations

import argparse
import re
from typing import NoReturn

from geomoe.errors import GeomoeError
from geomoe.support.words import nearest

#: Short flags -> configuration keys, of every verb that takes such keys.
ALIASES = {
    "held_out": "data.held_out",
    "data_root": "data.root",
    "metadata": "data.metadata",
    "allow_vrt": "data.allow_vrt",
}
SWITCH = "--allow-vrt"  # of these the one that takes no value


class UsageError(GeomoeError):
    """The command line itself is wrong."""


def positive_int(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        msg = f"expected a whole number from 1; got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def count_from_0(text: str) -> int:
    """A whole number from 0."""
    if not text.isdecimal():
        msg = f"expected a whole number from 0; got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises :class:`UsageError` in one line instead of printing its usage.

    Args:
        verb: the verb, as typed.
        description: one paragraph.
        example: commands that end the help.
        json: whether the verb has results for machines.
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

    def add_data_of_run(self) -> None:
        """Where the data of a checkpoint's run is."""
        self.add_argument(
            "--data-root", metavar="DIR", help="folder of the data (default: where the run found it)"
        )
        self.add_argument("--allow-vrt", action="store_true", help="read .vrt files, which name other files")

    def add_device(self) -> None:
        """What to compute on."""
        self.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: auto)")

    def parse(self, argv: list[str]) -> argparse.Namespace:
        """Parse the arguments that follow the verb.

        Raises:
            UsageError: naming every argument that is not known, with the nearest that is.
        """
        args, extra = self.parse_known_args(argv)
        if extra:
            self.error("; ".join(self.unknown(word) for word in extra))
        args.command = ["geomoe", self.verb, *argv]
        return args

    def unknown(self, word: str) -> str:
        """What is said of an argument that this verb does not have."""
        if not word.startswith("-"):
            return f"unexpected argument {word!r}"
        flag = word.partition("=")[0]
        return f"unknown argument {flag}{nearest(flag, self.flags())}"

    def flags(self) -> list[str]:
        """Every long option of this verb."""
        return [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]

    def error(self, message: str) -> NoReturn:
        """Refuse, in one line."""
        choice = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if choice:
            message += nearest(choice[1], [word.strip(" '") for word in choice[2].split(",")])
        raise UsageError(f"{message}; see {self.prog} --help")
