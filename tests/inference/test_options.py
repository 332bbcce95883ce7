"""Options of predicting and encoding: refused before anything is read."""

from __future__ import annotations

import pytest

from geomoe.errors import DataError, InputError
from geomoe.inference.files import predict_files
from geomoe.inference.options import EncodeOptions, PredictOptions
from geomoe.inference.points import read_points
from geomoe.inference.predictor import Predictor


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "encoder: give the name of an encoder, or a checkpoint"),
        ({"encoder": "sh", "checkpoint": "best.ckpt"}, "encoder: give the name of an encoder, or a"),
        ({"encoder": "sh", "capsules": (0,)}, "--capsules: is of geoclip, and does nothing for --encoder sh"),
        ({"checkpoint": "best.ckpt", "legendre_polys": 3}, "does nothing for a checkpoint"),
    ],
)
def test_an_encoder_that_is_not_one_and_options_of_another_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        EncodeOptions(**given)
    assert EncodeOptions(encoder="sh-siren", legendre_polys=3).legendre_polys == 3


def test_a_tile_of_more_pixels_than_are_read_at_once_is_refused():
    with pytest.raises(InputError, match=r"^overlap: expected 0 or 0\.5 or 0\.75; got 0\.3"):
        PredictOptions(overlap=0.3)
    with pytest.raises(InputError, match=r"^tile: 1000000 x 1000000 pixels are too many at once; give up"):
        PredictOptions(tile=10**6)
    assert PredictOptions(tile=224).overlap == 0.5


def test_options_by_an_unknown_name_are_refused_with_the_nearest():
    with pytest.raises(TypeError, match=r"^PredictOptions: no option .tiles.; did you mean tile\?"):
        predict_files(None, "images", "out.csv", tiles=3)


def test_one_column_is_not_both_coordinates(tmp_path):
    (tmp_path / "p.csv").write_text("x,y\n1,2\n")
    with pytest.raises(DataError, match="column x cannot be both the longitude and the latitude"):
        read_points(tmp_path / "p.csv", "x", "x")


@pytest.mark.parametrize(
    ("argument", "given", "message"),
    [
        ("predictor", "best.ckpt", "predictor: expected what geomoe.load returns; got str"),
        ("inputs", None, "inputs: expected the path of a file or folder; got None"),
        ("inputs", [5], "inputs: expected the path of a file or folder; got 5"),
        ("inputs", b"x", "inputs: expected the path of a file or folder; got b'x'"),
        ("inputs", "", "inputs: expected the path of a file or folder; got ''"),
        ("inputs", [], "inputs: expected at least one image, folder or table; got none"),
        ("output", None, "output: expected the path of a file or folder; got None"),
    ],
)
def test_arguments_that_are_no_paths_are_named(argument, given, message):
    arguments = {"predictor": object.__new__(Predictor), "inputs": "images", "output": "out.csv"}
    with pytest.raises(InputError) as caught:
        predict_files(**{**arguments, argument: given})
    assert str(caught.value) == message
