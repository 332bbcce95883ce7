"""The command line: parses, calls, prints. No other part of geomoe prints or exits.

Importing this does not import torch: a verb's module is imported when the verb is used, and its
dependencies when it runs.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import itertools
import os
import shlex
import signal
import sys
import threading
import traceback
import warnings
from typing import TYPE_CHECKING, Any

from geomoe import __version__
from geomoe.cli import console
from geomoe.cli.parsing import (
    refuse_leftover_rank,
    refuse_numbers_of_environment,
    refuse_overwriting,
    refuse_unnamable,
)
from geomoe.errors import ConfigError, ConfigFaultsError, CoordinateError, GeomoeError, InputError
from geomoe.support.text import why_not_utf8
from geomoe.support.words import nearest

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

#: verb -> its description; the module is geomoe.cli.VERB, with _ for -.
VERBS = {
    "quickstart": "train a few methods on a short budget, compare them, draw the map",
    "train": "train one method on one configuration",
    "bench": "compare methods under one budget, over seeds, with tests, costs and tables",
    "evaluate": "judge a checkpoint: overall, per region, worst region, experts",
    "summarize": "combine many reports: means over seeds and held-out domains, growth curves",
    "predict": "classify your own images, folders, tables or a large scene with a checkpoint",
    "diagnose": "measure what experts and routers do, if the place matters, what changed between checkpoints",
    "map-experts": "draw the map of what a checkpoint's routers do, everywhere on Earth",
    "encode": "write location embeddings for the points of a table of any kind",
    "data": "describe, download, check or cache a data set, or write a small sample of it",
    "doctor": "report what is installed, found and writable here",
}
_ANYWHERE = ("--json", "--quiet", "--debug")  # of every verb
_HELP = ("-h", "--help")
_TRAINING = ("quickstart", "train", "bench")
_NO_HOME = "Could not determine home directory."
OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
_ROOM = "give a folder with room that can be written"
_RIGHTS = "change its permissions or those of a folder above it, or give another one"
#: Error number of the system for a file or folder -> what to do about it.
_ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS), _ROOM),
    **dict.fromkeys((errno.EACCES, errno.EPERM), _RIGHTS),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "raise the limit of open files (ulimit -n)"),
    errno.ENOTDIR: "a part of the path is a file; give another path",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ELOOP: "links lead in a circle; give another path",
    errno.EIO: "the disk or the connection to it fails; copy it somewhere else",
    errno.ESTALE: "the connection to its server is lost; try again",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: arguments without the program's name; default: those of the process.

    Returns:
        Exit status: 0 done, 1 the run failed, 2 wrong usage or bad input, 130 interrupted.
    """
    os.environ.pop("MPLBACKEND", None)  # figures are files: a window's library, or a wrong one, is of no use
    with console.streams(), _interruptible():
        return _main(sys.argv[1:] if argv is None else list(argv))


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Hold Ctrl-C back while torch is imported, which would crash Python; it comes when that is done."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        torch = sys.modules.get("torch")
        if torch is not None and getattr(torch.__spec__, "_initializing", False):
            again = threading.Timer(0.05, os.kill, (os.getpid(), number))
            again.daemon = True
            again.start()
            return
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _main(argv: list[str]) -> int:
    if not [word for word in argv if word not in _ANYWHERE]:
        console.say(_help(), lines=True)
        return USAGE
    first = next(word for word in argv if word not in _ANYWHERE)
    if first in ("--version", "-V"):
        return _print(f"geomoe {__version__}")
    if first.partition("=")[0] == "--completion":
        return _complete(argv[argv.index(first) :])
    verb = next((word for word in argv if word in VERBS), None)
    asked = argv[: argv.index(verb)] if verb else argv
    if first in (*_HELP, "help"):
        words = [word for word in argv if word not in (*_HELP, *_ANYWHERE, "help")]
        if not words:
            return _print(_help())
        return _run_verb(words[0], ["--help"]) if words[0] in VERBS else _unknown(words[0])
    if not first.startswith("-") and first not in VERBS:
        return _unknown(first)
    if verb is None:
        return _refuse(f"no verb: geomoe VERB {shlex.join(asked)} (verbs: {', '.join(VERBS)})")
    return _run_verb(verb, _behind(asked, argv[len(asked) + 1 :]))


def _behind(before: list[str], rest: list[str]) -> list[str]:
    """Move options from before the verb to after its words, so that they do not take these as values."""
    words = list(itertools.takewhile(lambda word: not word.startswith("-"), rest)) if before else []
    return [*words, *before, *rest[len(words) :]]


def _unknown(word: str) -> int:
    return _refuse(f"unknown verb {word!r}{nearest(word, VERBS)} (verbs: {', '.join(VERBS)})")


def _complete(argv: list[str]) -> int:
    from geomoe.cli import completion

    _, equals, shell = argv[0].partition("=")
    given = [shell, *argv[1:]] if equals else argv[1:]
    if len(given) != 1 or given[0] not in completion.SHELLS:
        got = " ".join(given) or "nothing"
        return _refuse(f"--completion: expected one of {', '.join(completion.SHELLS)}; got {got}")
    return _print(completion.script(given[0], VERBS))


def _print(text: str) -> int:
    try:
        console.write(text)
    except OSError as error:
        return _refuse(*_explain(error, debug=False))
    return OK


def _help() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {what}" for verb, what in VERBS.items())
    return (
        "usage: geomoe VERB [options]\n\n"
        "Earth-observation models that know where they are.\n\n"
        f"verbs:\n{verbs}\n\n"
        "  geomoe VERB --help  what a verb takes; also geomoe help VERB\n"
        "  geomoe --version    the version\n"
        "  geomoe --completion bash|zsh|fish  a script that completes the command line\n\n"
        "example:\n  geomoe train bluemarble --held-out Asia --trainer.max_epochs 3"
    )


def _run_verb(verb: str, argv: list[str]) -> int:
    debug = "--debug" in argv
    module: Any = None
    flags: list[str] = []
    args: Namespace | None = None
    try:
        module = importlib.import_module(f"geomoe.cli.{verb.replace('-', '_')}")
        parser = module.parser()
        flags = parser.flags()
        args = parser.parse(argv)
        refuse_unnamable(args)
        if verb != "doctor":
            refuse_numbers_of_environment()
        if verb in _TRAINING:
            refuse_leftover_rank()
        refuse_overwriting(args)
        result = _quietly(module, args)
        console.show(result, as_json=getattr(args, "json", False))
    except SystemExit as stop:  # after --help, which argparse has printed
        return int(stop.code or OK)
    except KeyboardInterrupt:
        hint = module.resume_hint(args, argv) if args is not None and hasattr(module, "resume_hint") else ""
        console.say(f"geomoe: interrupted{hint}")
        return INTERRUPTED
    except Exception as error:
        if debug:
            console.say("".join(traceback.format_exception(error)), lines=True)
        text, status = _explain(error, debug=debug)
        if isinstance(error, (ConfigError, CoordinateError, InputError)):
            text = _with_flag(text, flags)
        return _refuse(text, status, lines=isinstance(error, ConfigFaultsError))
    return result.status


def _with_flag(text: str, flags: list[str]) -> str:
    """Replace an argument's Python name at the beginning of a message by its flag."""
    name, colon, rest = text.partition(": ")
    flag = f"--{name.replace('_', '-')}"
    return f"{flag}{colon}{rest}" if colon and flag in flags else text


def _quietly(module: Any, args: Namespace) -> console.Result:  # noqa: ANN401 - a verb's module
    """Run a verb; stdout is reserved for its result, and warnings of other packages are suppressed."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        stack.enter_context(console.Log(quiet=args.quiet))
        if not args.debug:
            stack.enter_context(console.only_errors_of_others())
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=r"(?!geomoe\b)")
        return module.run(args)


def _explain(error: Exception, *, debug: bool) -> tuple[str, int]:
    """The message for an error, in one line (or one line per fault), and the exit status."""
    text = _from_worker(str(error))
    if isinstance(error, GeomoeError):
        return text, USAGE
    if isinstance(error, OSError) and error.errno in _ADVICE:
        where = error.filename or "output"
        return f"{where}: {os.strerror(error.errno)}; {_ADVICE[error.errno]}", USAGE
    if isinstance(error, RuntimeError) and text.startswith("Symlink loop from "):  # of Path.resolve
        where = text.partition(" from ")[2].strip("'")
        return f"{where}: {_ADVICE[errno.ELOOP]}", USAGE
    if isinstance(error, RuntimeError) and text == _NO_HOME:  # of Path.expanduser
        return "a path begins with ~, and there is no such user or no home; give the whole path", USAGE
    if isinstance(error, FileNotFoundError) and error.filename is None and not _has_folder():
        return "the folder that the command runs in is gone; go to another one (cd)", USAGE
    if isinstance(error, UnicodeEncodeError) and "surrogates" in text:
        return f"{str(error.object)[:200]}: {why_not_utf8(str(error.object))}", USAGE
    text = " ".join(text.split())
    if "proj.db" in text:  # of another installation, which PROJ_LIB of a shell often names
        where = next((name for name in ("PROJ_DATA", "PROJ_LIB") if name in os.environ), "")
        advice = f"unset {where}" if where else "install rasterio and pyproj again"
        return f"the database of coordinate systems cannot be used; {advice} ({text[:200]})", USAGE
    more = "" if debug else " (--debug shows the traceback)"
    return f"{type(error).__name__}: {text}{more}", FAILED


def _has_folder() -> bool:
    """Whether the folder that this process runs in is still there."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _from_worker(text: str) -> str:
    """The message of an error; torch adds a traceback to those of the processes that read images."""
    _, found, trace = text.partition("Original Traceback (most recent call last):")
    return trace.rstrip().splitlines()[-1].partition(": ")[2] if found else text


def _refuse(message: str, status: int = USAGE, *, lines: bool = False) -> int:
    console.say(f"geomoe: error: {message}", lines=lines)
    return status
