"""A process that looks at the images of a table, slowly, and keeps what it saw at once: see test_odd."""

from __future__ import annotations

import time

from geomoe.datasets.folder import scan, side_files
from geomoe.reading.image_table import read_table


def slowly(table):
    """Look at the images of a table, fifty a second."""
    header, scan._KEEP = scan.read_header, 0.0
    scan.read_header = lambda path: (time.sleep(0.02), header(path))[1]
    scan.scan(read_table(table), table.parent, side_files.SideFiles(table), (), table)
