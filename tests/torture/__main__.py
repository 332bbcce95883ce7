"""Random trials of everything that can go wrong around a command, for as long as is asked.

``python tests/torture --minutes 60 --seed 0`` runs all parts; ``--part kills --trial 12`` runs that trial of
that seed again. The status is 1 if a trial failed; ``--keep`` keeps the folder of such a trial.
"""

from __future__ import annotations

import argparse
import importlib
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

from shop import Shop, fingerprint  # noqa: E402

#: Module with ``KINDS`` and ``trial`` -> its share of the time.
PARTS = {
    "kills": 0.28,
    "mutations": 0.22,
    "hostile": 0.10,
    "scarcity": 0.16,
    "crowds": 0.10,
    "loads": 0.07,
    "ranks": 0.07,
}


def arguments():
    """What the command line says."""
    made = argparse.ArgumentParser(prog="python tests/torture", description=__doc__)
    made.add_argument("--minutes", type=float, default=60, help="time for all parts together (default: 60)")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--part", choices=PARTS, action="append", help="this part only; may be repeated")
    made.add_argument("--trial", type=int, help="this trial of --part only")
    made.add_argument("--trials", type=int, help="so many trials of each part, however long they take")
    made.add_argument("--scale", type=float, help="size of the loads, up to 1 (default: by --minutes)")
    made.add_argument("--keep", metavar="DIR", type=Path, help="folder for what failed trials leave")
    return made.parse_args()


def one(shop, part, seed, number):
    """Run a trial in a folder of its own; the fault, or None."""
    module = importlib.import_module(part)
    draw = random.Random(f"{part} {seed} {number}")
    kind = module.KINDS[number % len(module.KINDS)]
    folder = shop.root / f"{part}-{number}"
    folder.mkdir()
    begun = time.monotonic()
    try:
        note = module.trial(shop, kind, draw, folder) or ""
        fault = None
    except AssertionError as error:
        note, fault = "", str(error) or "an assertion failed"
    except Exception:
        note, fault = "", traceback.format_exc()
    seconds = time.monotonic() - begun
    print(f"{part} {number} {kind}: {'FAILED' if fault else 'ok'} {note} ({seconds:.1f} s)", flush=True)
    if fault:
        print(f"  {fault}\n  python tests/torture --seed {seed} --part {part} --trial {number}", flush=True)
        if shop.keep:
            shutil.copytree(folder, shop.keep / folder.name, symlinks=True, ignore=pipes, dirs_exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    return fault


def pipes(folder, names):
    """Names that cannot be copied: reading a pipe would wait for ever."""
    paths = [Path(folder, name) for name in names]
    return [path.name for path in paths if not (path.is_file() or path.is_dir() or path.is_symlink())]


def run_part(shop, name, args, seconds):
    """All trials of a part: (kind -> trials, faults)."""
    module, counted, faults = importlib.import_module(name), Counter(), []
    if args.trial is not None:
        numbers = [args.trial]
    elif args.trials is not None:
        numbers = range(args.trials)
    else:
        numbers = iter(range(10**9))
    end = time.monotonic() + seconds
    for number in numbers:
        counted[module.KINDS[number % len(module.KINDS)]] += 1
        if one(shop, name, args.seed, number):
            faults.append(number)
        if args.trials is None and time.monotonic() > end:
            break
    return counted, faults


def main():
    """Run what is asked, and print a table of it."""
    args = arguments()
    if args.trial is not None and len(args.part or ()) != 1:
        raise SystemExit("--trial needs one --part")
    names = args.part or list(PARTS)
    total = sum(PARTS[name] for name in names)
    root = Path(tempfile.mkdtemp(prefix="torture-"))
    scale = args.scale if args.scale is not None else min(1.0, args.minutes / 60)
    shop = Shop(root, scale=scale, keep=args.keep)
    print(f"seed {args.seed}, {fingerprint()}", flush=True)
    failed, lines = 0, []
    try:
        left, end = total, time.monotonic() + 60 * args.minutes
        shop.open()
        for name in names:
            seconds = (end - time.monotonic()) * PARTS[name] / left
            left -= PARTS[name]
            counted, faults = run_part(shop, name, args, seconds)
            failed += len(faults)
            kinds = ", ".join(f"{kind} {count}" for kind, count in counted.items())
            lines.append(f"{name}: {counted.total()} trials, {len(faults)} failed {faults or ''} ({kinds})")
    finally:
        shop.close()
        shutil.rmtree(root, ignore_errors=True)
    print("\n" + "\n".join(lines))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
