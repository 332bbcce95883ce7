"""Completion: the scripts offer what the parsers take; bash's is run in bash."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from geomoe.catalogue import ALGORITHMS, METHODS
from geomoe.cli import VERBS, completion, main
from geomoe.config.keys import keys, method_keys
from geomoe.config.shipped import shipped

bash = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")


@pytest.fixture(scope="module")
def scripts():
    return {shell: completion.script(shell, VERBS) for shell in completion.SHELLS}


def completed(script, lines, shell="bash"):
    """What bash, or zsh's bashcompinit, offers for the last word of each line."""
    asks = []
    for line in lines:
        words = " ".join(f"'{word}'" for word in line.split(" "))
        asks.append(f"COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _geomoe")
        asks.append('echo "${COMPREPLY[*]}"')
    code = "\n".join([script, *asks])
    if shell == "zsh":  # in the emulation in which zsh runs it, and without the completion of other commands
        code = "\n".join(["compdef() { : }", script, "emulate sh", *asks])
    arguments = [shell, *(["-f"] if shell == "zsh" else []), "-c", code]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    found = [line.split() for line in done.stdout.splitlines()]
    if shell == "zsh":  # which itself takes those that begin as the word does
        begun = [line.split(" ")[-1] for line in lines]
        pairs = zip(found, begun, strict=True)
        found = [[one for one in some if one.startswith(word)] for some, word in pairs]
    return found


LINES = {
    "geomoe tr": ["train"],
    "geomoe --quiet di": ["diagnose"],
    "geomoe help dia": ["diagnose"],
    "geomoe --completion f": ["fish"],
    "geomoe train f": ["fmow", "fmow-lao", "folder"],
    "geomoe train blue": ["bluemarble", "bluemarble-vit-tiny"],
    "geomoe train --seed 1 blue": ["bluemarble", "bluemarble-vit-tiny"],
    "geomoe train bluemarble --model.top": ["--model.top_k"],
    "geomoe train --moge.cka_e": ["--moge.cka_estimator"],
    "geomoe train --algorithm groupd": ["groupdro"],
    "geomoe train --model.learn_gamma t": ["true"],
    "geomoe --json data ch": ["check"],
    "geomoe data check fmow --data.gr": ["--data.groups_per_batch"],
    "geomoe evaluate --check": ["--checkpoint"],
    "geomoe encode points.csv --encoder satc": ["satclip"],
    "geomoe evaluate --checkpoint run": [],  # a file: the shell's own completion
    "geomoe predict ": [],  # files, too
    "geomoe train --trainer.loggers csv,te": ["csv,tensorboard"],
    "geomoe bench --algorithms erm,groupd": ["erm,groupdro"],
}


@bash
def test_bash_completes(scripts):
    lines = {**LINES, "geomoe train --algorithm = groupd": ["groupdro"]}  # its words of --algorithm=groupd
    assert dict(zip(lines, completed(scripts["bash"], lines), strict=True)) == lines


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
def test_zsh_completes(scripts):
    lines = {**LINES, "geomoe train --algorithm=groupd": ["--algorithm=groupdro"]}
    assert dict(zip(lines, completed(scripts["zsh"], lines, "zsh"), strict=True)) == lines


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
def test_fish_completes(scripts, tmp_path):
    files = {"geomoe evaluate --checkpoint run", "geomoe predict ", "geomoe encode poi"}
    lists = {line for line in LINES if "," in line}  # fish completes the whole value
    lines = {line: sorted(found) for line, found in LINES.items() if line not in files | lists}
    lines |= {"geomoe --qu": ["--quiet"], "geomoe encode poi": ["points.csv"]}
    (tmp_path / "here").mkdir()
    (tmp_path / "here/points.csv").touch()
    asks = [f"complete -C '{line}' | string replace -r '\\t.*' '' | string join ' '; echo" for line in lines]
    code = "\n".join([scripts["fish"], *asks])
    settings = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    done = subprocess.run(
        ["fish", "--no-config", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path / "here",
        env=settings,
    )
    found = [sorted(line.split()) for line in done.stdout.split("\n\n")[:-1]]
    assert dict(zip(lines, found, strict=True)) == lines


@bash
def test_bash_offers_all_verbs(scripts):
    assert completed(scripts["bash"], ["geomoe "])[0][: len(VERBS)] == list(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_flag_of_every_verb_is_in_every_script(verb, scripts):
    flags = {flag.name for flag in completion.flags_of(verb)}
    assert flags >= {"--help", "--quiet", "--debug"}
    if verb == "train":
        own = {f"--{name}" for method in METHODS for name in method_keys(method)}
        assert flags >= {f"--{name}" for name in keys()} | own | {"--resume", "--help-all"}
    for flag in flags:
        assert f" -l {flag.removeprefix('--')} " in scripts["fish"]
        assert flag in scripts["bash"]


def test_values_with_names():
    flags = {flag.name: flag for flag in completion.flags_of("train")}
    assert flags["--algorithm"].values == ALGORITHMS
    assert flags["--trainer.compile"].values == ("true", "false")
    assert not flags["--resume"].takes
    assert flags["--config"].takes
    assert completion.words_of("train") == list(shipped())
    assert completion.words_of("data")[:2] == ["info", "download"]


def test_fish_quotes(scripts):
    assert completion._fished("it's a \\") == "'it\\'s a \\\\'"
    for line in scripts["fish"].splitlines():
        assert line.replace("\\\\", "").replace("\\'", "").count("'") % 2 == 0, line


def test_zsh_runs_the_same_function(scripts):
    assert scripts["zsh"].startswith("#compdef geomoe\n")
    assert scripts["zsh"].endswith(scripts["bash"])


def test_the_option(capsys, scripts):
    assert main(["--completion", "fish"]) == 0
    assert capsys.readouterr().out == scripts["fish"] + "\n"
    assert main(["--completion=bash"]) == 0
    assert capsys.readouterr().out == scripts["bash"] + "\n"


@pytest.mark.parametrize(
    ("argv", "got"),
    [(["--completion"], "nothing"), (["--completion", "tcsh"], "tcsh"), (["--completion="], "nothing")],
)
def test_unknown_shells(argv, got, capsys):
    assert main(argv) == 2
    assert capsys.readouterr().err == (
        f"geomoe: error: --completion: expected one of bash, zsh, fish; got {got}\n"
    )


@pytest.mark.parametrize(
    ("verb", "flag", "value"),
    [
        ("train", "--around", "swad"),
        ("train", "--encoder.name", "sh-siren"),
        ("train", "--trainer.precision", "bf16-mixed"),
        ("data", "--model.image_size", None),
        ("bench", "--data", "bluemarble"),
        ("bench", "--algorithms", "all"),
    ],
)
def test_values_that_are_names_of_a_table(verb, flag, value):
    (found,) = [one for one in completion.flags_of(verb) if one.name == flag]
    assert found.takes
    assert value is None or value in found.values


def test_shipped_specs_are_words_of_bench():
    assert "all-methods" in completion.words_of("bench")
