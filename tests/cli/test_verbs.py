"""The verbs on real data: each does its work once, end to end, with small networks."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tomllib
from pathlib import Path

import pytest

from geomoe.cli import main


def answer(capsys, *argv):
    """What a command prints as JSON."""
    capsys.readouterr()
    assert main([str(word) for word in argv] + ["--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_dry_run_goes_all_the_way(capsys, tmp_path):
    argv = ["train", "bluemarble", "--dry-run", "--output", "runs", "--quiet", "--data.batch_size", "16"]
    result = answer(capsys, *argv, "--held-out", "Asia", "--trainer.threads", "1")
    assert result["run"] == "runs/bluemarble/moge/held-out-asia-seed0-dry"
    assert (tmp_path / result["best"]).is_file()
    assert result["metrics"]["step"] == 2
    assert 0 <= result["metrics"]["test_acc"] <= 1


@pytest.mark.slow
def test_evaluate(capsys, tmp_path, checkpoints):
    argv = ["evaluate", "--checkpoint", checkpoints["moge"], "--split", "val", "--experts", "shared"]
    report = answer(capsys, *argv, "--output", "report")
    assert (report["split"], report["experts"], list(report["scores"])) == ("val", "shared", ["shared"])
    assert json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8")) == report
    assert main([str(word) for word in argv]) == 0
    text = capsys.readouterr().out
    assert all(region in text for region in report["regions"])


@pytest.mark.slow
def test_diagnose(capsys, tmp_path, checkpoints):
    argv = ["diagnose", "--checkpoint", checkpoints["moge"], "--samples", "80", "--permutations", "3"]
    report = answer(capsys, *argv, "--split", "test", "--km", "5", "--seed", "4", "--output", "out")
    assert json.loads((tmp_path / "out" / "diagnosis.json").read_text(encoding="utf-8")) == report
    assert (tmp_path / "out" / "diagnosis.html").is_file()
    assert (report["samples"], report["settings"]["split"], report["settings"]["km"]) == (80, "test", [5.0])
    assert report["settings"]["seed"] == 4
    assert "jittered by 5 km" in [one["what"] for one in report["found"][0]["geography"]]
    assert main([str(word) for word in argv] + ["--km", ""]) == 0
    text = capsys.readouterr().out
    assert "A: moge (encoder sh), seed 0" in text
    assert "jittered" not in text


@pytest.mark.slow
def test_map_experts(capsys, tmp_path, checkpoints):
    argv = ["map-experts", "--checkpoint", str(checkpoints["moge"]), "--output", "map", "--no-points"]
    bounds = ["--bounds", "-10", "35", "30", "60", "--step", "5"]
    result = answer(capsys, *argv, *bounds)
    assert {path.suffix for path in (tmp_path / "map").iterdir()} == {
        ".html",
        ".tif",
        ".parquet",
        ".png",
        ".json",
        ".qml",
        ".xml",
    }
    assert sorted(tmp_path / name for name in result["files"]) == sorted((tmp_path / "map").iterdir())
    assert len(result["blocks"]) == 2
    assert "points" not in result
    assert main([*argv, *bounds]) == 0
    text = capsys.readouterr().out
    assert "map/experts.html" in text
    assert "dominant expert's share of the land" in text
    for block in result["blocks"]:
        for what, shared in block["mutual_information"].items():
            assert f"dominant expert and {what} share {shared['bits']:.2f} bits" in text
    assert list(result["blocks"][0]["mutual_information"]) == ["land cover", "region"]


@pytest.mark.slow
def test_map_experts_across_the_antimeridian(capsys, tmp_path, checkpoints):
    argv = ["map-experts", "--checkpoint", str(checkpoints["moge"]), "--no-points", "--step", "5"]
    for folder, east in (("a", "-170"), ("b", "190")):
        answer(capsys, *argv, "--output", folder, "--bounds", "170", "-25", east, "0")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.slow
@pytest.mark.long
def test_map_experts_looks_for_the_data_where_told(capsys, tmp_path, checkpoints, info, monkeypatch):
    """The image that was cut there is read, and none is cut in the cache."""
    (tmp_path / "data").mkdir()
    for path in Path(os.environ["GEOMOE_CACHE"]).glob("*.npy"):
        shutil.copy(path, tmp_path / "data")
    monkeypatch.setenv("GEOMOE_CACHE", str(tmp_path / "cache"))
    argv = ["map-experts", "--checkpoint", checkpoints["moge"], "--output", "map", "--step", "10"]
    result = answer(capsys, *argv, "--data-root", "data", "--device", "cpu")
    assert [path.suffix for path in (tmp_path / "data").iterdir()] == [".npy"]
    assert not list(tmp_path.glob("cache/**/*.npy"))
    assert set(result["points"]) == {"train", "test"}


def test_doctor(capsys, tmp_path):
    facts = answer(capsys, "doctor")
    assert set(facts) == {"versions", "device", "extras", "data", "weights", "offline", "output", "problems"}
    assert facts["problems"] == []
    assert facts["versions"]["torch"]
    assert facts["offline"]["HF_HUB_OFFLINE"] is True  # the tests are
    assert list(tmp_path.iterdir()) == []
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("no problems found")


def test_doctor_knows_every_dependency():
    from geomoe.doctor import CORE, EXTRAS

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    names = [re.match(r"[\w-]+", line)[0].replace("_", "-") for line in project["dependencies"]]
    assert sorted(CORE) == sorted(names)
    for extra, (package, _) in EXTRAS.items():
        assert [re.match(r"[\w-]+", line)[0] for line in project["optional-dependencies"][extra]] == [package]


def test_doctor_finds_what_is_wrong(capsys, tmp_path, monkeypatch):
    from geomoe import doctor

    (tmp_path / "file").touch()
    monkeypatch.setattr(doctor, "CORE", ("torch", "no-such-package"))
    monkeypatch.setattr(doctor, "EXTRAS", {"demo": ("no-such-data", "the image")})
    monkeypatch.setenv("GEOMOE_CACHE", str(tmp_path / "file" / "cache"))
    assert main(["doctor", "--output", "file/runs", "--json"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert facts["extras"]["demo"] == 'not installed: pip install "geomoe[demo]" for the image'
    assert len(facts["problems"]) == 3
    assert "no-such-package is not installed" in facts["problems"]
    assert "is a file" in facts["data"]["problem"]
    assert "is a file" in facts["output"]["problem"]


def test_doctor_finds_a_damaged_cache(capsys, tmp_path, monkeypatch):
    from geomoe.datasets.bluemarble.crops import cache_path

    monkeypatch.setenv("GEOMOE_CACHE", str(tmp_path))
    cache_path().write_bytes(b"half")
    assert main(["doctor", "--json"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem.startswith(f"{cache_path()}: the bluemarble cache is corrupt or truncated")
    assert cache_path().read_bytes() == b"half"


@pytest.fixture
def dark(monkeypatch, tmp_path):
    """A folder in which nothing can be looked at, for a user who is not root."""
    folder, stat = tmp_path / "dark", Path.stat
    folder.mkdir()

    def refusing(path, **options):
        if folder in path.parents:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refusing)
    return folder


def test_doctor_says_what_cannot_be_opened(dark, capsys, monkeypatch):
    monkeypatch.setenv("GEOMOE_CACHE", str(dark / "cache"))
    assert main(["doctor", "--output", str(dark / "runs"), "--json"]) == 1
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert problems == [
        f"{dark / part}: cannot be written: Permission denied; choose another output"
        for part in ("cache", "runs")
    ]


def test_an_output_in_a_folder_without_rights(dark, capsys, checkpoints):
    argv = ["--checkpoint", str(checkpoints["moge"]), "--output", str(dark / "m"), "--no-points"]
    assert main(["map-experts", *argv]) == 2
    assert capsys.readouterr().err == (
        f"geomoe: error: {dark / 'm'}: cannot be written: Permission denied; choose another output\n"
    )


def test_an_input_in_a_folder_without_rights(dark, capsys, checkpoints, tmp_path):
    argv = ["predict", str(dark / "a.tif"), "--checkpoint", str(checkpoints["moge"]), "--output", "o.csv"]
    assert main(argv) == 2
    assert capsys.readouterr().err.startswith(
        f"geomoe: error: {dark / 'a.tif'}: Permission denied; change its permissions"
    )
    assert not (tmp_path / "o.csv").exists()


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", True), ("true", True), ("y", True), ("0", False), ("Off", False), ("", False)],
)
def test_doctor_reads_the_offline_switches(monkeypatch, value, expected):
    from geomoe.doctor import offline

    monkeypatch.setenv("GEOMOE_OFFLINE", value)
    assert offline()["GEOMOE_OFFLINE"] is expected
