"""The offline switches."""

from __future__ import annotations

import pytest

from geomoe.support.offline import SWITCHES, kept_off, offline


@pytest.mark.parametrize(
    ("value", "on"), [("1", True), (" TRUE ", True), ("on", True), ("Yes", True), ("0", False), ("", False)]
)
@pytest.mark.parametrize("switch", SWITCHES)
def test_a_switch_is_on_or_off(monkeypatch, switch, value, on):
    for name in SWITCHES:
        monkeypatch.delenv(name, raising=False)
    assert offline() is None
    monkeypatch.setenv(switch, value)
    assert offline() == (switch if on else None)


def test_a_server_that_nobody_can_resolve_is_not_asked(monkeypatch):
    for name in (
        *SWITCHES,
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    assert kept_off("http://127.0.0.1:9/x") is None  # nobody listens there, but it has an address
    assert kept_off("https://nowhere.invalid/x") == "there is no network (nowhere.invalid cannot be resolved)"
    assert kept_off("") is None
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert kept_off("https://nowhere.invalid/x") is None  # the proxy may know it
    monkeypatch.setenv("GEOMOE_OFFLINE", "1")
    assert kept_off("http://127.0.0.1:9/x") == "downloads are switched off (GEOMOE_OFFLINE)"
