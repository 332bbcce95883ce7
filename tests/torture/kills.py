"""kill -9 at random moments; after going on or beginning again, every byte is as if nothing had happened."""

from __future__ import annotations

import signal

from commands import COMMANDS, environment, prepare, undisturbed
from shop import clean, same, tree

KINDS = tuple(COMMANDS)
#: What a killed command may leave under the final names: nothing, or all of it.
WHOLE = {"predict csv", "predict parquet", "predict scene", "map", "evaluate", "diagnose"}


def trial(shop, kind, draw, folder):
    """Kill one to three times, go on, compare."""
    reference, seconds = undisturbed(shop, kind)
    command = prepare(shop, kind, folder)
    words, moments = command.words, []
    for _ in range(draw.choice((1, 1, 2, 3))):
        moment = draw.uniform(0, seconds)
        ending = shop.run(words, folder, kill_after=moment, environment=environment(kind))
        moments.append(f"{moment:.2f}" if ending.status == -signal.SIGKILL else "too late")
        assert ending.status in (0, -signal.SIGKILL), f"after kills at {moments}: {ending.err[-800:]}"
        if kind in WHOLE:
            finished(folder, reference, command.output, moments)
        if ending.status == 0:
            break
        words = command.after_a_kill(folder)
    else:
        ending = shop.run(words, folder, environment=environment(kind))
        clean(ending, (0,))
    same(folder / command.output, reference / command.output, f"{kind}, killed at {moments}")
    return "killed at " + ", ".join(moments)


def finished(folder, reference, output, moments):
    """Every file that has its final name is whole."""
    if not (folder / output).exists():
        return
    whole = tree(reference / output)
    for name, digest in tree(folder / output).items():
        if name in whole:
            assert digest == whole[name], f"{name} is half-written after kills at {moments}"
