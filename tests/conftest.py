"""What every test gets: one thread, a fixed seed, no network, caches in a temporary folder."""

from __future__ import annotations

import os
import socket

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    import numpy as np
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - libraries under test still draw from the global state


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    connect = socket.socket.connect

    def only_here(self, address):
        if isinstance(address, tuple) and address[0] not in {"127.0.0.1", "::1", "localhost"}:
            raise OSError(f"a test tried to reach {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", only_here)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Keep the user's cache out of the tests, and share one among them (and among workers)."""
    if "GEOMOE_CACHE" not in os.environ:
        os.environ["GEOMOE_CACHE"] = str(tmp_path_factory.getbasetemp().parent / "geomoe-test-cache")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Where a browser is required (GEOMOE_REQUIRE_BROWSER=1, as in CI), a skipped browser test fails."""
    outcome = yield
    report = outcome.get_result()
    required = os.environ.get("GEOMOE_REQUIRE_BROWSER") == "1" and item.get_closest_marker("browser")
    if required and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but a browser is required: {report.longrepr}"
