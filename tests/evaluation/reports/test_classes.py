"""The class that is found least is named with its share."""

import numpy as np
import pytest

from geomoe.evaluation.reports.classes import class_tables, worst_class
from geomoe.evaluation.scores import confusion

# labels and answers of 10 samples: recalls 3/4, 1/4, 2/2; class 3 is answered once and has no samples
LABEL = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
ANSWER = [0, 0, 0, 1, 0, 0, 3, 1, 2, 2]


class Answers:
    label = np.array(LABEL)
    predicted = np.array(ANSWER)
    probabilities = np.zeros((10, 4))


@pytest.mark.parametrize(
    ("rows", "want"),
    [
        (slice(None), (1, 0.25)),
        (slice(0, 4), (0, 0.75)),
        ([0, 8], (0, 1.0)),  # equal ones: the first
        (slice(0, 0), None),
    ],
)
def test_the_lowest_recall(rows, want):
    assert worst_class(confusion(Answers, rows)) == want


def test_reports_print_it(make_report, predictions):
    report = make_report(predictions)
    number, recall = worst_class(report.scores_of().confusion)
    said = [one for one in class_tables(report) if isinstance(one, str)]
    assert f"worst-class accuracy (lowest recall): {100 * recall:.1f}, {report.classes[number]}" in said
    assert said[0] in report.table()
