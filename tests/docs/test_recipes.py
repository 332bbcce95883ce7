"""The recipes of docs/architecture.md are followed to the letter, and what they add is used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import recipes, recipes_used

pytestmark = [pytest.mark.slow, pytest.mark.long]  # each recipe is followed in a copy of the package

RECIPES = recipes.recipes(recipes.PAGE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A copy of the house in which every recipe was followed."""
    root = tmp_path_factory.mktemp("house")
    recipes.copy(root)
    for blocks in RECIPES.values():
        for block in blocks:
            recipes.follow(block, root)
    return root


def python(house, *words, cwd):
    settings = {**os.environ, "PYTHONPATH": str(house), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=settings, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def problems(house, tmp_path_factory):
    """Heading -> what went wrong when its result was used."""
    script = Path(__file__).with_name("recipes_used.py")
    run = python(house, str(script), cwd=tmp_path_factory.mktemp("used"))
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout)


def test_every_recipe_is_used():
    assert list(RECIPES) == list(recipes_used.USES)
    assert all(RECIPES.values())


@pytest.mark.parametrize("heading", RECIPES)
def test_a_recipe_gives_what_it_says(heading, problems):
    assert heading not in problems, problems[heading]


def test_the_blocks_are_in_the_style_of_the_house(house):
    new = [block.path for blocks in RECIPES.values() for block in blocks if block.what == "(new)"]
    files = [path for path in new if path.endswith(".py")]
    for command in (("check",), ("format", "--check")):
        run = python(house, "-m", "ruff", *command, *files, cwd=house)
        assert run.returncode == 0, run.stdout + run.stderr


def test_the_tests_of_the_families_cover_what_was_added(house):
    """Contract tests run over the tables, so each recipe's test is there already; the house rules hold."""
    rooms = ("encoders/test_contract", "algorithms/test_family", "test_architecture", "test_build")
    files = [f"tests/{name}.py" for name in (*rooms, "fetching/test_facts", "config/test_load")]
    chosen = "latitude or even_risk or erm_prior or squares or prior or classes or samples or top"
    run = python(
        house, "-m", "pytest", "-q", "-n", "0", "--long", "-k", f"({chosen}) and not page", *files, cwd=house
    )
    assert run.returncode == 0, run.stdout[-3000:]
