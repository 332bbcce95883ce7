"""Text that is shown, names of files that are made of text, and figures that hold it."""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest

from geomoe.errors import OutputError
from geomoe.support.figures import plain_text
from geomoe.support.files import Workplace
from geomoe.support.names import MOST, file_name
from geomoe.support.tables import new_table, render
from geomoe.support.text import counted, encodable, is_utf8, metres_text, visible, visible_json, why_not_utf8

AWKWARD = "aA/\\.:$ \n\r\x00\x1b\x7f\x9b\u00e9\u0436\u202e\u2028\ud83d\udce9\ufeff\U0001f44d\U000e0041"
HOSTILE = "a\x1b[2J\n\u202eb\x9b31m\u2028\x7f\ud83d\udce9"


def some_texts(count, seed=0):
    """Short texts of awkward characters."""
    draw = random.Random(seed)
    return ["".join(draw.choices(AWKWARD, k=draw.randrange(9))) for _ in range(count)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("forêt, лес, 森林 👍🏽", "forêt, лес, 森林 👍🏽"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b31m", "\\x9b31m"),
        ("a\r\n\tb", "a\\r\\n\\tb"),
        ("\u202eevil", "\\u202eevil"),
        ("a\u2028b", "a\\u2028b"),
        (os.fsdecode(b"caf\xe9.png"), "caf\\xe9.png"),
        ("\ud83d", "\\ud83d"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # a letter of Persian spelling
    ],
)
def test_what_a_terminal_obeys_is_an_escape(text, shown):
    assert visible(text) == shown
    assert visible(shown) == shown


def test_line_breaks_can_stay():
    assert visible("a\nb\x1b", lines=True) == "a\nb\\x1b"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8", "koi8-r", None])
def test_every_text_can_be_written_in_every_encoding(encoding):
    for text in some_texts(300):
        shown = encodable(visible(text), encoding)
        shown.encode(encoding or "utf-8")
        assert not set(shown) & {"\n", "\r", "\x1b", "\x9b", "\u202e", "\u2028", "\ufeff"}


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_json_keeps_its_values(encoding):
    value = {text: text[::-1] for text in some_texts(300)}
    text = visible_json(json.dumps(value, indent=2, ensure_ascii=False))
    written = encodable(text, encoding, json=True).encode(encoding).decode(encoding)
    assert json.loads(written) == json.loads(json.dumps(value))  # halves that meet are one character
    assert "\x7f" not in written
    assert "\u202e" not in written


def test_rules_of_tables_in_ascii():
    assert encodable("─── 2.5° ± 1 é", "ascii") == "--- 2.5 deg +/- 1 \\xe9"


def test_cells_are_one_line_without_markup():
    table = new_table("title [bold]", "name\n", "n")
    table.add_row("[red]a[/red]\n\x1b[2Jb", "1")
    text = render([table], 80)
    assert "[red]a[/red]\\n\\x1b[2Jb" in text
    assert "title [bold]" in text
    assert len(text.splitlines()) == 4


def test_names_in_utf8():
    assert is_utf8(Path("forêt"))
    assert not is_utf8(Path(os.fsdecode(b"caf\xe9")))


def test_why_a_name_is_not_utf8(monkeypatch):
    latin, whole = os.fsdecode(b"caf\xe9"), "caf\udcc3\udca9"  # the second is how an ASCII locale reads UTF-8
    assert why_not_utf8(latin) == "the name is not in UTF-8; rename it"
    assert why_not_utf8(Path(latin), "choose another").endswith("UTF-8; choose another")
    assert why_not_utf8("half \ud800").startswith("the name is not in UTF-8")
    assert why_not_utf8(whole).startswith("the name is not in UTF-8")  # no system with UTF-8 gives this name
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    assert "as ascii here; set PYTHONUTF8=1" in why_not_utf8(whole)
    assert why_not_utf8(latin) == "the name is not in UTF-8; rename it"


@pytest.mark.parametrize(
    "name", ["Asia", "held-out-asia-seed0", "New Zealand", "v1.2", "forêt", "a..b", "$5", "12:30"]
)
def test_good_names_stay(name):
    assert file_name(name) == name


BAD = (
    "",
    ".",
    "..",
    "a/../../x",
    "/etc",
    "a\\b",
    ".hidden",
    "con",
    "LPT1.txt",
    "x" * 300,
    "ж" * 100,
    "a\x00b",
)


@pytest.mark.parametrize("text", [*BAD, "a\nb", " a", "a.", HOSTILE])
def test_any_text_becomes_one_plain_name(text, tmp_path):
    name = file_name(text)
    assert name != text
    assert name == file_name(name)
    assert len(name.encode()) <= MOST
    (tmp_path / name).touch()
    assert os.listdir(tmp_path) == [name]


def test_two_texts_never_share_a_name():
    texts = set(some_texts(2000))
    assert len(set(map(file_name, texts))) == len(texts)


@pytest.mark.parametrize("name", ["../x", "a/b", "/tmp/x", ".x"])
def test_no_file_of_an_output_lies_elsewhere(name, tmp_path):
    with (
        Workplace(tmp_path / "out", "the report") as place,
        pytest.raises(OutputError, match="the name of a"),
    ):
        place.write(name, lambda path: path.write_text("x"))
    assert list(tmp_path.iterdir()) == []


def test_dollars_in_figures_are_dollars(tmp_path):
    from matplotlib.figure import Figure

    with plain_text():
        figure = Figure()
        axes = figure.subplots()
        axes.set_title(r"$\frac$ $5")
        axes.set_xticks([0, 1], ["$a", "$_{$"])
    figure.savefig(tmp_path / "x.png")  # mathtext would raise an error
    assert not axes.title.get_parse_math()


@pytest.mark.parametrize(
    ("number", "words", "said"),
    [
        (0, ("row",), "0 rows"),
        (1, ("row",), "1 row"),
        (2, ("row",), "2 rows"),
        (1234567, ("row",), "1,234,567 rows"),
        (1, ("country",), "1 country"),
        (3, ("country",), "3 countries"),
        (2, ("day",), "2 days"),
        (2, ("process",), "2 processes"),
        (2, ("batch",), "2 batches"),
        (2, ("epoch",), "2 epochs"),
        (1, ("sample is", "samples are"), "1 sample is"),
        (2, ("sample is", "samples are"), "2 samples are"),
        (np.int64(1), ("band",), "1 band"),
    ],
)
def test_a_number_agrees_with_its_noun(number, words, said):
    assert counted(number, *words) == said


@pytest.mark.parametrize(
    ("metres", "text"),
    [(0.304, "0.304 m"), (9.9834, "9.98 m"), (639.2, "639 m"), (999.9, "1,000 m"), (1278.6, "1,279 m")],
)
def test_lengths_are_written_out(metres, text):
    assert metres_text(metres) == text
