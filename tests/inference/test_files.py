"""Predictions from files: the same answers as in evaluation, every input accounted for, also when stopped."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import geopandas
import numpy as np
import pandas as pd
import pyproj
import pytest
import rasterio
import torch
from rasterio.transform import from_origin

from geomoe.build import build_datamodule, build_network
from geomoe.checkpoint import save_checkpoint
from geomoe.cli import main
from geomoe.config import DataConfig, EncoderConfig, ModelConfig, RunConfig
from geomoe.coords import great_circle_km
from geomoe.datasets.samples.folder import write
from geomoe.datasets.training_places import thin_places
from geomoe.errors import DataError, InputError, OutputError
from geomoe.inference import files as files_module
from geomoe.inference import load, predict_dataset
from geomoe.inference.answers import training_places
from geomoe.inference.files import predict_files
from geomoe.inference.inputs import collect
from geomoe.inference.journal import Journal, partial_path
from geomoe.inference.tiles import Item, Tiles, make_tiling
from tests import forked
from tests.inference import journal_worker


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict") / "data"
    write(folder)
    return folder


@pytest.fixture(scope="module")
def make(data, tmp_path_factory):
    """Write an untrained network of the sample folder, as training would."""
    folder = tmp_path_factory.mktemp("checkpoints")

    def made(algorithm="moge", facts=None, **options):
        torch.manual_seed(0)
        table = DataConfig(name="folder", root=str(data), metadata="clean.csv", **options)
        config = RunConfig(algorithm=algorithm, encoder=EncoderConfig(legendre_polys=4, out_dim=16))
        config = replace(config, data=table, model=ModelConfig(image_size=16))
        info = {**build_datamodule(config).info(), **(facts or {})}
        built = build_network(config, info)
        path = folder / f"{algorithm}{len(list(folder.iterdir()))}.ckpt"
        head = built.backbone.head
        with torch.no_grad():  # an untrained classifier knows no classes: make every one the best somewhere
            head.weight.normal_(std=2.0)
            known = load(save_checkpoint(path, built, config, info), "cpu")
            scores = predict_dataset(known, build_datamodule(config).dataset("test")).logits
            head.bias.sub_(torch.from_numpy(scores.mean(axis=0)))
        return save_checkpoint(path, built, config, info)

    return made


@pytest.fixture(scope="module")
def checkpoint(make):
    return make()


@pytest.fixture
def predictor(checkpoint):
    return load(checkpoint, "cpu")


@pytest.mark.slow
def test_the_same_answers_as_in_evaluation(predictor, data, tmp_path):
    part = build_datamodule(predictor.config).dataset("test")
    expected = predict_dataset(predictor, part)
    table = tmp_path / "test.csv"
    pd.DataFrame({"filename": part.filenames, "lon": part.lonlat[:, 0], "lat": part.lonlat[:, 1]}).to_csv(
        table, index=False
    )
    summary = predict_files(
        predictor, [table], tmp_path / "out.csv", data_root=data, probabilities=True, batch_size=7
    )
    found = pd.read_csv(tmp_path / "out.csv")
    assert summary.predicted == len(part) == len(found)
    assert found["filename"].tolist() == part.filenames.tolist()
    assert found["class"].tolist() == [predictor.classes[label] for label in expected.predicted]
    shares = found[[f"probability_{name}" for name in predictor.classes]].to_numpy()
    np.testing.assert_allclose(shares, expected.probabilities, atol=2e-5)
    assert len(set(found["class"])) > 1
    np.testing.assert_allclose(found["probability"], expected.probabilities.max(axis=1), atol=2e-5)
    for block, number in enumerate(predictor.blocks):
        names = [f"block_{number}_expert_{expert}" for expert in range(predictor.num_experts)]
        np.testing.assert_allclose(found[names], expected.weights[block], atol=2e-5)


@pytest.mark.slow
def test_the_place_is_that_of_the_image_where_no_table_gives_one(predictor, data, tmp_path):
    known = pd.read_csv(data / "clean.csv")
    predict_files(predictor, [data / "images"], tmp_path / "out.parquet")
    found = geopandas.read_parquet(tmp_path / "out.parquet")
    found.index = [name.removeprefix(f"{data.as_posix()}/") for name in found["filename"]]
    found = found.loc[known["filename"]]
    np.testing.assert_allclose(found[["lon", "lat"]], known[["lon", "lat"]], atol=1e-6)
    np.testing.assert_allclose(found.geometry.x, known["lon"], atol=1e-6)
    assert found.crs.equals("EPSG:4326")
    assert not found["unknown_place"].any()
    assert len(found) == len(known)


@pytest.mark.slow
def test_every_kind_of_output_says_the_same(predictor, data, tmp_path):
    table = data / "points.csv"
    for suffix in ("csv", "parquet", "geojson"):
        summary = predict_files(predictor, [table], tmp_path / f"out.{suffix}")
        assert (summary.predicted, len(summary.skipped), summary.unknown_places) == (70, 3, 1)
        listed = pd.read_csv(tmp_path / f"out.{suffix}.skipped.csv")
        assert listed["reason"].str.contains("12,5|95.0|has 3 bands").all()
    csv = pd.read_csv(tmp_path / "out.csv")
    parquet = geopandas.read_parquet(tmp_path / "out.parquet")
    pd.testing.assert_frame_equal(pd.DataFrame(parquet.drop(columns="geometry")), csv, check_dtype=False)
    features = json.loads((tmp_path / "out.geojson").read_text(encoding="utf-8"))["features"]
    assert [feature["properties"]["class"] for feature in features] == csv["class"].tolist()
    unknown = [feature["geometry"] is None for feature in features]
    assert unknown == csv["unknown_place"].tolist() == parquet.geometry.isna().tolist()
    assert sum(unknown) == 1
    assert csv["nearest_train_km"].isna().tolist() == unknown
    assert len(geopandas.read_file(tmp_path / "out.geojson")) == 70


@pytest.mark.slow
def test_distances_are_great_circles_to_the_nearest_training_place(predictor, data, tmp_path):
    predict_files(predictor, [data / "clean.csv"], tmp_path / "out.csv")
    found, known = pd.read_csv(tmp_path / "out.csv"), pd.read_csv(data / "clean.csv")
    places = known.loc[known["split"] == "train", ["lon", "lat"]].to_numpy()
    own = known[["lon", "lat"]].to_numpy()
    every = np.stack([great_circle_km(own, np.broadcast_to(place, own.shape)) for place in places])
    np.testing.assert_allclose(found["nearest_train_km"], every.min(axis=0), atol=0.003)
    assert (found["nearest_train_km"][known["split"] == "train"] < 0.003).all()


@pytest.mark.slow
def test_thinned_places_keep_their_promise():
    rng = np.random.default_rng(0)
    places = np.stack([rng.uniform(-180, 180, 30_000), rng.uniform(-90, 90, 30_000)], axis=1)
    places[:5] = np.nan
    kept = thin_places(places, most=3000)
    assert 500 < len(kept["lon"]) <= 3000
    asked = np.stack([rng.uniform(-180, 180, 300), rng.uniform(-90, 90, 300)], axis=1)
    true = np.array([great_circle_km(np.broadcast_to(p, places[5:].shape), places[5:]).min() for p in asked])
    found = training_places({"places": kept}).km(asked)
    assert (found > true - 0.01).all()
    assert (found <= true + kept["within_km"]).all()
    assert thin_places(np.full((3, 2), np.nan)) == {"lon": [], "lat": [], "within_km": 0.0}
    few = thin_places(np.array([[10.0, 50.0], [10.0, 50.0], [-179.99999, -89.0]]))
    assert sorted(few["lon"]) == [-179.99999, 10.0]


@pytest.mark.slow
def test_a_checkpoint_without_places_says_so_once(make, data, tmp_path, caplog):
    old = load(make(facts={"places": None}), "cpu")
    predict_files(old, [data / "clean.csv"], tmp_path / "out.csv")
    assert pd.read_csv(tmp_path / "out.csv")["nearest_train_km"].isna().all()
    assert caplog.text.count("knows no training places") == 1


@pytest.mark.slow
def test_networks_without_experts(make, data, tmp_path):
    predict_files(load(make("erm"), "cpu"), [data / "clean.csv"], tmp_path / "out.csv")
    assert not [name for name in pd.read_csv(tmp_path / "out.csv") if "expert" in name]


def test_junk_is_no_image_and_no_file_comes_twice(data, tmp_path):
    items, skipped = collect([data, data / "images", data / "images/utm 01.tif"])
    names = [item.path.name for item in items]
    assert len(names) == len(set(names)) == 72 + 3  # empty, half and three bands are named, and skipped later
    assert "copy-checkpoint.tif" not in names
    assert "._copy.tif" not in names
    assert skipped == []


# --- stopped and resumed ------------------------------------------------------------------------


@pytest.mark.slow
def test_a_killed_prediction_goes_on_where_it_was(predictor, data, tmp_path, monkeypatch):
    table = data / "points.csv"
    options = {"batch_size": 8, "probabilities": True}
    predict_files(predictor, [table], tmp_path / "whole.csv", **options)
    asked, ask = [], files_module._ask

    def stop_after(predictor, batch, most):
        asked.extend(loaded.number for loaded in batch)
        if len(asked) > most:
            raise KeyboardInterrupt
        return ask(predictor, batch)

    monkeypatch.setattr(files_module, "_ask", lambda *given: stop_after(*given, most=30))
    output = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        predict_files(predictor, [table], output, **options)
    assert not output.exists()
    partial = partial_path(output)
    with partial.open("ab") as file:
        file.write(b'{"i":24,"at":[1.0,')  # killed in the middle of a line
    asked.clear()
    monkeypatch.setattr(files_module, "_ask", lambda *given: stop_after(*given, most=1000))
    summary = predict_files(predictor, [table], output, resume=True, **options)
    assert summary.resumed == 24
    assert asked == list(range(24, 71))
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not partial.exists()


@pytest.mark.slow
def test_other_inputs_are_not_mixed_in(predictor, make, data, tmp_path, monkeypatch):
    output = tmp_path / "out.csv"

    def broken(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(files_module, "_ask", broken)
        with pytest.raises(KeyboardInterrupt):
            predict_files(predictor, [data / "clean.csv"], output)
    for inputs, other in (([data / "images"], predictor), ([data / "clean.csv"], load(make("erm"), "cpu"))):
        with pytest.raises(InputError, match=r"out\.csv\.partial: partial results of other inputs"):
            predict_files(other, inputs, output, resume=True)
    assert predict_files(predictor, [data / "clean.csv"], output, resume=True).predicted == 72


# --- scenes -------------------------------------------------------------------------------------


CORNERS = {
    "EPSG:4326": (10.0, 50.0, 0.0005),
    "EPSG:32719": (300_000.0, 6_300_000.0, 50.0),
    "EPSG:3857": (8.5e6, 2.3e6, 50.0),
    "EPSG:3413": (-2.0e5, -2.2e6, 50.0),
}


def write_scene(path, crs, width=90, height=70):
    rng = np.random.default_rng(0)
    values = rng.integers(1, 4000, (4, height, width)).astype(np.uint16)
    values[:, :25, :37] = 0
    x, y, size = CORNERS.get(crs, (0, 0, 1))
    place = {"crs": crs, "transform": from_origin(x, y, size, size)} if crs else {}
    shape = {"count": 4, "height": height, "width": width, "dtype": "uint16", "nodata": 0}
    with rasterio.open(path, "w", driver="GTiff", **shape, **place) as file:
        file.write(values)
    return values


@pytest.mark.parametrize("crs", CORNERS)
def test_a_scene_is_the_mean_of_its_tiles_in_its_own_crs(crs, predictor, tmp_path):
    values = write_scene(tmp_path / "scene.tif", crs)
    x, y, size = CORNERS[crs]
    step, parts = 12, 2
    tiles = {}
    mean = np.array(predictor.info["mean"], np.float32)[:, None, None]
    wide = np.zeros((4, 7 * step, 9 * step), np.uint16)
    wide[:, :70, :90] = values
    lonlat = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    for row in range(5):  # each cell of the 6 x 8 grid by hand, from every tile over it
        for column in range(7):
            tile = wide[:, row * step : (row + 2) * step, column * step : (column + 2) * step]
            if not tile.any():
                continue
            filled = torch.from_numpy(np.where(tile == 0, mean, tile).astype(np.float32))
            small = torch.nn.functional.interpolate(filled[None], (16, 16), mode="bilinear", antialias=True)
            right, lower = min((column + 2) * step, 90), min((row + 2) * step, 70)
            middle = (column * step + right) / 2, (row * step + lower) / 2  # of the part inside the scene
            place = lonlat.transform(x + middle[0] * size, y - middle[1] * size)
            answer = predictor.predict(small, np.array([place]))
            weights = torch.cat([routing.weights[0] for routing in answer.routings])
            tiles[row, column] = (answer.probabilities[0].numpy(), weights.numpy())
    predict_files(predictor, [tmp_path / "scene.tif"], tmp_path / "out.tif")
    with rasterio.open(tmp_path / "out.tif") as file:
        classes, frame, tags = file.read(1), file.profile, file.tags(1)
    with rasterio.open(tmp_path / "out-scores.tif") as file:
        scores, names = file.read(), file.descriptions
    assert classes.shape == (6, 8)
    assert frame["crs"] == rasterio.crs.CRS.from_string(crs)
    assert frame["transform"][:6] == pytest.approx((size * step, 0, x, 0, -size * step, y))
    assert [tags[f"CLASS_{number}"] for number in range(3)] == predictor.classes
    assert names[:3] == ("probability", "nearest_train_km", "block_2_expert_0")
    for row in range(6):
        for column in range(8):
            cell = wide[:, row * step : (row + 1) * step, column * step : (column + 1) * step]
            over = [
                tiles[r, c]
                for r in range(row - parts + 1, row + 1)
                for c in range(column - parts + 1, column + 1)
                if (r, c) in tiles
            ]
            if not cell.any():
                assert classes[row, column] == 255
                assert np.isnan(scores[:, row, column]).all()
                continue
            shares = np.mean([share for share, _ in over], axis=0)
            assert scores[0, row, column] == pytest.approx(shares.max(), abs=1e-4)
            np.testing.assert_allclose(
                scores[2:, row, column], np.mean([gates for _, gates in over], axis=0), atol=1e-4
            )
            best = np.sort(shares)
            if best[-1] - best[-2] > 1e-3:
                assert classes[row, column] == shares.argmax()
            right, lower = min((column + 1) * step, 90), min((row + 1) * step, 70)
            middle = (column * step + right) / 2, (row * step + lower) / 2
            place = lonlat.transform(x + middle[0] * size, y - middle[1] * size)
            distance = training_places(predictor.info).km(np.array([place]))[0]
            assert scores[1, row, column] == pytest.approx(distance, rel=1e-5)
    assert (classes == 255).sum() == 6


def test_a_scene_without_crs_is_classified_at_an_unknown_place(predictor, tmp_path):
    write_scene(tmp_path / "scene.tif", None)
    summary = predict_files(predictor, [tmp_path / "scene.tif"], tmp_path / "out.tif", overlap=0.0)
    assert summary.unknown_places == summary.predicted == 4 * 3 - 1
    with rasterio.open(tmp_path / "out-scores.tif") as file:
        assert file.crs is None
        assert np.isnan(file.read(2)).all()


def test_a_classified_scene_tells_gis_programs_names_and_colours(predictor, tmp_path):
    write_scene(tmp_path / "scene.tif", "EPSG:32719")
    names = predictor.classes
    chosen = {name: f"#0{k}ff80" for k, name in enumerate(names)}
    (tmp_path / "c.json").write_text(json.dumps(chosen), encoding="utf-8")
    scene, out = [tmp_path / "scene.tif"], tmp_path / "new" / "out.tif"
    summary = predict_files(predictor, scene, out, overlap=0.0, colors=tmp_path / "c.json")
    beside = ["out.tif", "out-scores.tif", "out.tif.aux.xml", "out.qml"]
    assert [path.name for path in summary.files] == beside
    assert sorted(path.name for path in out.parent.iterdir()) == sorted(beside)
    with rasterio.open(out) as file:
        assert [file.colormap(1)[k][:3] for k in range(3)] == [(k, 255, 128) for k in range(3)]
    style = ElementTree.parse(out.with_suffix(".qml"))
    told = {one.get("label"): one.get("color") for one in style.iter("paletteEntry")}
    assert told == chosen
    rows = [[cell.text for cell in row] for row in ElementTree.parse(f"{out}.aux.xml").iter("Row")]
    assert rows == [[str(k), name, str(k), "255", "128", "255"] for k, name in enumerate(names)]


def test_colours_that_do_not_fit_are_refused_before_any_work(predictor, tmp_path):
    write_scene(tmp_path / "scene.tif", "EPSG:32719")
    (tmp_path / "c.csv").write_text("name,color\nno such class,#000000\n", encoding="utf-8")
    scene, before = [tmp_path / "scene.tif"], {path.name for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match="unknown name 'no such class'"):
        predict_files(predictor, scene, tmp_path / "out.tif", colors=tmp_path / "c.csv")
    with pytest.raises(InputError, match="those of a classified raster"):
        predict_files(predictor, scene, tmp_path / "out.csv", colors=tmp_path / "c.csv")
    assert {path.name for path in tmp_path.iterdir()} | {"c.csv"} == before | {"c.csv"}


def test_tiles_as_rows_of_a_table(predictor, tmp_path):
    write_scene(tmp_path / "scene.tif", "EPSG:32719")
    summary = predict_files(predictor, [tmp_path / "scene.tif"], tmp_path / "out.csv", tile=30, overlap=0.0)
    found = pd.read_csv(tmp_path / "out.csv")
    assert len(found) == summary.predicted == 9
    assert found[["left", "top", "width", "height"]].drop_duplicates().shape == (9, 4)
    x, y, size = CORNERS["EPSG:32719"]
    lonlat = pyproj.Transformer.from_crs("EPSG:32719", "EPSG:4326", always_xy=True)
    # the middle of the part of a tile that is inside the image
    right, lower = (found["left"] + 30).clip(upper=90), (found["top"] + 30).clip(upper=70)
    expected = lonlat.transform(x + (found["left"] + right) / 2 * size, y - (found["top"] + lower) / 2 * size)
    np.testing.assert_allclose(found[["lon", "lat"]].T, expected, atol=1e-8)


@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
@pytest.mark.parametrize("width", [1, 23, 24, 25, 100, 101])
def test_tiles_cover_every_pixel_and_reach_beyond_by_less_than_a_step(width, overlap):
    tiling = make_tiling(24, overlap)
    seen = np.zeros(width + 24, int)
    tiles = Tiles(Item("x", Path("x")), tiling, width, 10)
    assert len(tiles) == len(list(tiles)) == tiling.count(width)
    for tile in tiles:
        left, _, size, _ = tile.window
        seen[left : left + size] += 1
        assert left < width
    assert (seen[:width] > 0).all()
    assert (seen[max(width, 24) + tiling.step - 1 :] == 0).all()


# --- refusals and the command line --------------------------------------------------------------


def test_what_is_refused(predictor, data, tmp_path):
    image = data / "images/utm 01.tif"
    (tmp_path / "none").mkdir()
    (tmp_path / "a.txt").write_text("x")
    cases = [
        ([tmp_path / "gone.tif"], "out.csv", InputError, "no such file or folder"),
        ([tmp_path / "none"], "out.csv", InputError, "no image found"),
        ([tmp_path / "a.txt"], "out.csv", InputError, "expected an image, a folder or a table"),
        ([image], "out.shp", InputError, r"ends in \.csv, \.parquet, \.geojson, \.tif"),
        ([image, image], "out.tif", InputError, "exactly one raster"),
        ([data / "clean.csv"], "out.tif", InputError, "exactly one raster"),
        ([data / "images/empty.tif"], "out.csv", DataError, r"none of 1 image .*\(0 bytes\)"),
        ([data / "images/three bands.tif"], "out.csv", DataError, "has 3 bands, expected 4"),
    ]
    for inputs, name, kind, message in cases:
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(kind, match=message) as caught:
            predict_files(predictor, inputs, tmp_path / name)
        assert len(str(caught.value).splitlines()) == 1
        assert sorted(tmp_path.rglob("*")) == before
    shutil.copy(data / "clean.csv", tmp_path / "own.csv")
    with pytest.raises(InputError, match="would overwrite an input"):
        predict_files(predictor, [tmp_path / "own.csv"], tmp_path / "own.csv")


@pytest.mark.slow
def test_the_command(checkpoint, data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["predict", "--checkpoint", str(checkpoint), str(data / "georeferenced.csv"), "--device", "cpu"]
    assert main([*words, "--output", "new/out.csv"]) == 0
    out, err = capsys.readouterr()
    lines = ["output          new/out.csv", "predicted       72", "skipped         4", "unknown_places  0"]
    assert out.splitlines() == [*lines, "listed          new/out.csv.skipped.csv"]
    assert "76 of 76 images done, 4 skipped" in err
    assert main([*words, "--output", "new/out.geojson", "--json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert result["files"] == ["new/out.geojson", "new/out.geojson.skipped.csv"]
    assert {skip["reason"].partition(":")[0] for skip in result["skipped_images"]} >= {"no such image"}


@pytest.mark.slow
def test_interrupted_it_says_how_to_go_on(checkpoint, data, tmp_path, monkeypatch, capsys):
    def stop(*given):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files_module, "_ask", stop)
    words = ["predict", "--checkpoint", str(checkpoint), str(data / "clean.csv"), "--output", "out.csv"]
    assert main(words) == 130
    hint = capsys.readouterr().err.splitlines()[-1]
    assert hint.startswith("geomoe: interrupted; go on with: geomoe predict --checkpoint")
    assert hint.endswith(" --resume")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--resume"]) == 0
    assert (tmp_path / "out.csv").exists()


@pytest.mark.slow
def test_a_second_process_at_one_output_is_kept_out(predictor, data, tmp_path):
    """Both would write answers to the same tiles, and the mean of a scene would count them twice."""
    output = tmp_path / "out.csv"
    other = forked.start(journal_worker.hold, output, tmp_path / "ready")
    try:
        forked.until((tmp_path / "ready").exists, other)
        with pytest.raises(OutputError, match=r"out\.csv\.partial: another process is predicting into this"):
            predict_files(predictor, [data / "clean.csv"], output)
    finally:
        other.kill()
    other.join()
    assert predict_files(predictor, [data / "clean.csv"], output).predicted == 72


def test_what_an_interrupted_prediction_left_is_not_thrown_away_in_silence(predictor, data, tmp_path):
    output = tmp_path / "out.csv"
    with Journal(output, "key", resume=False) as journal:
        journal.add([{"i": 0, "error": "x"}])
    with pytest.raises(InputError, match="left answers; continue with --resume, or delete it to start over"):
        predict_files(predictor, [data / "clean.csv"], output)
    assert len(partial_path(output).read_text().splitlines()) == 2


def test_no_damaged_answer_is_gone_on_with(tmp_path):
    """Wherever a byte of a line changed: it and those after it are asked again; so is one without a sum."""
    output, key = tmp_path / "out.csv", "key"
    records = [{"i": n, "at": [1.5, -2.0], "p": [0.25, 0.75], "w": [[1.0]], "v": [1]} for n in range(3)]
    with Journal(output, key, resume=False) as journal:
        journal.add(records)
        assert list(journal.records()) == records
    path = partial_path(output)
    raw = path.read_bytes()
    lines = raw.splitlines(keepends=True)
    start = len(lines[0]) + len(lines[1])
    for place in range(start, start + len(lines[2])):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        with Journal(output, key, resume=True) as journal:
            assert journal.done == {0}
            assert list(journal.records()) == records[:1]
    path.write_bytes(b"".join(lines[:2]) + json.dumps(records[1], separators=(",", ":")).encode() + b"\n")
    with Journal(output, key, resume=True) as journal:
        assert journal.done == {0}


def test_answers_in_order_whatever_order_they_came_in(tmp_path):
    with Journal(tmp_path / "out.tif", "key", resume=False) as journal:
        journal.add(
            [{"i": 3, "p": [1]}, {"i": 12, "p": [2]}, {"p": [3], "i": 0}, {"i": 3, "p": [9]}, {"i": 1}]
        )
        assert list(journal.in_order()) == [
            {"p": [3], "i": 0}, {"i": 1}, {"i": 3, "p": [1]}, {"i": 12, "p": [2]},
        ]  # fmt: skip
