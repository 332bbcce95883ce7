"""Every score is recomputed by a literal loop; intervals by drawing blocks by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from geomoe.datasets.base import Grouping
from geomoe.evaluation.scores import confusion, reliability, score

REGIONS = ["Asia", "Europe", "Africa"]


def literal(predictions, rows):
    """Accuracy, macro F1 and calibration error of some rows, one sample at a time."""
    classes = predictions.logits.shape[1]
    hits, counts, bins = 0, {k: [0, 0, 0] for k in range(classes)}, [[] for _ in range(15)]
    for n in rows:
        scores = np.exp(predictions.logits[n].astype(np.float64))
        scores = scores / scores.sum()
        guess, truth = int(np.argmax(scores)), int(predictions.label[n])
        hits += guess == truth
        for k in range(classes):
            counts[k][0] += guess == k == truth
            counts[k][1] += truth == k
            counts[k][2] += guess == k
        bins[min(int(np.ceil(scores.max() * 15)) - 1, 14)].append((scores.max(), guess == truth))
    f1 = [2 * both / (true + said) for both, true, said in counts.values() if true]
    gaps = [abs(sum(c for c, _ in bucket) - sum(h for _, h in bucket)) for bucket in bins]
    return hits / len(rows), sum(f1) / len(f1), sum(gaps) / len(rows)


def check(found, predictions, rows):
    assert found.count == len(rows)
    assert found.blocks == len({int(predictions.block[n]) for n in rows})
    accuracy, macro_f1, error = literal(predictions, rows)
    assert found.accuracy == pytest.approx(accuracy, abs=1e-12)
    assert found.macro_f1 == pytest.approx(macro_f1, abs=1e-6)
    assert found.calibration_error == pytest.approx(error, abs=1e-6)


def test_all_regions(predictions):
    chosen = predictions["all"]
    found = score(chosen, REGIONS, bootstrap=0)
    check(found.overall, chosen, range(300))
    for number, region in enumerate(REGIONS):
        check(found.regions[region], chosen, [n for n in range(300) if chosen.domain[n] == number])
    accuracies = {region: found.regions[region].accuracy for region in REGIONS}
    assert accuracies[found.worst] == min(accuracies.values())
    assert found.source is found.held_out is found.source_worst is None
    assert found.overall.accuracy_interval is None


def test_held_out_region_is_scored_apart(predictions):
    chosen = predictions["all"]
    found = score(chosen, REGIONS, "Europe", bootstrap=0)
    check(found.source, chosen, [n for n in range(300) if chosen.domain[n] in (0, 2)])
    check(found.held_out, chosen, [n for n in range(300) if chosen.domain[n] == 1])
    sources = {name: found.regions[name].accuracy for name in ("Asia", "Africa")}
    assert sources[found.source_worst] == min(sources.values())


def test_regions_without_samples_are_left_out(predictions):
    chosen = predictions["all"]
    chosen.domain[chosen.domain == 1] = -1
    found = score(chosen, REGIONS, "Europe", bootstrap=0)
    assert list(found.regions) == ["Asia", "Africa"]
    assert found.held_out is None
    assert found.overall.count == 300
    chosen.domain[:] = 1
    found = score(chosen, REGIONS, "Europe", bootstrap=0)
    assert found.source is found.source_worst is None
    assert found.held_out == found.overall


def test_intervals_draw_whole_blocks(predictions):
    chosen = predictions["all"]
    found = score(chosen, REGIONS, bootstrap=2000).overall
    draw = np.random.default_rng(7)
    rows = [np.flatnonzero(chosen.block == block) for block in range(25)]
    values = []
    for _ in range(2000):
        sample = np.concatenate([rows[block] for block in draw.integers(0, 25, 25)])
        values.append(chosen.correct[sample].mean())
    assert found.accuracy_interval == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=0.006)
    low, high = found.macro_f1_interval
    assert low < found.macro_f1 < high
    assert found.accuracy_interval[0] < found.accuracy < found.accuracy_interval[1]


def test_intervals_are_the_same_every_time_and_wider_when_surer(predictions):
    chosen = predictions["all"]
    first, again = (score(chosen, REGIONS, bootstrap=200) for _ in range(2))
    assert first == again
    low, high = first.overall.accuracy_interval
    narrow = score(chosen, REGIONS, bootstrap=200, confidence=0.5).overall.accuracy_interval
    assert low < narrow[0] < narrow[1] < high


def test_one_block_has_no_interval(predictions):
    chosen = predictions["all"]
    chosen.block[:] = 3
    assert score(chosen, REGIONS, bootstrap=100).overall.accuracy_interval is None


def test_reliability_bins_give_the_calibration_error(predictions):
    chosen = predictions["all"]
    bins = reliability(chosen)
    assert sum(bins.count) == 300
    gap = sum(
        n * abs(sure - right)
        for n, sure, right in zip(bins.count, bins.confidence, bins.accuracy, strict=True)
        if n
    )
    error = score(chosen, REGIONS, bootstrap=0).overall.calibration_error
    assert gap / 300 == pytest.approx(error, abs=1e-6)
    assert [value is None for value in bins.confidence] == [n == 0 for n in bins.count]


def test_regions_that_never_are_the_worst(predictions):
    chosen = predictions["all"]
    plain = score(chosen, REGIONS, bootstrap=0)
    found = score(chosen, REGIONS, bootstrap=0, uncounted=[plain.worst])
    left = {name: part.accuracy for name, part in plain.regions.items() if name != plain.worst}
    assert found.worst == min(left, key=left.get)
    assert found.regions == plain.regions  # scored all the same
    assert score(chosen, REGIONS, bootstrap=0, uncounted=REGIONS).worst is None
    held = score(chosen, REGIONS, "Europe", bootstrap=0, uncounted=["Asia"])
    assert held.source_worst == "Africa"
    check(held.source, chosen, [n for n in range(300) if chosen.domain[n] in (0, 2)])  # Asia counts there


def test_further_groupings(predictions):
    chosen = predictions["all"]
    year = np.arange(300) % 4 - 1
    groups = {"year": Grouping(("2015", "2016", "2017", "2018"), year, ("2015",))}
    found = score(chosen, REGIONS, bootstrap=20, groupings=groups).groups["year"]
    assert list(found.parts) == ["2015", "2016", "2017"]  # nobody is of 2018, a quarter of no year
    for number, name in enumerate(found.parts):
        check(found.parts[name], chosen, [n for n in range(300) if n % 4 == number + 1])
        low, high = found.parts[name].accuracy_interval
        assert low <= found.parts[name].accuracy <= high
    counted = {name: found.parts[name].accuracy for name in ("2016", "2017")}
    assert counted[found.worst] == min(counted.values())
    assert score(chosen, REGIONS, bootstrap=0).groups == {}


def test_the_confusion_matrix_and_its_classes(predictions):
    """Held against a count of every pair by hand; class 3 is never answered, class 4 has no samples."""
    one = predictions["all"]
    logits = np.concatenate([one.logits, np.full((300, 1), -9, np.float32)], axis=1)
    logits[:, 3] = -9
    logits[:20, 4] = 9
    found = confusion(replace(one, logits=logits))
    pairs = Counter(zip(one.label.tolist(), logits.argmax(axis=1).tolist(), strict=True))
    assert dict(zip(zip(found.label, found.answer, strict=True), found.count, strict=True)) == pairs
    for k, score_of in enumerate(found.classes):
        assert score_of.count == sum(n for (label, _), n in pairs.items() if label == k)
        assert score_of.answered == sum(n for (_, answer), n in pairs.items() if answer == k)
        assert score_of.correct == pairs[k, k]
    p, r, f = np.array([(c.precision, c.recall, c.f1) for c in found.classes[:3]]).T
    np.testing.assert_allclose(f, 2 * p * r / (p + r), rtol=1e-12)
    never, nothing = found.classes[3:]
    assert (never.precision, never.recall, never.f1) == (None, 0.0, 0.0)
    assert (nothing.precision, nothing.recall, nothing.f1) == (0.0, None, 0.0)


def test_the_held_out_region_has_a_matrix_of_its_own(predictions):
    one = predictions["all"]
    scores = score(one, REGIONS, "Asia", bootstrap=0)
    inside = one.domain == 0
    assert sum(scores.held_out_confusion.count) == inside.sum()
    assert scores.held_out_confusion == confusion(one, inside)
    assert sum(scores.confusion.count) == 300
    assert score(one, REGIONS, bootstrap=0).held_out_confusion is None
