"""The pages on the command line and the configuration say what the code does."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from geomoe.cli import VERBS, main
from geomoe.config import RunConfig
from geomoe.config.keys import RESERVED
from geomoe.config.show import to_yaml

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def cli_page():
    return (DOCS / "cli.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def configuration_page():
    return (DOCS / "configuration.md").read_text(encoding="utf-8")


def test_every_key_with_its_default(configuration_page):
    assert f"```yaml\n{to_yaml(RunConfig())}```" in configuration_page


def test_the_example_of_refusals(configuration_page, capsys):
    block = re.search(r"```\n\$ geomoe (train .*)\n((?:.*\n)+?)```", configuration_page)
    assert main(block.group(1).split()) == 2
    assert capsys.readouterr().err == block.group(2)


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_every_verb(cli_page, verb):
    section = cli_page.partition(f"\n## {verb}\n")[2].partition("\n## ")[0]
    parser = importlib.import_module(f"geomoe.cli.{verb.replace('-', '_')}").parser()
    common = {"--help", "--json", "--quiet", "--debug"}
    assert [flag for flag in parser.flags() if flag not in common and flag not in section] == []
    assert f"| `{verb}` | {VERBS[verb]} |" in cli_page
    assert section.rstrip().splitlines()[-1] == "```" or verb == "doctor"


def test_every_variable(cli_page):
    assert [name for name in RESERVED if f"`{name}`" not in cli_page] == []
