"""Many reports in one, against means and deviations taken by hand from the reports' own numbers."""

from __future__ import annotations

import itertools
import json
import statistics

import numpy as np
import pytest

from geomoe.errors import DataError
from geomoe.evaluation import summarize
from geomoe.evaluation.reports.records import read_records
from geomoe.metrics import domain_growth
from tests.pictures import number_of_colours

STYLES = ["art", "cartoon", "photo", "sketch"]
PART = {"macro_f1": 0.2, "calibration_error": 0.1, "accuracy_interval": None, "macro_f1_interval": None}


def part(accuracy, **more):
    return {**PART, "count": 10, "blocks": 10, "accuracy": accuracy, **more}


def write(folder, accuracy, *, held_out=None, seed=0, split_seed=0, num_domains=None, beside=None, **changes):
    """A report as ``geomoe evaluate`` writes it, with these accuracies: choice of experts -> share."""
    accuracy = accuracy if isinstance(accuracy, dict) else {"all": accuracy}
    scores = {
        choice: {
            "overall": part(value if held_out is None else 0.99),
            "worst": "art",
            "regions": {"art": part(value / 2), "photo": part(value)},
            "source": None,
            "source_worst": None,
            "held_out": None if held_out is None else part(value),
            "reliability": {"edges": [0, 1], "count": [10], "confidence": [0.5], "accuracy": [value]},
        }
        for choice, value in accuracy.items()
    }
    data = {
        "format": 1, "checkpoint": "best.ckpt", "algorithm": "erm", "seed": seed, "data": "pacs",
        "data_hash": "abc", "split": "held_out" if held_out else "test", "split_seed": split_seed,
        "held_out": held_out, "experts": "all", "classes": ["a", "b"], "regions": STYLES,
        "options": {"protocol": None, "domain_by": None, "num_environments": None, "num_domains": num_domains,
                    "budget": None},
        "backbone": "resnet50", "domain_unit": "style", "uncounted": [], "scores": scores,
        "bootstrap": {"samples": 0, "confidence": 0.95, "unit": "spatial block"}, "experts_report": None,
        "beside": {name: dict.fromkeys(scores, part(value)) for name, value in (beside or {}).items()},
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps({**data, **changes}))
    return folder


def rows_of(summary, number=0):
    return {row["method"]: row for row in summary.as_dict()["tables"][number]["rows"]}


def test_a_column_for_each_target_and_the_mean_over_them(tmp_path):
    """DomainBed: the mean over targets of each seed, then mean and deviation over seeds."""
    rng = np.random.default_rng(0)
    value = {key: float(rng.random()) for key in itertools.product(("erm", "moge"), STYLES, range(3))}
    for (method, style, seed), share in value.items():
        write(tmp_path / method / style / str(seed), share, held_out=style, seed=seed, algorithm=method)
    found = summarize([tmp_path])
    (table,) = found.as_dict()["tables"]
    assert table["columns"] == [*STYLES, "mean over targets"]
    assert (table["kind"], len(table["reports"])) == ("targets", 24)
    for method in ("erm", "moge"):
        cells = rows_of(found)[method]["cells"]
        for style in STYLES:
            own = [value[method, style, seed] for seed in range(3)]
            assert cells[style]["mean"] == pytest.approx(statistics.mean(own))
            assert cells[style]["std"] == pytest.approx(statistics.stdev(own))
            assert cells[style]["runs"] == 3
        means = [statistics.mean(value[method, style, seed] for style in STYLES) for seed in range(3)]
        assert cells["mean over targets"]["mean"] == pytest.approx(statistics.mean(means))
        assert cells["mean over targets"]["std"] == pytest.approx(statistics.stdev(means))
        text = f"{100 * statistics.mean(means):.1f} ± {100 * statistics.stdev(means):.1f}"
        assert text in found.table()
    assert "accuracy on the held-out style" in found.table()


def test_a_seed_that_lacks_a_target_is_named_and_not_in_the_mean(tmp_path):
    for style, seed in itertools.product(STYLES, range(2)):
        if (style, seed) != ("photo", 1):
            write(tmp_path / style / str(seed), 0.1 * (1 + STYLES.index(style)), held_out=style, seed=seed)
    found = summarize([tmp_path])
    row = rows_of(found)["erm"]
    assert row["lacks"] == ["photo: seed 1"]
    assert row["cells"]["photo"] == {"mean": pytest.approx(0.3), "std": None, "runs": 1}
    assert row["cells"]["mean over targets"] == {"mean": pytest.approx(0.25), "std": None, "runs": 1}
    assert "erm lacks photo: seed 1" in found.table()


def test_fewer_targets_than_domains_are_told(tmp_path):
    for style in STYLES[:2]:
        write(tmp_path / style, 0.5, held_out=style, beside={"target_in": 0.25})
    found = summarize([tmp_path])
    assert "targets: 2 of 4 styles" in found.table()
    assert found.as_dict()["tables"][0]["columns"] == ["art", "cartoon", "mean over targets"]
    assert rows_of(found)["erm"]["beside"]["target_in"]["mean over targets"]["mean"] == 0.25
    assert "beside it: split target_in" in found.table()


def test_the_shared_expert_is_a_method_of_its_own(tmp_path):
    for seed in range(2):
        write(tmp_path / str(seed), {"all": 0.6 + seed / 10, "shared": 0.4}, seed=seed, algorithm="moge")
    found = summarize([tmp_path / "0", tmp_path / "1" / "report.json"])
    (table,) = found.as_dict()["tables"]
    assert (table["kind"], table["columns"]) == (
        "metrics",
        ["accuracy", "worst", "macro_f1", "calibration_error"],
    )
    rows = rows_of(found)
    cell = rows["moge"]["cells"]["accuracy"]
    assert cell == {"mean": pytest.approx(0.65), "std": pytest.approx(0.1 / 2**0.5), "runs": 2}
    assert rows["moge"]["cells"]["worst"]["mean"] == pytest.approx(0.325)
    assert rows["moge-SE"]["cells"]["accuracy"]["std"] == 0
    assert "worst style" in found.table()


def test_a_run_whose_domains_are_all_uncounted_has_no_worst(tmp_path):
    """Whichever comes first, the mean of the others' worst stands, and says over how many runs."""
    for seed, share in enumerate((0.4, 0.6, 0.8)):
        write(tmp_path / str(seed), share, seed=seed)
    for lacks in range(3):
        file = tmp_path / str(lacks) / "report.json"
        text = file.read_text()
        data = json.loads(text)
        data["scores"]["all"]["worst"] = None
        file.write_text(json.dumps(data))
        cells = rows_of(summarize([tmp_path]))["erm"]["cells"]
        file.write_text(text)
        own = [share / 2 for seed, share in enumerate((0.4, 0.6, 0.8)) if seed != lacks]
        assert cells["worst"]["mean"] == pytest.approx(statistics.mean(own))
        assert (cells["worst"]["runs"], cells["accuracy"]["runs"]) == (2, 3)


def test_curves_over_the_number_of_source_domains(tmp_path):
    rng = np.random.default_rng(1)
    value = {key: float(rng.random()) for key in itertools.product((3, 9, 17), range(2), range(3))}
    for (domains, subset, seed), share in value.items():
        where = tmp_path / f"{domains}-{subset}-{seed}"
        write(where, share, held_out="art", num_domains=domains, split_seed=subset, seed=seed, data="rcmnist")
    found = summarize([tmp_path])
    (table,) = found.as_dict()["tables"]
    assert (table["kind"], table["columns"]) == ("growth", ["3", "9", "17"])
    row = rows_of(found)["erm"]
    mean = {n: statistics.mean(v for key, v in value.items() if key[0] == n) for n in (3, 9, 17)}
    assert {int(name): cell["mean"] for name, cell in row["cells"].items()} == pytest.approx(mean)
    peak = max(mean.values())
    assert row["growth"]["peak"] == pytest.approx(peak)
    assert row["growth"]["drop"] == pytest.approx(peak - mean[17])
    assert row["growth"]["relative_drop"] == pytest.approx((peak - mean[17]) / peak)
    assert row["growth"]["average"] == pytest.approx(statistics.mean(mean.values()))
    same = domain_growth({n: [v for key, v in value.items() if key[0] == n] for n in (3, 9, 17)})
    assert row["growth"]["last"] == same.last
    assert f"{100 * peak:.1f}" in found.table()


def test_tables_of_different_data_splits_protocols_and_backbones(tmp_path):
    write(tmp_path / "a", 0.5)
    write(tmp_path / "b", 0.5, data="fmow", options={"protocol": "time_after_2014"})
    write(tmp_path / "c", 0.5, split="val")
    write(tmp_path / "d", 0.7, backbone="deit_small")
    found = summarize([tmp_path])
    assert [(table["data"], table["split"], table["protocol"]) for table in found.as_dict()["tables"]] == [
        ("fmow", "test", "protocol time_after_2014"), ("pacs", "test", ""), ("pacs", "val", ""),
    ]  # fmt: skip
    assert set(rows_of(found, 1)) == {"erm, deit_small", "erm, resnet50"}


@pytest.mark.slow
def test_files(tmp_path):
    for style in STYLES:
        write(tmp_path / "runs" / style, 0.5, held_out=style)
    for domains in (3, 5):
        write(tmp_path / "runs" / str(domains), 0.5, held_out="art", num_domains=domains, data="rcmnist")
    found = summarize([tmp_path / "runs"])
    files = found.save(tmp_path / "summary")
    assert {path.name for path in files} == {
        "summary.json", "pacs-held_out-targets.png", "rcmnist-held_out-growth.png",
    }  # fmt: skip
    assert json.loads((tmp_path / "summary" / "summary.json").read_text()) == found.as_dict()
    for path in files:
        if path.suffix == ".png":
            assert number_of_colours(path) > 10


def test_refusals(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: no report\.json in it"):
        summarize([tmp_path / "empty"])
    with pytest.raises(DataError, match="cannot read a report"):
        summarize([tmp_path / "nothing.json"])
    write(tmp_path / "a", 0.5)
    write(tmp_path / "b", 0.5)
    with pytest.raises(DataError, match=r"b/report\.json: the same erm run \(seed 0\) as .*a/report\.json"):
        summarize([tmp_path])
    assert len(summarize([tmp_path / "a", tmp_path / "a" / "report.json"]).tables) == 1  # one file
    write(tmp_path / "b", 0.5, algorithm="moge", data_hash="xyz")
    with pytest.raises(DataError, match="was judged on other data than"):
        summarize([tmp_path])
    old = json.loads((tmp_path / "a" / "report.json").read_text())
    old.pop("options")
    (tmp_path / "a" / "report.json").write_text(json.dumps(old))
    with pytest.raises(DataError, match="written by an older geomoe"):
        summarize([tmp_path / "a"])


def test_reports_behind_links_count_once(tmp_path, caplog):
    write(tmp_path / "store/seed1", 0.6, seed=1)
    write(tmp_path / "runs/seed0", 0.4, seed=0)
    (tmp_path / "runs/seed1").symlink_to(tmp_path / "store/seed1")
    (tmp_path / "runs/again").symlink_to(tmp_path / "runs/seed0")
    (tmp_path / "runs/gone").symlink_to(tmp_path / "nothing")
    files = {record.file for record in read_records([tmp_path / "runs"])}
    assert len(files) == 2
    assert (tmp_path / "runs/seed1/report.json").as_posix() in files
    assert f"{tmp_path / 'runs/gone'}: left out: a link to nothing" in caplog.text
