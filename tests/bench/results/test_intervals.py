"""Intervals of every score that a bench ranks by, against loops over resamples in float64."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score

from geomoe import metrics
from geomoe.bench.results.intervals import difference_interval, mean_interval, score_of, sums
from geomoe.bench.results.known import read_counts
from geomoe.bench.running.counts import Counts, GroupCounts, count, write_counts
from geomoe.bench.running.run_values import Blocks, Cost, Done
from geomoe.errors import DataError, InputError
from geomoe.inference import Predictions

DOMAINS = ("north", "south", "other", "east")
COST = Cost(0.1, 5, 2e9, 1000, {"all": 1e6}, 3.0, 2.9, 1.0, "1 x cpu")


def answers(seed, n=160, blocks=9):
    """Predictions on the same samples, whatever the seed; 5 classes of which one has no label."""
    fixed, own = np.random.default_rng(0), np.random.default_rng(seed)
    block = fixed.integers(blocks, size=n) * 7 - 20
    label, domain = fixed.choice([0, 1, 3, 4], size=n), np.where(block == 1, 3, fixed.integers(-1, 3, size=n))
    predicted = np.where(own.random(n) < 0.6, label, own.integers(5, size=n))
    return Predictions(
        index=np.arange(n),
        lonlat=np.zeros((n, 2)),
        domain=domain,
        block=block,
        label=label,
        logits=np.eye(5, dtype=np.float32)[predicted],
        weights=np.zeros((0, n, 0), dtype=np.float32),
    )


def counted(one, score, uncounted=("other",)):
    blocks, which = np.unique(one.block, return_inverse=True)
    correct = np.bincount(which, one.correct).astype(int)
    columns = (tuple(column.tolist()) for column in (blocks, np.bincount(which), correct))
    block, size, right = columns
    return sums(Blocks(block, size, {"all": right}), count({"all": one}, DOMAINS, uncounted), "all", score)


def plain_score(one, rows, score):
    """The score of some samples, some of them several times, without anything of geomoe."""
    label, predicted, domain = one.label[rows], one.logits.argmax(1)[rows], one.domain[rows]
    right = (label == predicted).astype(np.float64)
    if score == "accuracy":
        return right.mean()
    if score == "worst":
        found = [right[domain == k].mean() for k in (0, 1, 3) if (domain == k).any()]
        return min(found) if found else np.nan
    if score == "worst_class":
        return min(right[label == k].mean() for k in np.unique(label))
    return f1_score(label, predicted, labels=np.unique(label), average="macro", zero_division=0)


def loop(value, block, resamples):
    """Draw whole blocks, one resample after the other."""
    names = np.unique(block)
    draws = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), resamples)
    found = []
    for draw in draws:
        rows = [np.flatnonzero(block == n).repeat(k) for n, k in zip(names, draw, strict=True)]
        found.append(value(np.concatenate(rows)))
    found = np.array(found)
    return tuple(np.quantile(found[~np.isnan(found)], [0.025, 0.975]))


@pytest.mark.parametrize("score", ["accuracy", "worst", "worst_class", "macro_f1"])
def test_intervals_are_those_of_a_loop_over_resamples(score):
    one, other = answers(1), answers(2)
    own, base = counted(one, score), counted(other, score)
    every = np.arange(len(one))
    assert score_of(own) == pytest.approx(plain_score(one, every, score))
    values = {
        "one": (mean_interval([own], 80), lambda r: plain_score(one, r, score)),
        "mean": (
            mean_interval([own, base], 80),
            lambda r: (plain_score(one, r, score) + plain_score(other, r, score)) / 2,
        ),
        "difference": (
            difference_interval([(own, base)], 80),
            lambda r: plain_score(one, r, score) - plain_score(other, r, score),
        ),
    }
    for found, value in values.values():
        assert found == pytest.approx(loop(value, one.block, 80))
    assert difference_interval([(own, own)], 80) == (0.0, 0.0)


def test_a_domain_that_a_resample_does_not_have_is_not_its_worst():
    """East lies in one block, and all of its answers are wrong: it is the worst wherever it is drawn."""
    one = answers(3)
    wrong = np.eye(5, dtype=np.float32)[(one.label + 1) % 5]
    one = replace(one, logits=np.where((one.domain == 3)[:, None], wrong, one.logits))
    assert set(one.block[one.domain == 3]) == {1}
    found = mean_interval([counted(one, "worst")], 300)
    assert found == pytest.approx(loop(lambda r: plain_score(one, r, "worst"), one.block, 300))
    assert found[0] == 0 < found[1]


def test_runs_on_other_samples_are_resampled_together():
    """Two held-out domains have blocks in common and blocks of their own."""
    one, other = answers(1), answers(2)
    first, second = one.take(one.block < 20), other.take(other.block > -10)
    found = mean_interval([counted(first, "macro_f1"), counted(second, "macro_f1")], 60)

    def value(rows):
        kept = [rows[np.isin(one.block[rows], part.block)] for part in (first, second)]
        if not all(len(rows) for rows in kept):
            return np.nan
        return (plain_score(one, kept[0], "macro_f1") + plain_score(other, kept[1], "macro_f1")) / 2

    assert found == pytest.approx(loop(value, one.block, 60))


@pytest.mark.parametrize("score", ["accuracy", "worst", "macro_f1"])
def test_where_there_is_no_interval(score):
    one = answers(1)
    alone = counted(one.take(one.block == 1), score)
    assert mean_interval([alone], 50) is None  # one block
    assert difference_interval([(alone, alone)], 50) is None
    assert mean_interval([counted(one, score)], 0) is None
    assert mean_interval([], 50) is None
    assert difference_interval([], 50) is None
    assert mean_interval([counted(one, score), None], 50) is None
    nowhere = replace(one, domain=np.full(len(one), -1))
    assert (mean_interval([counted(nowhere, score)], 50) is None) == (score == "worst")
    assert sums(Blocks((1,), (1,), {"all": (1,)}), None, "all", "worst") is None


def test_counts_are_those_of_the_samples():
    """Domains that never are the worst, and answers of classes without a label, have no rows."""
    found = count({"all": answers(1), "shared": answers(2)}, DOMAINS, ["other"])
    one = answers(1)
    for table, ids in ((found.domains, one.domain), (found.classes, one.label)):
        for row, (block, group) in enumerate(zip(table.block, table.group, strict=True)):
            here = (one.block == block) & (ids == group)
            assert table.count[row] == here.sum()
            assert table.correct["all"][row] == (here & one.correct).sum()
            for choice, other in (("all", one), ("shared", answers(2))):
                given = (one.block == block) & (other.predicted == group)
                assert table is found.domains or table.answered[choice][row] == given.sum()
    assert set(found.domains.group) == {0, 1, 3}
    assert set(found.classes.group) == {0, 1, 3, 4}
    assert sum(found.classes.count) == len(one)
    assert not found.domains.answered


def finished(folder):
    """What a run leaves of its scores, and its counts."""
    one = answers(1)
    blocks = Blocks((0,), (len(one),), {"all": (int(one.correct.sum()),)})
    scores = {
        "accuracy": float(one.correct.mean()),
        "worst": plain_score(one, np.arange(len(one)), "worst"),
        "macro_f1": metrics.macro_f1(one.predicted, one.label),
    }
    write_counts(folder, count({"all": one}, DOMAINS, ["other"]))
    return Done("val_acc", 0.5, 1, {}, None, "test", None, {"all": scores}, blocks, COST)


def test_counts_come_back_from_their_file(tmp_path):
    done = finished(tmp_path)
    assert read_counts(tmp_path, done) == count({"all": answers(1)}, DOMAINS, ["other"])


def change(key, name, value):
    def do(found):
        column = found[key][name] if name != "correct" else found[key][name]["all"]
        column[0] = value(column[0])

    return do


def drop_choice(found):
    found["classes"]["answered"] = {}


@pytest.mark.parametrize(
    ("do", "line"),
    [
        (change("classes", "count", lambda n: n + 1), "expected counts that give macro_f1 0.* of all; got 0"),
        (change("domains", "count", lambda n: n + 50), "expected counts that give worst 0"),
        (change("classes", "count", lambda n: -1), "count: expected numbers of 0 or more; got -1"),
        (change("classes", "correct", lambda n: 10**6), "correct.all: expected at most count"),
        (change("domains", "group", str), r"domains.group.0: expected a whole number; got '0'"),
        (lambda found: found["domains"]["group"].pop(), r"group: expected \d+ numbers; got \d+"),
        (drop_choice, "classes.answered: expected the counts of all"),
        (lambda found: found.update(format=2), "not of format 1"),
    ],
)
def test_damaged_counts_are_refused(tmp_path, do, line):
    done = finished(tmp_path)
    path = tmp_path / "counts.json"
    found = json.loads(path.read_text())
    do(found)
    path.write_text(json.dumps(found))
    with pytest.raises(
        DataError, match=rf"counts\.json: damaged: .*{line}.*; remove .*bench\.json, and the bench judges"
    ):
        read_counts(tmp_path, done)


def test_a_file_that_is_missing_or_cut(tmp_path):
    done = finished(tmp_path)
    path = tmp_path / "counts.json"
    path.write_text(path.read_text()[:40])
    with pytest.raises(DataError, match=r"cannot be read as JSON.*; remove .*bench\.json"):
        read_counts(tmp_path, done)
    path.unlink()
    with pytest.raises(DataError, match=r"counts\.json: no such file; intervals of this score need it"):
        read_counts(tmp_path, done)


def test_more_answers_right_than_given():
    with pytest.raises(InputError, match=r"correct\.all: expected at most answered\.all"):
        GroupCounts((1,), (0,), (3,), {"all": (2,)}, {"all": (1,)})
    Counts(GroupCounts((), (), (), {"all": ()}), GroupCounts((1,), (0,), (3,), {"all": (2,)}, {"all": (2,)}))
