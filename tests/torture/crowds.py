"""Two of everything at once: one does the work, the other is refused or gives the same; nothing is mixed."""

from __future__ import annotations

import time

from commands import environment, prepare, undisturbed
from shop import clean, same

KINDS = (
    *("train moge", "predict csv", "cache", "download", "predict scene", "evaluate", "map", "cache by 2"),
    *("diagnose", "predict parquet"),
)


def trial(shop, kind, draw, folder):
    """Start a command twice, the second one up to one run later."""
    reference, seconds = undisturbed(shop, kind)
    command = prepare(shop, kind, folder)
    delay = draw.choice((0.0, 0.0, draw.uniform(0, seconds)))
    options = {"environment": environment(kind)}
    first = shop.start(command.words, folder, out="first", **options)
    time.sleep(delay)
    second = shop.start(command.words, folder, out="second", **options)
    endings = [shop.wait(pid, folder, out=out) for pid, out in ((first, "first"), (second, "second"))]
    for ending in endings:
        clean(ending)
    statuses = tuple(ending.status for ending in endings)
    said = [ending.err[-400:] for ending in endings]
    assert 0 in statuses, f"neither did it, {delay:.2f} s apart: {said}"
    same(folder / command.output, reference / command.output, f"two of {kind}, {delay:.2f} s apart")
    return f"{delay:.2f} s apart, status {statuses[0]} and {statuses[1]}"
