"""From a checkpoint to the files: the same routers, every file, every refusal."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from xml.etree import ElementTree

import geopandas
import numpy as np
import pytest
import rasterio
import torch

from geomoe.build import build_network
from geomoe.checkpoint import save_checkpoint
from geomoe.cli.train import split as split_words
from geomoe.config import DataConfig, EncoderConfig, ModelConfig, RunConfig
from geomoe.config.load import load as load_config
from geomoe.config.load import read_config
from geomoe.coords import make_grid
from geomoe.earth.land import earth_on
from geomoe.errors import CheckpointError, ConfigError, CoordinateError, InputError, OutputError
from geomoe.inference import load
from geomoe.mapping import MapOptions, MapReport, map_experts, route_grid
from geomoe.mapping.ask import check_routes_by_place
from geomoe.mapping.draw import _encoder_fact, summarise
from geomoe.mapping.table import RoutingTable

NAMES = [
    "experts.html",
    "experts.json",
    "experts.parquet",
    "experts.png",
    "experts.qml",
    "experts.tif",
    "experts.tif.aux.xml",
]
BOX = (60.0, -10.0, 150.0, 56.0)
INFO = {
    "classes": ["forest", "desert", "sea", "ice"],
    "domains": ["Asia", "Europe", "Africa"],
    "bands": 3,
    "mean": [100.0, 110.0, 90.0],
    "std": [50.0, 40.0, 60.0],
    "data_hash": "0" * 64,
    "held_out": "Asia",
}


class FakeSplit(torch.utils.data.Dataset):
    """Random images at random places, one of them unknown."""

    def __init__(self, count, seed):
        rng = np.random.default_rng(seed)
        self.images = torch.from_numpy(rng.integers(0, 256, (count, 3, 32, 32)).astype(np.float32))
        self.labels, self.domains = rng.integers(0, 4, count), rng.integers(0, 3, count)
        self.lonlat = np.stack([rng.uniform(-180, 180, count), rng.uniform(-60, 70, count)], axis=1)
        self.lonlat[1] = np.nan

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return {"image": self.images[index], "label": torch.tensor(self.labels[index])}


@pytest.fixture(scope="module")
def write_checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")

    def write(algorithm="moge", encoder="sh", name="best.ckpt"):
        torch.manual_seed(5)
        config = RunConfig(
            algorithm=algorithm,
            data=DataConfig(held_out="Asia"),
            model=ModelConfig(num_experts=4, top_k=2, expert_noise=1.0),
            encoder=EncoderConfig(encoder, legendre_polys=4, out_dim=16, hidden_dim=32),
        )
        return save_checkpoint(folder / name, build_network(config, INFO), config, INFO)

    return write


@pytest.fixture(scope="module")
def checkpoint(write_checkpoint):
    return write_checkpoint()


@pytest.fixture
def splits(monkeypatch):
    made = {"train": FakeSplit(30, 0), "test": FakeSplit(20, 1)}
    asked = []

    def open_split(predictor, split, root=None, **rest):
        asked.append((split, root))
        return made[split]

    monkeypatch.setattr("geomoe.mapping.draw.open_split", open_split)
    return made, asked


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
def test_the_grid_is_routed_like_single_places(checkpoint):
    """The same routers as in front of images, on both sides of the date line and at the poles."""
    predictor = load(checkpoint, "cpu")
    grid = make_grid(6.0)
    weights = route_grid(predictor.model, grid)
    assert weights.shape == (2, 30 * 60, 4)
    assert weights.dtype == np.float32
    places = torch.from_numpy(grid.lonlat())
    with torch.no_grad():
        single = predictor.model(torch.zeros(len(places), 3, 32, 32), places).routings
    for block in range(2):
        np.testing.assert_allclose(weights[block], single[block].weights, atol=2e-5)
    assert ((weights > 0).sum(axis=2) <= 2).all()


@pytest.mark.slow
def test_every_file_tells_the_same(checkpoint, splits, synthetic, tmp_path):
    result = map_experts(checkpoint, tmp_path / "map", step=3.0, data_root="somewhere", device="cpu")
    assert names(tmp_path / "map") == NAMES == sorted(path.name for path in result.files)
    assert splits[1] == [("train", "somewhere"), ("test", "somewhere")]
    table = result.table
    with rasterio.open(tmp_path / "map/experts.tif") as file:
        np.testing.assert_array_equal(file.read(6), table.image(1, 1))
    frame = geopandas.read_parquet(tmp_path / "map/experts.parquet")
    np.testing.assert_array_equal(frame["block_3_expert_1"], table.weights[1, :, 1])
    report = json.loads((tmp_path / "map/experts.json").read_text(encoding="utf-8"))
    assert report == result.report.as_dict()
    assert MapReport.load(tmp_path / "map") == result.report
    assert report["title"] == "Expert map: MoGE on bluemarble, Asia held out"
    assert report["facts"]["Experts"] == "4, top 2, cosine router"
    data = synthetic.page_data((tmp_path / "map/experts.html").read_text(encoding="utf-8"))
    assert data["title"] == report["title"]
    assert data["heldOut"]["name"] == "Asia"
    for drawn, told in zip(data["blocks"], report["blocks"], strict=True):
        np.testing.assert_allclose(drawn["share"], told["share_of_land"], atol=1e-5)
        assert drawn["words"] == told["verdicts"]
    # one sample in each split has no place
    assert report["points"]["train"]["count"] == data["points"]["train"]["count"] == 29
    assert report["points"]["test"]["count"] == data["points"]["test"]["count"] == 19
    assert [part["unknown_place"] for part in report["points"].values()] == [1, 1]
    assert data["notes"][0] == "2 samples of unknown place are not on the map."


@pytest.mark.slow
def test_points_say_what_the_network_says(checkpoint, splits, tmp_path):
    result = map_experts(checkpoint, tmp_path, step=10.0, device="cpu")
    predictor = load(checkpoint, "cpu")
    for name, split in splits[0].items():
        known = ~np.isnan(split.lonlat[:, 0])
        said = predictor.predict(split.images, split.lonlat).labels.numpy()
        assert result.report.points[name].correct == int((said == split.labels)[known].sum())


@pytest.mark.slow
def test_the_same_checkpoint_gives_the_same_bytes(checkpoint, tmp_path):
    for folder in ("a", "b"):
        map_experts(
            checkpoint,
            tmp_path / folder,
            step=10.0,
            bounds=(*BOX[:1], -14.0, *BOX[2:]),
            points=False,
            device="cpu",
        )
    for name in NAMES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


@pytest.mark.slow
def test_colours_of_experts_are_checked_and_go_everywhere(checkpoint, synthetic, tmp_path):
    colours = {f"expert {k}": f"#0{k}0000" for k in range(4)}
    (tmp_path / "wrong.json").write_text(json.dumps({**colours, "expert 4": "#000000"}), encoding="utf-8")
    asked = {"step": 10.0, "bounds": BOX, "points": False, "device": "cpu"}
    with pytest.raises(InputError, match="unknown name 'expert 4'"):
        map_experts(checkpoint, tmp_path / "map", colors=tmp_path / "wrong.json", **asked)
    assert not (tmp_path / "map").exists()
    (tmp_path / "c.json").write_text(json.dumps(colours), encoding="utf-8")
    map_experts(checkpoint, tmp_path / "map", colors=tmp_path / "c.json", **asked)
    data = synthetic.page_data((tmp_path / "map/experts.html").read_text(encoding="utf-8"))
    assert data["colours"] == list(colours.values())
    style = ElementTree.parse(tmp_path / "map/experts.qml")
    entries = {one.get("label"): one.get("color") for one in style.iter("paletteEntry")}
    assert entries == colours
    table = ElementTree.parse(tmp_path / "map/experts.tif.aux.xml")
    assert [band.get("band") for band in table.iter("PAMRasterBand")] == ["9", "10"]


@pytest.mark.slow
def test_a_box_without_points_needs_no_data(checkpoint, tmp_path):
    result = map_experts(checkpoint, tmp_path, step=1.0, bounds=BOX, points=False, device="cpu")
    assert result.table.grid.shape == (66, 90)
    assert "points" not in json.loads((tmp_path / "experts.json").read_text(encoding="utf-8"))
    assert result.report.points is None
    assert MapReport.load(tmp_path / "experts.json") == result.report
    with rasterio.open(tmp_path / "experts.tif") as file:
        assert file.bounds == BOX


def test_mutual_information_is_that_of_land_cells_by_area(synthetic):
    table = synthetic.smooth_table(2.0)
    earth, area = earth_on(table.grid), table.grid.areas()
    for block, summary in enumerate(summarise(table)):
        dominant = table.dominant(block)
        for (what, bits, _), labels in zip(summary.information, (earth.landcover, earth.region), strict=True):
            joint = {}
            for row, column in np.argwhere(earth.land):
                key = int(dominant[row, column]), int(labels[row, column])
                joint[key] = joint.get(key, 0) + area[row, column]
            total = sum(joint.values())
            left, right = {}, {}
            for (a, b), share in joint.items():
                left[a] = left.get(a, 0) + share / total
                right[b] = right.get(b, 0) + share / total
            loop = sum(p / total * math.log2(p / total / left[a] / right[b]) for (a, b), p in joint.items())
            assert bits == pytest.approx(loop, abs=1e-9), what


def test_a_map_of_the_regions_shares_all_its_information_with_them():
    grid = make_grid(2.0)
    region = earth_on(grid).region.ravel()
    weights = np.eye(7, dtype=np.float32)[region][None]
    summary = summarise(RoutingTable(grid, weights, ("block 0",)))[0]
    assert {what: norm for what, _, norm in summary.information}["region"] == pytest.approx(1)
    assert "Expert 0 is dead: its mean weight is 0.00 %." in summary.words  # the sea's


@pytest.mark.parametrize(
    ("encoder", "resolution", "said"),
    [
        (EncoderConfig("fourier", finest_km=0.5), 0.5, "fourier, finest 0.5 km: tells apart 0.5 km"),
        (EncoderConfig("fourier", finest_km=120.0), 120.0, "fourier, finest 120 km: tells apart 120 km"),
        (EncoderConfig("domain"), None, "domain"),
    ],
)
def test_the_facts_say_what_the_encoder_tells_apart(encoder, resolution, said):
    made = None if resolution is None else SimpleNamespace(resolution_km=resolution)
    assert _encoder_fact(SimpleNamespace(encoder=made, config=RunConfig(encoder=encoder))) == said


@pytest.mark.slow
def test_open_sea_has_no_land_to_report_on(checkpoint, tmp_path):
    result = map_experts(
        checkpoint, tmp_path, step=1.0, bounds=(-160, -10, -150, 10), points=False, device="cpu"
    )
    assert [block.mutual_information for block in result.report.blocks] == [{}, {}]
    assert sum(result.report.blocks[0].share_of_land) == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
def test_any_box_is_mapped_in_cells_of_the_earths_grid(checkpoint, tmp_path):
    box = (5.9, 45.8, 10.5, 47.8)
    result = map_experts(checkpoint, tmp_path, step=0.5, bounds=box, points=False, device="cpu")
    assert result.table.grid.bounds == (5.5, 45.5, 10.5, 48.0)
    assert result.table.grid.shape == (5, 10)


@pytest.mark.parametrize(
    ("box", "step", "shape"),
    [
        ((-180, -90, 180, 90), 0.5, (360, 720)),
        ((60, -10, 150, 55), 0.5, (130, 180)),
        ((5.9, 47.2, 15.1, 55.1), 0.05, (158, 184)),
        ((170, -25, -170, 0), 0.1, (250, 200)),
        ((170, -25, 190, 0), 0.1, (250, 200)),
        ((20, 0, 10, 5), 0.5, (10, 700)),  # nearly all the way around
    ],
)
def test_cells_of_given_bounds_fit_them(box, step, shape):
    grid = MapOptions(bounds=box).grid()
    assert (grid.step, grid.shape) == (step, shape)


@pytest.mark.parametrize("encoder", ["sh", "sh-siren", "wrap"])
@pytest.mark.parametrize(("step", "east"), [(0.5, -167.0), (0.1, -179.0)])
def test_a_box_across_the_antimeridian_is_its_two_sides(write_checkpoint, encoder, step, east):
    """Bit by bit, whichever way the box is written."""
    model = load(write_checkpoint(encoder=encoder, name=f"{encoder}.ckpt"), "cpu").model
    sides = [make_grid(step, box) for box in ((178, -20, 180, -15), (-180, -20, east, -15))]
    apart = np.concatenate(
        [route_grid(model, side).reshape(2, *side.shape, 4) for side in sides], axis=2
    ).reshape(2, -1, 4)
    for box in ((178, -20, east, -15), (178, -20, east + 360, -15)):
        np.testing.assert_array_equal(route_grid(model, make_grid(step, box)), apart)


@pytest.mark.long
@pytest.mark.slow
def test_both_spellings_of_a_box_give_the_same_bytes(checkpoint, splits, tmp_path):
    for folder, west, east in (("a", 170, -170), ("b", 170, 190)):
        result = map_experts(
            checkpoint, tmp_path / folder, step=1.0, bounds=(west, -50, east, 0), device="cpu"
        )
        assert result.table.grid.bounds == (170, -50, 190, 0)
    for name in NAMES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"step": 0.7}, CoordinateError, "step: expected a positive number of degrees that divides"),
        ({"bounds": (0, 86, 10, 90)}, CoordinateError, "a web map ends at 85"),
        ({"bounds": (170, 0, 531, 10)}, CoordinateError, "bounds: expected west .* east up to west . 360"),
        ({"step": 0.01}, CoordinateError, "step: 0.01 degrees make 36,000 x 18,000 cells"),
        ({"device": "warp"}, ConfigError, "device: cannot use 'warp'"),
    ],
)
def test_requests_that_are_refused(checkpoint, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        map_experts(checkpoint, tmp_path / "map", points=False, **options)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("algorithm", "encoder", "message"),
    [
        (
            "erm",
            "sh",
            "erm has no experts of places, so there is no expert map; give a checkpoint",
        ),
        ("erm_le", "sh", "erm_le has no experts of places"),
        ("messi_ot", "sh", "messi_ot has no experts of places, so there is no expert map"),
        ("moge", "domain", "its routers see domain ids, not places"),
    ],
)
def test_checkpoints_without_a_map_are_refused(write_checkpoint, tmp_path, algorithm, encoder, message):
    path = write_checkpoint(algorithm, encoder, f"{algorithm}-{encoder}.ckpt")
    with pytest.raises(CheckpointError, match=message):
        map_experts(path, tmp_path / "map")
    assert names(tmp_path) == []


def test_a_missing_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointError):
        map_experts(tmp_path / "none.ckpt", tmp_path / "map")
    assert names(tmp_path) == []


def test_an_unwritable_folder_is_refused_before_the_work(checkpoint, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("geomoe.mapping.ask.route_grid", lambda *_: pytest.fail("worked for nothing"))
    with pytest.raises(OutputError, match="cannot write the map"):
        map_experts(checkpoint, tmp_path / "file" / "map")


def test_data_that_is_missing_leaves_nothing_behind(checkpoint, tmp_path, monkeypatch):
    def gone(*_, **rest):
        raise FileNotFoundError("no data")

    monkeypatch.setattr("geomoe.mapping.draw.open_split", gone)
    with pytest.raises(FileNotFoundError, match="no data"):
        map_experts(checkpoint, tmp_path / "map", step=10.0, device="cpu")
    assert names(tmp_path) == []


@pytest.mark.slow
def test_hostile_names_in_a_checkpoint_stay_text(write_checkpoint, splits, synthetic, tmp_path, monkeypatch):
    bad = "</script><img src=x onerror=alert(1)>"
    monkeypatch.setitem(INFO, "classes", [bad, "desert", "sea", "ice"])
    path = write_checkpoint(name="x<img src=x onerror=alert(1)>.ckpt")
    map_experts(path, tmp_path, step=10.0, device="cpu")
    page = (tmp_path / "experts.html").read_text(encoding="utf-8")
    assert "<img" not in page
    data = synthetic.page_data(page)
    assert data["points"]["classes"][0] == bad
    assert data["facts"][0] == ["Checkpoint", path.name]


@pytest.mark.parametrize(
    ("algorithm", "changes", "advice"),
    [
        ("erm", {}, "geomoe train bluemarble --algorithm moge"),
        (
            "erm",
            {"data.name": "fmow", "model.backbone": "resnet50", "model.image_size": 96},
            "geomoe train fmow --algorithm moge --model.backbone vit_tiny_patch16_224",
        ),
        (
            "erm",
            {"model.backbone": "resnet50", "model.image_size": 100},
            "geomoe train bluemarble --algorithm moge --model.backbone vit_tiny_patch16_224 "
            "--model.image_size 224",
        ),
        ("moge", {"encoder.name": "domain"}, "geomoe train bluemarble --algorithm moge --encoder.name sh"),
        ("erm", {"data.name": "rcmnist"}, "rcmnist has no places, so no method has a map of it"),
    ],
)
def test_the_advice_is_a_command_that_trains(algorithm, changes, advice):
    sections = {"algorithm": algorithm}
    for key, value in changes.items():
        section, _, name = key.partition(".")
        sections.setdefault(section, {})[name] = value
    experts = 4 if algorithm == "moge" else 0
    network = SimpleNamespace(routes_places=bool(experts))
    asked = SimpleNamespace(config=read_config(sections), num_experts=experts, model=network)
    with pytest.raises(CheckpointError) as caught:
        check_routes_by_place(asked, "x.ckpt")
    assert str(caught.value).rpartition("; ")[2].removeprefix("give a checkpoint of ") == advice
    if advice.startswith("geomoe train"):
        settings, rest, faults = split_words(advice.split()[2:])
        assert (faults, len(rest)) == ([], 1)
        assert load_config(rest[0], None, settings).algorithm == "moge"


@pytest.mark.parametrize("bounds", [(5, 45, 15), ("5", "45", "15", "60"), (None,) * 4, (5, 45, 15, 1e400)])
def test_bounds_that_are_no_box_are_refused(bounds):
    with pytest.raises(CoordinateError, match="bounds: expected west"):
        MapOptions(bounds=bounds).grid()
