"""The table of a recorded bench in docs/bench.md: of the shipped spec, whole, and beside its command."""

from __future__ import annotations

from dataclasses import replace

import pytest

from geomoe.bench.planning.plan import make_plan
from geomoe.bench.planning.shipped import shipped_specs
from geomoe.bench.planning.spec import read_spec
from geomoe.bench.results.gather import gather
from geomoe.catalogue import ALGORITHMS
from tests.bench.results.test_results import write
from tools import bench_page


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Results as the command would leave them, with made-up scores."""
    plan = make_plan(read_spec(shipped_specs()[bench_page.SPEC]), tmp_path_factory.mktemp("bench"))
    plan = replace(plan, spec=replace(plan.spec, bootstrap=20))
    for number, run in enumerate(plan.runs):
        write(plan, run, 0.3 + 0.01 * number)
    return gather(plan)


@pytest.mark.slow
def test_the_table_has_every_method_and_its_command(results):
    bench_page.check(results, bench_page.SPEC)
    text = bench_page.filled("# Page\n\ntext\n", results, bench_page.SPEC)
    assert text.startswith(f"# Page\n\ntext\n\n{bench_page.HEADING}\n")
    assert f"geomoe bench {bench_page.SPEC} --output DIR\n" in text
    rows = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line.startswith("| ")]
    twins = {row.label for row in results.rows if row.twin}
    assert [row for row in rows[2:] if row not in twins] == [*ALGORITHMS, "erm-swad"]
    assert set(rows) >= twins >= {"erm-parameters-of-moge", "erm-flops-of-moge"}
    best = max(results.rows, key=lambda row: row.scores["accuracy"].mean)
    assert f"| {best.label} | **{100 * best.scores['accuracy'].mean:.1f}** |" in text
    assert "](" not in text.partition(bench_page.HEADING)[2]  # no links into a folder that is not here


def test_a_page_with_marks_keeps_what_stands_around_them(results):
    once = bench_page.filled("# Page\n", results, bench_page.SPEC) + "\n## After\n"
    assert bench_page.filled(once, results, bench_page.SPEC) == once
    with pytest.raises(ValueError, match="once each"):
        bench_page.filled(once + bench_page.marks()[0], results, bench_page.SPEC)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda r: {"steps": 4}, "has budget 300; these results have 4"),
        (lambda r: {"seeds": (0, 1)}, r"has seeds \(0,\); these results have"),
        (lambda r: {"rows": r.rows[1:]}, "other rows: erm"),
        (lambda r: {"rows": (replace(r.rows[0], finished=0), *r.rows[1:])}, "not finished: erm"),
    ],
)
def test_results_of_another_command_are_refused(change, line, results):
    with pytest.raises(ValueError, match=line):
        bench_page.check(replace(results, **change(results)), bench_page.SPEC)
