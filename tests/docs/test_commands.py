"""Every command that a page prints is one that the command line takes."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest

from geomoe.cli import VERBS
from geomoe.cli.parsing import UsageError
from geomoe.config.load import load
from geomoe.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "maps/README.md", *(ROOT / "docs").rglob("*.md")])
LOOPS = {"$k": "3", "$domain": "sketch", "${domain//_/-}": "sketch"}  # of the shell loops on the pages


def commands(page):
    """Words of each geomoe command in the blocks of a page; usage lines have brackets and are left out."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^```(?:bash)?\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            for part in line.strip().split("&&"):
                if re.match(r"\s*geomoe [a-z]", part) and "[" not in part and "..." not in part:
                    for name, value in LOOPS.items():
                        part = part.replace(name, value)
                    yield shlex.split(part, comments=True)[1:]


def check(words):
    """Parse a command, and read the configuration of one that trains."""
    verb, *rest = words
    assert verb in VERBS, words
    args = importlib.import_module(f"geomoe.cli.{verb.replace('-', '_')}").parser().parse(rest)
    if verb == "train":
        load(args.name, args.config, args.settings, environment={}, faults=args.faults)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_of_a_page(page):
    for words in commands(page):
        check(words)


def test_commands_are_found_and_wrong_ones_refused():
    found = [words for page in PAGES for words in commands(page)]
    assert len(found) > 40
    assert {words[0] for words in found} >= set(VERBS) - {"doctor"}
    with pytest.raises(ConfigError, match=r"model\.top_q"):
        check(["train", "bluemarble", "--model.top_q", "2"])
    with pytest.raises(UsageError, match="unknown argument --chekpoint"):
        check(["evaluate", "--checkpoint", "x", "--chekpoint", "y"])


def test_the_example_of_methods_and_their_options(tmp_path, caplog):
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    file = tmp_path / "own.yaml"
    file.write_text(
        re.search(r"```yaml\n(algorithm: groupdro\n.*?)```", page, flags=re.DOTALL)[1], encoding="utf-8"
    )
    config = load("bluemarble", file, environment={})
    assert config.methods == ("groupdro", "swad")
    assert set(config.options) == {"groupdro", "swad"}  # moge's are not in use
    assert (config.options["groupdro"]["eta"], config.options["swad"]["ratio"]) == (0.05, 0.2)
    assert caplog.messages == []


@pytest.mark.slow
def test_the_readme_names_what_quickstart_writes():
    from geomoe.quickstart import QuickstartOptions, configuration
    from geomoe.training import run_folder

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    run = run_folder(configuration("moge", QuickstartOptions().epochs, Path("quickstart"))).path
    named = set(re.findall(r"quickstart/[\w./-]+", text))
    assert named == {f"{run.as_posix()}/checkpoints/best.ckpt", "quickstart/evaluation"}
