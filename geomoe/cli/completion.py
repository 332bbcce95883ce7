"""Scripts that complete geomoe's command line in a shell, made from the parsers of the verbs."""

from __future__ import annotations

import importlib
import shlex
from argparse import Action
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, get_args, get_origin

from geomoe.config.keys import Key

SHELLS = ("bash", "zsh", "fish")
_FIRST = (
    "--help",
    "--version",
    "--completion",
    "--quiet",
    "--json",
    "--debug",
)  # what may stand before a verb


class Flag(NamedTuple):
    """One option of a verb.

    Attributes:
        name: with its dashes.
        values: words that may follow; empty: anything, such as a file.
        takes: whether a value follows.
        about: its meaning, in one phrase.
    """

    name: str
    values: tuple[str, ...]
    takes: bool
    about: str


def script(shell: str, verbs: Mapping[str, str]) -> str:
    """The script for a shell.

    Args:
        shell: one of SHELLS.
        verbs: verb -> its description.
    """
    flags = {verb: list(flags_of(verb)) for verb in verbs}
    words = {verb: words_of(verb) for verb in verbs}
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](verbs, flags, words)


def flags_of(verb: str) -> Iterator[Flag]:
    """The options of a verb; those of train and data include configuration keys."""
    for action in importlib.import_module(_module(verb)).parser()._actions:
        for name in action.option_strings:
            if name.startswith("--"):
                values = tuple(map(str, action.choices or _of_a_bench(verb, name)))
                yield Flag(name, values, action.nargs != 0, _phrase(action.help))
    if verb in {"train", "data"}:
        yield from map(_flag_of_key, _all_keys())


def words_of(verb: str) -> list[str]:
    """Words that may stand without dashes: actions, names of configurations."""
    from geomoe.config.shipped import shipped

    actions: list[Action] = importlib.import_module(_module(verb)).parser()._actions
    found = [str(word) for action in actions if not action.option_strings for word in action.choices or ()]
    if verb == "bench":
        from geomoe.bench.planning.shipped import shipped_specs

        return [*found, *shipped_specs()]
    return [*found, *shipped()] if verb in {"train", "data"} else found


def _of_a_bench(verb: str, flag: str) -> tuple[str, ...]:
    from geomoe.catalogue import ALGORITHMS
    from geomoe.config.shipped import shipped

    known = {"--data": tuple(shipped()), "--algorithms": (*ALGORITHMS, "all")}
    return known.get(flag, ()) if verb == "bench" else ()


def _module(verb: str) -> str:
    return f"geomoe.cli.{verb.replace('-', '_')}"


def _all_keys() -> list[Key]:
    from geomoe.catalogue import METHODS
    from geomoe.config.keys import keys, method_keys

    return [*keys().values(), *(key for name in METHODS for key in method_keys(name).values())]


def _flag_of_key(key: Key) -> Flag:
    named = _named().get(key.name)
    if named is not None:
        return Flag(f"--{key.name}", named, True, _phrase(key.doc))
    literal = get_args(key.hint) if get_origin(key.hint) is Literal else ()
    values = ("true", "false") if key.hint is bool else tuple(map(str, literal))
    return Flag(f"--{key.name}", values, True, _phrase(key.doc))


def _named() -> dict[str, tuple[str, ...]]:
    """The keys whose values are names of a table."""
    from geomoe.catalogue import ALGORITHMS, CATALOGUE, WRAPPERS
    from geomoe.config.rules import ENCODER_NAMES, LOGGERS, PRECISIONS

    return {
        "algorithm": ALGORITHMS,
        "around": WRAPPERS,
        "data.name": tuple(CATALOGUE),
        "encoder.name": ENCODER_NAMES,
        "trainer.loggers": LOGGERS,
        "trainer.precision": PRECISIONS,
    }


def _phrase(text: str | None) -> str:
    """A help text in one line without the marks of argparse."""
    return " ".join((text or "").replace("%%", "%").split())


def _bash(verbs: Mapping[str, str], flags: Mapping[str, list[Flag]], words: Mapping[str, list[str]]) -> str:
    return _compgen(verbs, flags, words) + "\ncomplete -o bashdefault -o default -F _geomoe geomoe"


def _zsh(verbs: Mapping[str, str], flags: Mapping[str, list[Flag]], words: Mapping[str, list[str]]) -> str:
    head = (
        "#compdef geomoe\n(( $+functions[compdef] )) || { autoload -U +X compinit && compinit }\n"
        "autoload -U +X bashcompinit && bashcompinit\n"
    )
    return head + _bash(verbs, flags, words)


def _compgen(
    verbs: Mapping[str, str], flags: Mapping[str, list[Flag]], words: Mapping[str, list[str]]
) -> str:
    """The function of bash, which zsh's bashcompinit runs too.

    Where a word stands that is no flag, names are offered if the verb takes names; nothing if it takes files,
    so that the shell offers these; else flags. bash makes a word of its own of the = in --flag=value, zsh
    does not. Of a list, the last name is completed.
    """
    cases, values = [], []
    for verb in verbs:
        named = " ".join(flag.name for flag in flags[verb])
        plain = " ".join(words[verb]) or ("" if _takes_files(verb) else named)
        cases.append(f"    {verb}) flags={shlex.quote(named)} offered={shlex.quote(plain)} ;;")
        for flag in flags[verb]:
            if flag.takes:
                values.append(
                    f"    {verb}:{flag.name}) offered={shlex.quote(' '.join(flag.values))} flags=$offered ;;"
                )
    first = " ".join([*verbs, *_FIRST])
    return "\n".join(
        [
            "_geomoe() {",
            '  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"',
            '  local verb="" flags="" offered="" head="" one="" at=1',
            '  while [ "$at" -lt "$COMP_CWORD" ]; do',
            '    one="${COMP_WORDS[at]}" at=$((at + 1))',
            '    case "$one" in -*) ;; *) verb="$one"; break ;; esac',
            "  done",
            '  if [ "$word" = "=" ]; then word=""',
            '  elif [ "$before" = "=" ]; then before="${COMP_WORDS[COMP_CWORD-2]}"',
            "  else",
            '    case "$word" in --*=*) before="${word%%=*}" head="${word%%=*}=" word="${word#*=}" ;; esac',
            "  fi",
            '  case "$verb" in',
            f"    '') offered={shlex.quote(first)} flags=$offered ;;",
            f"    help) offered={shlex.quote(' '.join(verbs))} ;;",
            *cases,
            "  esac",
            '  case "$verb:$before" in',
            f"    :--completion) offered={shlex.quote(' '.join(SHELLS))} flags=$offered ;;",
            *values,
            "  esac",
            '  case "$word" in',
            '    -*) offered="$flags" ;;',
            '    *,*) head="$head${word%,*}," word="${word##*,}" ;;',
            "  esac",
            '  COMPREPLY=($(compgen -P "$head" -W "$offered" -- "$word"))',
            "}",
        ]
    )


def _takes_files(verb: str) -> bool:
    """Whether something else than one of a few words may stand without dashes."""
    actions: list[Action] = importlib.import_module(_module(verb)).parser()._actions
    return any(not action.option_strings and not action.choices for action in actions)


def _fish(verbs: Mapping[str, str], flags: Mapping[str, list[Flag]], words: Mapping[str, list[str]]) -> str:
    lines = [
        *(
            f"complete -c geomoe -n __fish_use_subcommand -l {one[2:]}"
            for one in _FIRST
            if one != "--completion"
        ),
        f"complete -c geomoe -n __fish_use_subcommand -l completion -x -a {_fished(' '.join(SHELLS))}",
    ]
    lines.append(f"complete -c geomoe -f -n '__fish_seen_subcommand_from help' -a {_fished(' '.join(verbs))}")
    for verb, about in verbs.items():
        lines.append(f"complete -c geomoe -f -n __fish_use_subcommand -a {verb} -d {_fished(about)}")
        here = f"complete -c geomoe -n {_fished(f'__fish_seen_subcommand_from {verb}')}"
        if words[verb]:
            lines.append(f"{here} -a {_fished(' '.join(words[verb]))}")
        for flag in flags[verb]:
            how = " -x -a " + _fished(" ".join(flag.values)) if flag.values else " -r" if flag.takes else ""
            lines.append(f"{here} -l {flag.name.removeprefix('--')}{how} -d {_fished(flag.about)}")
    return "\n".join(lines)


def _fished(text: str) -> str:
    """Text in quotes of fish, where a quote and a backslash are escaped inside."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
