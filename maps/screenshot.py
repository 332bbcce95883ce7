"""Photograph a page in headless Chromium with the network off.

python maps/screenshot.py PAGE.html PICTURE.png [--size 1400x860] [--click LON,LAT]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


def photograph(page: Path, picture: Path, size: str, click: str | None) -> None:
    """Open a page, click on a place if one is given, save what is seen."""
    width, height = map(int, size.split("x"))
    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
        for option in (*OPTIONS, f"--user-data-dir={profile}", f"--window-size={width},{height + 143}"):
            options.add_argument(option)
        driver = webdriver.Chrome(
            options=options, service=webdriver.ChromeService(shutil.which("chromedriver"))
        )
        try:
            driver.get(page.resolve().as_uri())
            wait = WebDriverWait(driver, 60)
            wait.until(lambda seen: seen.execute_script("return document.body.dataset.ready === 'yes'"))
            if click:
                lon, lat = map(float, click.split(","))
                driver.execute_script(
                    # a map across the antimeridian goes on beyond 180: take the copy nearest to its middle
                    "const turns = Math.round((map_experts.getCenter().lng - arguments[0]) / 360);"
                    "const latlng = L.latLng(arguments[1], arguments[0] + 360 * turns);"
                    "const containerPoint = map_experts.latLngToContainerPoint(latlng);"
                    "map_experts.fire('click', { latlng, containerPoint })",
                    lon, lat,
                )  # fmt: skip
                wait.until(lambda seen: seen.find_elements("css selector", ".geomoe-answer"))
            driver.execute_async_script("setTimeout(arguments[0], 800)")  # until pictures have faded in
            driver.save_screenshot(str(picture))
        finally:
            driver.quit()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--size", default="1400x860", help="width x height of the window in pixels")
    parser.add_argument("--click", metavar="LON,LAT", help="a place whose weights are to be shown")
    args = parser.parse_args()
    if not args.page.is_file():
        parser.error(f"no such page: {args.page}")
    photograph(args.page, args.picture, args.size, args.click)
