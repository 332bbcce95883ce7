"""The offline switches."""

from __future__ import annotations

import pytest

from geomoe.offline import SWITCHES, offline


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
