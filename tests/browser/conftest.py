"""A headless Chromium without a network, and the routing tables of tests/mapping."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location(
    "mapping_fixtures", Path(__file__).parents[1] / "mapping" / "conftest.py"
)
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
synthetic = _fixtures.synthetic

OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    # No network: no name is resolved, and a proxy that is not there takes every request.
    "--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9",
    "--window-size=1400,900", "--force-device-scale-factor=1",
)  # fmt: skip


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    chromium = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
    chromedriver = shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("needs Chromium and chromedriver on the PATH")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    driver.execute_cdp_cmd("Network.enable", {})
    yield Browser(driver)
    driver.quit()


class Browser:
    """Opens pages from disk and tells what went wrong in them."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, path):
        self.logs()
        self.driver.get(path.as_uri())
        self.wait("return document.body.dataset.ready === 'yes'")

    def wait(self, script, seconds=20):
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, seconds, poll_frequency=0.05).until(
            lambda driver: driver.execute_script(script)
        )

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def find(self, selector):
        return self.driver.find_element("css selector", selector)

    def find_all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def wait_for_answer(self):
        """Until one popup is there and has faded in: a driver reads no text from what nobody can see."""
        self.wait(
            "const popups = [...document.querySelectorAll('.leaflet-popup')];"
            "return popups.length === 1 && popups[0].querySelector('.geomoe-answer') !== null"
            " && getComputedStyle(popups[0]).opacity === '1'"
        )

    def logs(self):
        """Console messages and network events since the last call."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return self.driver.get_log("browser"), events
