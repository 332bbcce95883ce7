"""Results over several held-out domains, growth curves, intervals, tables and the figure."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import zlib
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from scipy import stats

from geomoe.bench.planning.plan import make_plan
from geomoe.bench.planning.spec import spec_of
from geomoe.bench.results.figure import cost_drawing, cost_figure
from geomoe.bench.results.gather import gather
from geomoe.bench.results.latex import latex
from geomoe.bench.results.output import markdown_page, page, write_results
from geomoe.bench.results.tables import csv_text, growth_table, main_table, note, run_table
from geomoe.bench.running.counts import Counts, GroupCounts, write_counts
from geomoe.bench.running.run_values import Blocks, Cost, Done, Failed, read_done, write_value
from geomoe.errors import DataError
from geomoe.metrics import domain_growth, holm
from geomoe.training.runfolder import RunFolder

COST = Cost(0.1, 5, 2e9, 1000, {"all": 1e6}, 3.0, 2.9, 1.0, "1 x cpu")


def write(plan, run, accuracy, **changes):
    """What a finished run leaves, with 40 samples in each of 25 blocks."""
    generator = np.random.default_rng(zlib.crc32(run.name.encode()))
    correct = generator.binomial(40, accuracy, 25)
    done = Done(
        selected_by="val_acc, best epoch",
        validation=accuracy,
        epoch=1,
        drawn={},
        data_hash="a" * 64,
        split="test",
        held_out=run.held_out,
        scores={"all": {"accuracy": correct.sum() / 1000, "macro_f1": accuracy, "calibration_error": 0.1}},
        blocks=Blocks(tuple(range(25)), (40,) * 25, {"all": tuple(correct.tolist())}),
        cost=COST,
    )
    folder = RunFolder(plan.folder(run))
    folder.start(plan.config(run))
    folder.finish()
    write_counts(folder.path, counts_of({0: accuracy}))
    write_value(folder.path / "bench.json", replace(done, **changes))


def counts_of(shares, domains=False):
    """1000 samples of one class in each block, with this accuracy and F1; they have one domain, or none."""
    own = tuple(shares)
    right = {"all": tuple(round(1000 * share) for share in shares.values())}
    groups, size = (0,) * len(own), (1000,) * len(own)
    nowhere = GroupCounts((), (), (), {"all": ()})
    return Counts(
        GroupCounts(own, groups, size, right) if domains else nowhere,
        GroupCounts(own, groups, size, right, {"all": size}),
    )


def plan_of(folder, **changes):
    spec = {
        "data": "bluemarble",
        "algorithms": ["erm", "irm", "vrex"],
        "budget": 10,
        "seeds": 3,
        "bootstrap": 200,
    }
    return make_plan(spec_of({**spec, **changes}), Path(folder))


def filled(folder, **changes):
    plan = plan_of(folder, **changes)
    level = {"erm": 0.5, "irm": 0.55, "vrex": 0.7, "coral": 0.6}
    for run in plan.runs:
        write(plan, run, level[plan.rows[run.label].algorithm])
    return plan


def test_the_mean_over_targets_is_taken_within_a_seed(tmp_path):
    plan = filled(tmp_path, held_out=["Asia", "Europe"])
    results = gather(plan)
    value = {(run.label, run.held_out, run.seed): run.scores["all"]["accuracy"] for run in results.runs}
    for row in results.rows:
        seeds = [
            np.mean([value[row.label, target, seed] for target in ("Asia", "Europe")]) for seed in range(3)
        ]
        number = row.scores["accuracy"]
        assert (number.mean, number.sd, number.count) == (
            pytest.approx(np.mean(seeds)),
            pytest.approx(np.std(seeds, ddof=1)),
            3,
        )
        for target in ("Asia", "Europe"):
            assert row.targets[target].mean == pytest.approx(
                np.mean([value[row.label, target, seed] for seed in range(3)])
            )
        assert (row.finished, row.planned) == (6, 6)
    tested = {row.label: row.difference for row in results.rows if row.difference is not None}
    assert [tested[name].p_holm for name in tested] == holm([tested[name].p for name in tested])
    assert results.compared == 2
    heads = main_table(results).heads
    assert (*heads[4:6], heads[2]) == ("Asia", "Europe", "held-out accuracy")


@pytest.mark.parametrize("score", ["worst", "worst_class", "macro_f1"])
def test_rows_are_ranked_and_compared_by_the_score(score, tmp_path):
    plan = plan_of(tmp_path, score=score)
    value = {  # the best by accuracy is the worst by the score
        (label, seed): 0.3 + 0.1 * place + 0.01 * seed * (place + 1)
        for place, label in enumerate(("vrex", "irm", "erm"))
        for seed in range(3)
    }
    for run in plan.runs:
        write(plan, run, {"erm": 0.5, "irm": 0.6, "vrex": 0.7}[run.label])
        file = plan.folder(run) / "bench.json"
        found = json.loads(file.read_text())
        own = value[run.label, run.seed]
        found["scores"]["all"] |= {"worst": own, "worst_class": own, "macro_f1": own}
        file.write_text(json.dumps(found))
        write_counts(plan.folder(run), counts_of({0: own - 0.1, 1: own + 0.1}, domains=True))
    results = gather(plan)
    rows = {row.label: row for row in results.rows}
    assert {label: row.rank for label, row in rows.items()} == {"erm": 1, "irm": 2, "vrex": 3}
    gaps = [value["vrex", seed] - value["erm", seed] for seed in range(3)]
    found = rows["vrex"].difference
    assert found.mean == pytest.approx(np.mean(gaps))
    assert found.p == pytest.approx(stats.ttest_1samp(gaps, 0).pvalue)
    assert found.interval == pytest.approx([found.mean] * 2)  # all runs get the same blocks
    mean = rows["vrex"].scores[score].mean
    assert rows["vrex"].interval == pytest.approx((mean - 0.1, mean + 0.1))
    assert f"{score}_low" in csv_text(results).splitlines()[0].split(",")
    table = main_table(results)
    names = {"worst": "worst domain", "worst_class": "worst class", "macro_f1": "macro F1"}
    assert table.heads[2] == names[score]
    assert [row[0].text for row in table.rows if row[2].best] == ["erm"]
    assert f"Ranks, differences and intervals: {table.heads[2]}." in table.note
    assert "200 resamples" in table.note
    (plan.folder(plan.runs[0]) / "counts.json").unlink()
    with pytest.raises(DataError, match=r"counts\.json: no such file"):
        gather(plan)
    gather(plan_of(tmp_path, score=score, bootstrap=0))  # without intervals nothing is missing


def test_data_without_domains_has_no_worst_one(tmp_path):
    results = gather(filled(tmp_path, score="worst"))
    assert [(row.rank, row.difference, row.interval) for row in results.rows] == [(None, None, None)] * 3


@pytest.mark.slow
@pytest.mark.parametrize("score", ["accuracy", "macro_f1"])
def test_growth_is_that_of_the_metric(score, tmp_path):
    sources = [["Europe"], ["Europe", "Africa"], ["Europe", "Africa", "Oceania"]]
    changes = {"held_out": "Asia", "grid": {"data.train_domains": sources}, "algorithms": ["erm", "mixstyle"]}
    plan = plan_of(tmp_path, **changes, score=score)
    for run in plan.runs:
        domains = plan.rows[run.label].domains
        write(plan, run, 0.4 + 0.1 * domains - 0.06 * (domains == 3) * 3)  # accuracy: of a draw at this level
    results = gather(plan)
    assert [row.label for row in results.growth] == ["erm", "mixstyle"]
    for row in results.growth:
        own = [one for one in results.rows if plan.rows[one.label].variant == row.label]
        found = domain_growth({k + 1: [one.scores[score].mean] for k, one in enumerate(own)})
        assert row.scores == {str(k + 1): one.scores[score] for k, one in enumerate(own)}
        assert (row.peak, row.peak_domains, row.last, row.drop) == (found.peak, 2, found.last, found.drop)
    by_label = {row.label: row for row in results.rows}
    assert by_label["mixstyle-train_domainseurope"].difference is not None
    assert {row.rank for row in results.rows} <= {1.0, 4 / 3, 1.5, 5 / 3, 2.0}  # among two rows each
    assert "## Growth" in markdown_page(results)
    told = {"accuracy": "Asia (held out)", "macro_f1": "Asia (held out, macro F1)"}[score]
    assert growth_table(results).note.startswith(f"{told}, percent. Peak: ")
    assert "Growth of the number" in page(results)


def test_the_best_of_a_column_is_marked_unless_all_are_equal(tmp_path):
    table = main_table(gather(filled(tmp_path)))
    marked = {head: [row[0].text for row in table.rows if row[k].best] for k, head in enumerate(table.heads)}
    assert marked["accuracy"] == marked["macro F1"] == ["vrex"]
    assert marked["ECE"] == []  # 0.1 of all of them


@pytest.mark.parametrize("trials", [1, 2])
def test_trials_are_told_where_there_are_several(trials, tmp_path):
    results = replace(gather(filled(tmp_path)), trials=trials)
    assert ("drawn" in run_table(results).heads) == ("chosen" in run_table(results).heads) == (trials > 1)
    assert {len(row) for row in run_table(results).rows} == {len(run_table(results).heads)}


def test_unfinished_rows_say_so(tmp_path):
    plan = filled(tmp_path)
    (plan.folder(plan.runs[-1]) / "done").unlink()
    failed = Failed("line one", "error", 3, 1.0, "here")
    write_value(plan.folder(plan.runs[-2]) / "failed.json", failed)
    (plan.folder(plan.runs[-2]) / "done").unlink()
    results = gather(plan)
    vrex, irm = results.rows[2], results.rows[1]
    assert (vrex.finished, vrex.planned, vrex.rank, vrex.difference) == (2, 3, None, None)
    assert (irm.finished, irm.failed) == (2, 1)
    cells = [row[1].text for row in main_table(results).rows]
    assert cells == ["3", "2 of 3 (1 failed)", "2 of 3"]
    assert "failed, 3 x: line one" in markdown_page(results)


def test_nothing_is_finished(tmp_path):
    results = gather(plan_of(tmp_path))
    assert all(row.cost is None and not row.scores for row in results.rows)
    assert cost_figure(results) is None
    assert "0 of 3" in markdown_page(results)
    assert "<img" not in page(results)
    assert len(csv_text(results).splitlines()) == 4


def test_what_people_write_stays_text(tmp_path):
    """Errors and domains with marks of HTML, Markdown and LaTeX."""
    plan = plan_of(tmp_path, data="folder", algorithms=["erm"], held_out="<b>&_50%|", seeds=1)
    folder = plan.folder(plan.runs[0])
    folder.mkdir(parents=True)
    write_value(folder / "failed.json", Failed("<script>x</script> | 5 % of a_b", "error", 1, 1.0, "here"))
    results = gather(plan)
    html, text = page(results), markdown_page(results)
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert r"<script>x</script> \| 5 % of a_b" in text
    assert r"$<$b$>$\&\_50\%\textbar{}" in latex(main_table(results), results)


@pytest.fixture(scope="module")
def strange(tmp_path_factory):
    """Results with strange labels and folders; the first row has one run, the others three."""
    results = gather(filled(tmp_path_factory.mktemp("strange")))
    first, *others = results.rows
    label, folder = "<b>&_50%|-3~^\\{}$#", "runs/a b/\u00e9_50%#x~&{}$^\\/-1"
    runs = [replace(run, folder=folder) if run.name in first.runs else run for run in results.runs]
    rows = [
        replace(first, label=label, runs=first.runs[:1]),
        *(replace(r, label=f"{r.label}_#~%") for r in others),
    ]
    return replace(results, rows=tuple(rows), runs=tuple(runs)), folder


def test_links_of_latex(strange):
    """Every number links: to the report of one run, to the list of several; nothing in a link is TeX's."""
    results, folder = strange
    text = latex(main_table(results), results)
    lines = [line for line in text.splitlines() if "&" in line][1:4]
    for line, row, cells in zip(lines, results.rows, main_table(results).rows, strict=True):
        links = re.findall(r"\\href\{\\benchfolder/(.*?)\}\{", line)
        assert len(links) == sum(cell.link is not None for cell in cells) >= 9
        assert len(set(links)) == 1
        assert re.fullmatch(r"(?:[\w./-]|\\[%#])+", links[0].replace("\\_", "_"), flags=re.ASCII)
        path, _, place = re.sub(r"\\(.)", r"\1", links[0]).partition("#")
        if len(row.runs) == 1:
            assert (unquote(path), place) == (f"{folder}/report.json", "")
        else:
            assert (path, unquote(place)) == ("bench.html", f"runs-of-{row.label}")
    plain = r"$<$b$>$\&\_50\%\textbar{}-3\textasciitilde{}\textasciicircum{}\textbackslash{}\{\}\$\#"
    assert lines[0].startswith(f"{plain} & ")


def test_minus_and_dash_of_latex(strange):
    results, _ = strange
    lower = replace(results.rows[1].difference, mean=-0.012, interval=(-0.02, 0.01))
    rows = (results.rows[0], replace(results.rows[1], difference=lower), results.rows[2])
    results = replace(results, rows=rows)
    first, second = [line for line in latex(main_table(results), results).splitlines() if "&" in line][1:3]
    assert first.count(" & -- & ") >= 2  # the baseline has no difference
    assert "{$-$1.2}" in second
    assert "{$-$2.0 to 1.0}" in second


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
@pytest.mark.parametrize("package", ["", "\\usepackage{hyperref}"])
def test_latex_compiles(package, strange, tmp_path):
    results, _ = strange
    (tmp_path / "table.tex").write_text(latex(main_table(results), results), encoding="utf-8")
    lines = [
        "\\documentclass{article}\\pdfcompresslevel=0\\pdfobjcompresslevel=0",
        f"\\usepackage{{booktabs,graphicx}}{package}\\begin{{document}}",
        "\\input{table.tex} \\resizebox{\\textwidth}{!}{\\input{table.tex}}\\end{document}",
    ]
    (tmp_path / "all.tex").write_text("\n".join(lines), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    pdf = (tmp_path / "all.pdf").read_bytes()
    links = set(re.findall(rb"/URI\((.*?)\)>>", pdf))
    wanted = {b"./runs/a%20b/%C3%A9_50%25%23x%7E%26%7B%7D%24%5E%5C/-1/report.json"}
    wanted |= {b"./bench.html#runs-of-irm_%23%7E%25", b"./bench.html#runs-of-vrex_%23%7E%25"}
    assert links == (wanted if package else set())


def test_one_seed_has_no_deviation_and_no_p(tmp_path):
    many = gather(filled(tmp_path))
    assert f"deviation over {len(many.seeds)} seeds" in note(many)
    assert f"Holm over {many.compared}." in note(many)
    text = note(replace(many, seeds=many.seeds[:1], compared=0))
    assert text.startswith("Percent, one seed. ")
    assert "which needs two seeds or more." in text


@pytest.mark.slow
def test_the_figure_is_the_same_every_time(tmp_path):
    results = gather(filled(tmp_path))
    first, second = (cost_drawing(cost_figure(results)).markup for _ in range(2))
    assert first == second
    assert first.count("<svg") == 1
    for row in results.rows:
        assert first.count(f">{row.label} (") == 3  # a mark in each panel says what it is
    assert json.loads(json.dumps(results.as_dict())) == results.as_dict()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"macro_f1": 0.5',
            '"macro_f1": 7.5',
            r"scores\.all\.macro_f1: expected a share",
        ),
        (
            '"accuracy": 0.',
            '"accuracy": 0.00',
            r"scores\.all\.accuracy: expected 0\.\d+, as",
        ),
        ('"count": [\n   40', '"count": [\n   0', r"blocks\.count: expected a number of samples"),
        ('"all": [\n', '"all": [\n    99,\n', r"blocks\.correct\.all: expected 0 to the count of each block"),
    ],
)
def test_numbers_that_cannot_be_are_refused(tmp_path, old, new, message):
    plan = filled(tmp_path)
    path = plan.folder(plan.runs[0]) / "bench.json"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        gather(plan)
    path.write_text(text, encoding="utf-8")
    gather(plan)
    (path.parent / "report.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"report\.json: .*remove .*bench\.json, and the bench judges"):
        gather(plan)


@pytest.mark.slow
def test_a_label_that_a_spreadsheet_would_run(tmp_path):
    results = gather(filled(tmp_path))
    first = replace(results.rows[0], label="=cmd|x", scores={"@A1": results.rows[0].scores["accuracy"]})
    results = replace(results, rows=(first, *results.rows[1:]))
    plain, safe = csv_text(results), csv_text(results, safe_csv=True)
    assert plain.splitlines()[1].startswith("=cmd|x,")
    assert safe.splitlines()[1].startswith("'=cmd|x,")
    assert safe.replace("'=cmd", "=cmd").replace("'@A1", "@A1") == plain
    (tmp_path / "out").mkdir()
    write_results(results, tmp_path / "out", safe_csv=True)
    assert (tmp_path / "out" / "table.csv").read_text() == safe


@pytest.mark.parametrize("text", ["", '{"format": 1', "[1"])
def test_a_damaged_record_says_what_to_do(text, tmp_path):
    (tmp_path / "bench.json").write_text(text, encoding="utf-8")
    with pytest.raises(
        DataError, match=r"bench\.json: cannot be read as JSON: .*; remove it, and the bench judges"
    ):
        read_done(tmp_path)
