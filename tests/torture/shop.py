"""What all trials share: data, checkpoints, and commands that run in processes of their own.

Python and torch take seconds to start. So this process imports everything once, does no work itself, and each
command runs in a fork of it, in a session and a folder of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = os.environ["GEOMOE_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "Agg"
for _name in [name for name in os.environ if name.startswith("GEOMOE_") and name != "GEOMOE_OFFLINE"]:
    del os.environ[_name]

TABLE = ("--data-root", "data", "--metadata", "data/clean.csv")
NETWORK = (
    *("--model.image_size", "16", "--encoder.legendre_polys", "4", "--encoder.out_dim", "16"),
    *("--model.num_experts", "2", "--model.top_k", "1", "--data.batch_size", "8"),
    *("--trainer.precision", "32-true", "--trainer.loggers", "csv", "--trainer.accelerator", "cpu"),
)
RUN = "runs/folder/moge/all-seed0"


class Ending(NamedTuple):
    """How a command ended.

    Attributes:
        status: exit status; minus the signal that ended it.
        out: stdout.
        err: stderr.
        seconds: how long it ran.
    """

    status: int
    out: str
    err: str
    seconds: float


def train(*more, epochs=2, method="moge"):
    """The words of a small training of the sample."""
    given = ("--algorithm", method, *NETWORK, "--trainer.max_epochs", str(epochs), "--output", "runs")
    return ["train", "folder", *TABLE, *given, "--quiet", *more]


def fingerprint():
    """What was tested, in a few words."""
    import torch

    import geomoe

    return f"geomoe {geomoe.__version__}, Python {platform.python_version()}, torch {torch.__version__}"


def import_everything():
    """Import what commands import, so that a fork need not."""
    import importlib

    import rasterio.features
    import torch

    torch.set_num_threads(1)
    for name in (
        *("geomoe.cli.train", "geomoe.cli.predict", "geomoe.cli.evaluate", "geomoe.cli.map_experts"),
        *("geomoe.training", "geomoe.evaluation", "geomoe.mapping.draw", "geomoe.inference.files"),
        *(
            "geomoe.diagnose",
            "geomoe.checking",
            "geomoe.datasets.folder.reader",
            "geomoe.datasets.cache.make",
        ),
        *("geomoe.evaluation.reports", "geomoe.fetching", "geopandas", "pyarrow.parquet", "PIL.Image"),
        *("matplotlib.figure", "matplotlib.backends.backend_agg", "sklearn.metrics", "tensorboard"),
    ):
        importlib.import_module(name)
    return rasterio


class Shop:
    """Data and checkpoints that trials copy, and the way to run a command.

    Args:
        root: an empty folder.
        scale: size of the loads, 0 to 1.
        keep: folder for what failed trials leave.
    """

    def __init__(self, root, scale=1.0, keep=None):
        self.root, self.scale, self.keep = root, scale, keep
        self.sound, self.closing, self.known = root / "sound", [], {}

    def open(self):
        """Write the sample, and train on it."""
        import_everything()
        self.sound.mkdir()
        self.must(["data", "sample", "folder", "data", "--quiet"], self.sound)
        self.must(train(), self.sound)
        self.checkpoint = self.sound / RUN / "checkpoints/last.ckpt"

    def close(self):
        """End what was started beside."""
        for end in reversed(self.closing):
            end()

    def data(self, folder):
        """A copy of the sample in a trial's folder, times of files included."""
        shutil.copytree(self.sound / "data", folder / "data")
        return folder / "data"

    def start(self, words, folder, *, before=None, environment=None, out="out"):
        """Start a command in a fork; gives its id."""
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            self._inside([str(word) for word in words], folder, before, environment, out)
        return pid

    def _inside(self, words, folder, before, environment, out):
        status = 70
        try:
            os.setsid()
            os.chdir(folder)
            os.environ["GEOMOE_CACHE"] = str(folder / "caches")
            os.environ.update(environment or {})
            streams = self.root / f"{folder.name}-{out}"
            null = os.open(os.devnull, os.O_RDONLY)
            for number, path in ((1, f"{streams}.1"), (2, f"{streams}.2")):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), number)
            os.dup2(null, 0)
            sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", encoding="utf-8", closefd=False, errors="backslashreplace")  # noqa: SIM115
            if before is not None:
                before()
            from geomoe.cli import main

            status = main(words)
            if sys.stdout is not None:
                sys.stdout.flush()
        except BaseException:
            import traceback

            os.write(2, traceback.format_exc().encode(errors="replace"))
        finally:
            os._exit(status)

    def wait(self, pid, folder, *, out="out", limit=300.0, kill_after=None):
        """Wait for a command, or kill it after so many seconds."""
        begun = time.monotonic()
        killed, ended, status = False, 0, 0
        while not ended:
            ended, status = os.waitpid(pid, os.WNOHANG)
            passed = time.monotonic() - begun
            if not ended and not killed and passed > (limit if kill_after is None else kill_after):
                os.killpg(pid, signal.SIGKILL)
                killed = True
            if not ended:
                time.sleep(0.002 if kill_after is not None else 0.01)
        texts = []
        for number in (1, 2):
            path = Path(f"{self.root / f'{folder.name}-{out}'}.{number}")
            texts.append(path.read_text(encoding="utf-8", errors="replace") if path.exists() else "")
            path.unlink(missing_ok=True)
        ending = Ending(os.waitstatus_to_exitcode(status), *texts, time.monotonic() - begun)
        if kill_after is None and killed:
            raise AssertionError(f"no end after {limit:.0f} s: {ending.err[-500:]}")
        return ending

    def run(self, words, folder, *, limit=300.0, kill_after=None, **options):
        """Run a command to its end, or kill it after so many seconds."""
        pid = self.start(words, folder, **options)
        return self.wait(pid, folder, limit=limit, kill_after=kill_after)

    def must(self, words, folder, **options):
        """Run a command that has to succeed."""
        ending = self.run(words, folder, **options)
        assert ending.status == 0, f"{' '.join(map(str, words))}: status {ending.status}: {ending.err[-800:]}"
        return ending

    def reference(self, name, make):
        """What an undisturbed command leaves: made once, in a folder that does not change."""
        if name not in self.known:
            folder = Path(tempfile.mkdtemp(prefix="reference-", dir=self.root))
            self.known[name] = (folder, make(folder))
        return self.known[name]


def clean(ending, statuses=(0, 2)):
    """Hold an ending to the rules: an expected status, no traceback, one line for a refusal."""
    assert "Traceback" not in ending.err + ending.out, ending.err[-1500:]
    assert ending.status in statuses, f"status {ending.status}: {ending.err[-800:]}"
    if ending.status == 2:
        errors = [line for line in ending.err.splitlines() if line.startswith("geomoe: error: ")]
        assert len(errors) == 1, ending.err[-800:]
        assert len(errors[0]) > len("geomoe: error: ") + 5, errors


#: Files that tell when and where something was made, and what is kept to go on;
TIMES = ("run.json", "done")
#: Files of a bench that hold how long its runs took.
TIMES += ("bench.json", "cost.json", "results.json", "table.csv", "table.md", "table.tex", "bench.html")


def state_of(path):
    """A checkpoint as numbers and plain values, without times."""
    import torch

    from geomoe.checkpoint import read

    digest = hashlib.sha256()

    def add(value):
        if isinstance(value, torch.Tensor):
            digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
            digest.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
        elif isinstance(value, dict):
            for key in value:
                digest.update(repr(key).encode())
                add(value[key])
        elif isinstance(value, list | tuple):
            digest.update(f"[{len(value)}".encode())
            for item in value:
                add(item)
        else:
            digest.update(repr(value).encode())

    add({key: value for key, value in read(path).items() if key not in {"callbacks", "loops"}})
    return digest.hexdigest()


def tree(folder):
    """Path -> digest of every file; checkpoints by their numbers. Links and pipes by what they are."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".ckpt":
            found[name] = state_of(path)
        elif path.is_file() and path.name not in TIMES:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif not path.is_dir():
            found[name] = "there"
    return found


def same(made, reference, what):
    """Hold a folder to an undisturbed one: the same files with the same bytes, nothing left over."""
    mine, theirs = tree(made), tree(reference)
    changed = sorted(name for name in {*mine, *theirs} if mine.get(name) != theirs.get(name))
    assert not changed, f"{what}: not as an undisturbed run leaves it: {changed[:8]}"


def serve(shop):
    """A server of files in a process of its own, with Range: start(folder) -> URL."""
    words = [sys.executable, str(Path(__file__).with_name("serving.py")), str(shop.root)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    shop.closing.append(lambda: (process.kill(), process.wait()))
    return f"http://127.0.0.1:{int(process.stdout.readline())}"


def facts(path):
    """A JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))
