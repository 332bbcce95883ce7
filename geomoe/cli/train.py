"""``geomoe train NAME``: train one method with one configuration."""

from __future__ import annotations

import logging
import shlex
from argparse import Action, ArgumentParser, Namespace
from pathlib import Path
from typing import cast

from geomoe.catalogue import reads
from geomoe.cli.console import Result, rows, write
from geomoe.cli.parsing import ALIASES, SWITCHES, Parser, add_short_flags
from geomoe.config.keys import Setting, find_key, nearest_key, takes
from geomoe.config.load import load
from geomoe.config.shipped import shipped
from geomoe.support.files import no_empty_folders
from geomoe.support.words import nearest

log = logging.getLogger(__name__)
_SWITCHES = (
    "--resume",
    "--dry-run",
    "--print-config",
    "--json",
    "--quiet",
    "--debug",
    "--help",
    "--help-all",
    "-h",
)

_DESCRIPTION = """\
Train one method; geomoe evaluate judges it afterwards. NAME is a shipped configuration; a file of your own,
--config, overrides it or is used alone. Values are taken from the defaults, the environment
(GEOMOE_TRAINER__MAX_EPOCHS=3), the files and the flags; later ones override earlier ones."""

_EXAMPLE = "geomoe train bluemarble --held-out Asia --model.num_experts 8 --trainer.max_epochs 3"


class TrainParser(Parser):
    """The verb's own options, and every configuration key as a flag."""

    def parse(self, argv: list[str]) -> Namespace:
        """Split the command line into settings of configuration keys and the verb's own options.

        Faults are collected in ``args.faults`` and reported together with those of files and environment.
        """
        settings, rest, faults = split(argv)
        args, extra = self.parse_known_args(rest)
        args.settings, args.faults = settings, faults + [self.unknown(word) for word in extra]
        args.command = ["geomoe", "train", *argv]
        return args

    def format_help(self, *, full: bool = False) -> str:
        """The verb's own options, then the configuration keys (``full``: with meanings), then the example."""
        from geomoe.config.show import keys_by_group, keys_parser

        own, marker, example = super().format_help().rpartition("\nexample:")
        keys = keys_parser().format_help().strip() if full else keys_by_group()
        return f"{own}\n{keys}\n{marker}{example}"


class _HelpAll(Action):
    """Print the help with every configuration key, and stop."""

    def __call__(self, parser: ArgumentParser, *_: object) -> None:
        write(cast("TrainParser", parser).format_help(full=True))
        parser.exit()


def parser() -> TrainParser:
    """The parser of this verb."""
    names = ", ".join(shipped())
    made = TrainParser("train", _DESCRIPTION, _EXAMPLE)
    made.usage = "geomoe train NAME [--config FILE] [--resume] [--dry-run] [--any.key VALUE ...]"
    made.add_argument("name", metavar="NAME", nargs="?", help=f"shipped configuration: {names}")
    made.add_argument(
        "--help-all", action=_HelpAll, nargs=0, help="this help with the meaning of every key, and exit"
    )
    made.add_argument("--config", metavar="FILE", help="YAML file that overrides NAME")
    made.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")
    made.add_argument(
        "--dry-run",
        action="store_true",
        help="two steps, validation, checkpoint, reload, test: does it work?",
    )
    made.add_argument(
        "--print-config", action="store_true", help="print the resolved configuration, and stop"
    )
    add_short_flags(made)
    return made


def split(argv: list[str]) -> tuple[list[Setting], list[str], list[str]]:
    """Split arguments into settings of configuration keys, the verb's own arguments, and faults."""
    settings: list[Setting] = []
    rest: list[str] = []
    faults: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        flag, equals, value = word.partition("=")
        key = flag.removeprefix("--").replace("-", "_")
        key, own = ALIASES.get(key, key), f"--{key.replace('_', '-')}"
        if not flag.startswith("--"):
            rest.append(word)
        elif own in _SWITCHES:
            rest.append(own + equals + value)
        elif own == "--config":
            rest += [own + equals + value, *([] if equals else _take(words))]
        elif own in SWITCHES:
            settings.append(Setting(key, value or "true", flag))
        elif takes(key):
            given = [value] if equals else _take(words)
            known = find_key(key)
            if not given and known is not None and known.hint is bool:
                given = ["true"]
            if given:
                settings.append(Setting(key, given[0], flag))
            else:
                faults.append(f"{key}: {flag} needs a value")
        else:
            faults.append(f"{flag}: unknown key{_nearest_flag(flag, key)}")
            if not equals and words and words[0] not in shipped():
                _take(words)
    return settings, rest, faults


def _take(words: list[str]) -> list[str]:
    """The value of a flag: the next word, unless that is a flag itself."""
    return [words.pop(0)] if words and not words[0].startswith("--") else []


def _nearest_flag(flag: str, key: str) -> str:
    own = ["--held-out", "--data-root", "--metadata", "--columns", *SWITCHES, "--config", *_SWITCHES]
    found = nearest(flag, own) or nearest_key(key)
    return found.replace("mean ", "mean --", 1) if "mean --" not in found else found


def run(args: Namespace) -> Result:
    """Load the configuration, train, and report the run's folder and results."""
    faults = list(args.faults)
    if args.name is None and args.config is None and not faults:
        faults.append(f"NAME: give a configuration (known: {', '.join(shipped())}) or --config FILE")
    if args.resume and args.dry_run:
        faults.append("--resume, --dry-run: give one of them; a dry run leaves nothing to resume")
    config = load(args.name, args.config, args.settings, faults=faults)
    for one in args.settings:
        if not reads(config.algorithm, one.key):
            log.warning(
                "%s: the network of %s does not read it: nothing changes", one.source, config.algorithm
            )
    if args.print_config:
        from geomoe.config.show import to_yaml

        return Result(config.as_dict(), to_yaml(config))
    from geomoe.training import fit, is_first_process, run_folder

    args.begun = run_folder(config).path.exists  # for resume_hint
    with no_empty_folders(config.output):
        result = fit(config, resume=args.resume, dry_run=args.dry_run, command=args.command, quiet=args.quiet)
    if not is_first_process():
        return Result(None, "")
    facts = {"run": result.folder, "best": result.best, "last": result.last}
    metrics = dict(result.metrics)
    if args.dry_run:
        metrics["test_acc"] = _test(result.best, allow_vrt=config.data.allow_vrt)
    shown = {name: value for name, value in metrics.items() if name.startswith(("val", "test"))}
    return Result({**facts, "metrics": metrics}, rows({**facts, **shown}))


def _test(checkpoint: Path, *, allow_vrt: bool) -> float:
    """Load a checkpoint again and evaluate it on the test split."""
    from geomoe.evaluation import evaluate

    report = evaluate(checkpoint, split="test", bootstrap=0, diagnostics=False, allow_vrt=allow_vrt)
    return report.scores_of().overall.accuracy


def resume_hint(args: Namespace, argv: list[str]) -> str:
    """The command that resumes an interrupted run; without a checkpoint the run has to start again."""
    if args.dry_run:
        return ""
    words = [word for word in argv if word != "--resume"]
    begun = args.begun() if hasattr(args, "begun") else "--resume" in argv
    how, words = ("go on", [*words, "--resume"]) if begun else ("begin again", words)
    return f"; {how} with: {shlex.join(['geomoe', 'train', *words])}"
