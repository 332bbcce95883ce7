"""Small data sets as ``geomoe data sample`` writes them, drawn once for all tests of a process."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from geomoe.datasets.samples import write as samples
from geomoe.fetching.facts import read_facts


def write_sample(name, folder):
    """Write the sample of a data set into a folder."""
    shutil.copytree(_drawn(name), folder, symlinks=True, dirs_exist_ok=True, copy_function=shutil.copy)


@functools.cache
def _drawn(name):
    folder = Path(tempfile.mkdtemp(prefix="sample-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    samples.write_sample(read_facts(name), folder)
    return folder
