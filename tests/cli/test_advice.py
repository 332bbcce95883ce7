"""Every flag that a message or a text of help names is one that the verb has."""

from __future__ import annotations

import ast
import functools
import importlib
import re
from pathlib import Path

import pytest

import geomoe
from geomoe.cli import VERBS, _with_flag, main
from geomoe.config.keys import takes

ROOT = Path(geomoe.__file__).parent
FLAG = re.compile(r"(?<![\w-])--([a-z][\w.-]*[a-z0-9])")
COMMAND = re.compile(r"geomoe (" + "|".join(VERBS) + r")\b([^`;()\n]*)")
# Of git, tar, pip and Slurm; what stands for any key; a drawing; of all verbs.
FOREIGN = {"always", "dirty", "abbrev", "exclude", "dereference", "force-reinstall"}
FOREIGN |= {"ntasks", "ntasks-per-node"}
FOREIGN |= {"any.key", "data.key", "x--x", "help", "version", "completion"}


def texts(path):
    """Every text of a module that is no docstring: parts of one f-string together."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in inner | docs:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(p.value if isinstance(p, ast.Constant) else "{}" for p in node.values), node.lineno
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, node.lineno


@functools.cache
def has(verb, flag):
    """Whether a verb takes a flag: its own, or a key of the configuration."""
    parser = importlib.import_module(f"geomoe.cli.{verb.replace('-', '_')}").parser()
    own = f"--{flag}" in parser.flags() or flag in FOREIGN
    return own or (verb in {"train", "data"} and takes(flag.replace("-", "_")))


@functools.cache
def every_text():
    return [
        (path, *found) for path in sorted(ROOT.rglob("*.py")) for found in texts(path) if "--" in found[0]
    ]


@pytest.mark.slow
def test_flags_are_found():
    assert len(every_text()) > 60


def test_flags_of_messages_exist():
    unknown = [
        f"{path.relative_to(ROOT)}:{line}: --{flag}"
        for path, text, line in every_text()
        for flag in FLAG.findall(text)
        if not any(has(verb, flag) for verb in VERBS)
    ]
    assert unknown == []


def test_flags_after_a_verb_are_its_own():
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {verb} --{flag}"
        for path, text, line in every_text()
        for verb, rest in COMMAND.findall(text)
        for flag in FLAG.findall(rest)
        if not has(verb, flag)
    ]
    assert wrong == []


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_advises_its_own_flags(verb):
    """In the module of a verb, and in the rooms that only this verb uses."""
    rooms = {"predict": ["inference/files.py", "inference/journal.py", "inference/scene.py"],
             "encode": ["inference/points.py"], "map-experts": ["mapping"], "evaluate": ["evaluation/run.py"],
             "train": ["training"], "data": ["checking", "fetching"], "doctor": ["doctor.py"],
             "quickstart": ["quickstart.py"]}  # fmt: skip
    mine = [ROOT / "cli" / f"{verb.replace('-', '_')}.py", *(ROOT / room for room in rooms.get(verb, []))]
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: --{flag}"
        for path, text, line in every_text()
        if any(path == own or own in path.parents for own in mine)
        for flag in FLAG.findall(COMMAND.sub("", text))
        if not has(verb, flag)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--encoder", "fourier"], "--finest-km: the encoder fourier needs the km of the finest detail"),
        (
            ["--encoder", "fourier", "--finest-km", "0"],
            "--finest-km: expected km from 0.01 to 20,015; got",
        ),
        (["--encoder", "sh", "--weights", "x.pt"], "--weights: the encoder sh reads no weights file"),
        (["--encoder", "geoclip", "--capsules", "0", "0"], "--capsules: expected some of 0, 1, 2, each once"),
    ],
)
def test_errors_name_the_flag(argv, said, capsys, tmp_path, monkeypatch):
    """Python's name of an argument, such as finest_km, becomes the flag of the verb."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.csv").write_text("lon,lat\n1,2\n", encoding="utf-8")
    assert main(["encode", "p.csv", "--output", "o.csv", *argv]) == 2
    assert capsys.readouterr().err.startswith(f"geomoe: error: {said}")
    assert not (tmp_path / "o.csv").exists()


def test_only_a_flag_of_the_verb_is_named():
    flags = ["--step", "--support-km"]
    assert _with_flag("support_km: expected a number", flags) == "--support-km: expected a number"
    for text in ("data.step: no", "step/x: no", "cell: no", "the step is wrong", "--step: no"):
        assert _with_flag(text, flags) == text
