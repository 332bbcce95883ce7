"""Figures in every format: what the file is, and that it is the same twice."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from geomoe.errors import InputError
from geomoe.support.figures import FORMATS, save_figure

HEADS = {"png": b"\x89PNG", "pdf": b"%PDF-", "svg": b"<?xml"}


def figure():
    made = Figure(figsize=(2, 2))
    axes = made.subplots()
    axes.imshow([[0, 1], [1, 0]])
    axes.set(title="$ & <b>", xlabel="longitude (°)")
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_a_figure_is_of_its_format_and_the_same_twice(name, tmp_path):
    for file in ("a", "b"):
        save_figure(figure(), tmp_path / file, name, 50)
    raw = (tmp_path / "a").read_bytes()
    assert raw.startswith(HEADS[name])
    assert raw == (tmp_path / "b").read_bytes()
    if name == "svg":
        assert "$ &amp; &lt;b&gt;" in raw.decode("utf-8")


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(InputError, match="expected one of png, pdf, svg; got 'gif'"):
        save_figure(figure(), tmp_path / "a", "gif", 50)
    assert not (tmp_path / "a").exists()
