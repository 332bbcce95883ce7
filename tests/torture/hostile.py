"""Files and names that would make geomoe ask a server, read other files or run scripts in its pages."""

from __future__ import annotations

import csv
import importlib.util
import subprocess
import sys
import uuid
from pathlib import Path

from shop import RUN, TABLE, clean, train

TESTS = Path(__file__).parents[1]
FILES, NAMES = "hostile files", "hostile names in pages"
WRITTEN = {".csv", ".json", ".html"}
KINDS = (FILES, FILES, FILES, NAMES)
PIECES = (
    *(
        "</script>",
        "<script>window.hacked=1</script>",
        "<img src=x onerror=window.hacked=1>",
        '"',
        "'",
        "&amp;",
    ),
    *(
        "{{7*7}}",
        "${window.hacked=1}",
        "javascript:window.hacked=1",
        "<svg onload=window.hacked=1>",
        "\\",
        "<!--",
    ),
    *(
        "-->",
        "]]>",
        "\u2028",
        "\u202e",
        "é",
        "😀",
        "=1+1",
        "$x$",
        "`",
        "<style>*{display:none}</style>",
        "\x1b[2J",
    ),
    *(
        "<a href='http://127.0.0.1:9/'>",
        "@import url(http://127.0.0.1:9/)",
        "a",
        "b c",
        "%00",
        "&lt;script&gt;",
    ),
)
#: The verbs that read images: words, and whether status 1 is their word for bad data.
VERBS = {
    "predict": ["predict", "--checkpoint", "CHECKPOINT", "data/images", "--output", "out.csv"],
    "predict tiles": [
        *("predict", "--checkpoint", "CHECKPOINT", "data/images", "--tile", "8", "--output", "out.csv"),
    ],
    "predict one": ["predict", "--checkpoint", "CHECKPOINT", "HOSTILE", "--output", "out.csv"],
    "predict scene": ["predict", "--checkpoint", "CHECKPOINT", "HOSTILE", "--output", "out.tif"],
    "check": ["data", "check", "folder", *TABLE, "--workers", "1", "--output", "check"],
    "cache": ["data", "cache", "folder", *TABLE, "--workers", "1", "--model.image_size", "16"],
    "evaluate": ["evaluate", "--checkpoint", "CHECKPOINT", "--output", "report"],
    "map": ["map-experts", "--checkpoint", "CHECKPOINT", "--step", "30", "--output", "map"],
    "train": train("--dry-run"),
}


def load(name, path):
    """A module of the other tests, by its path."""
    spec = importlib.util.spec_from_file_location(name, path)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def trial(shop, kind, draw, folder):
    """One hostile file through a verb, or hostile names on every page."""
    return files(shop, draw, folder) if kind == FILES else names(shop, draw, folder)


def listener(shop):
    """(Address of a server that notes what it is asked, its log), in a process of its own."""
    if "listener" not in shop.known:
        from PIL import Image

        code = load("security_fixtures", TESTS / "security/conftest.py").SERVER
        picture, log = shop.root / "picture.png", shop.root / "asked"
        Image.new("RGB", (64, 64)).save(picture)
        words = [sys.executable, "-c", code, str(picture), str(log)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        shop.closing.append(lambda: (process.kill(), process.wait()))
        address = f"http://127.0.0.1:{int(process.stdout.readline())}"
        import urllib.request

        urllib.request.urlopen(f"{address}/alive").read()
        assert log.read_text(), "the listener does not listen"
        log.unlink()
        shop.known["listener"] = (address, log)
    return shop.known["listener"]


def files(shop, draw, folder):
    """A hostile file as an image of the data; switches on or off, VRTs allowed or not."""
    kit = load("hostile_files", TESTS / "security/hostile_files.py")
    address, log = listener(shop)
    data = shop.data(folder)
    made = kit.write_hostile(data / "images", f"{address}/{uuid.uuid4().hex}")
    name = draw.choice(sorted(made))
    with (data / "clean.csv").open(encoding="utf-8", newline="") as file:
        known = [row["filename"] for row in csv.DictReader(file)]
    if Path(made[name]).is_file():  # links and pipes stay where they are
        (data / draw.choice(known)).write_bytes(Path(made[name]).read_bytes())
    verb = draw.choice(sorted(VERBS))
    words = [{"CHECKPOINT": shop.checkpoint, "HOSTILE": made[name]}.get(word, word) for word in VERBS[verb]]
    words += [word for word in ("--quiet",) if word not in words]
    words += ["--allow-vrt"] if draw.random() < 0.5 else []
    switches = draw.choice(({}, {"GEOMOE_OFFLINE": "0", "HF_HUB_OFFLINE": "0"}))
    ending = shop.run(words, folder, environment=switches, limit=120)
    clean(ending, (0, 1, 2) if verb == "check" else (0, 2))
    asked = log.read_text() if log.exists() else ""
    log.unlink(missing_ok=True)
    assert not asked, f"{verb}, {name}: the server was asked {asked[:300]}"
    written = [
        path for path in folder.rglob("*") if path.is_file() and path.suffix in {".csv", ".json", ".html"}
    ]
    for text in (ending.out, ending.err, *(path.read_text(encoding="utf-8") for path in written)):
        assert kit.SECRET not in text, f"{verb}, {name}: what lies outside was read"
    assert not (data / "images/made-by-python").exists()
    assert not (data / "images/cache").exists()
    return f"{verb}, {name}, status {ending.status}"


def names(shop, draw, folder):
    """Classes and domains with hostile names, trained on; every page and figure is made, and opened."""
    data = shop.data(folder)
    table = data / "clean.csv"
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    new = {}
    for row in rows:
        for column in ("label", "domain"):
            key = (column, row[column])
            new.setdefault(key, "".join(draw.choices(PIECES, k=draw.randint(1, 4))) + f" {len(new)}")
            row[column] = new[key]
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    ending = shop.run(train(epochs=1), folder)
    clean(ending)
    if ending.status == 2:
        return f"refused: {ending.err.splitlines()[-1][:150]}"
    last = f"{RUN}/checkpoints/last.ckpt"
    for words in (
        ["evaluate", "--checkpoint", last, "--output", "report"],
        ["map-experts", "--checkpoint", last, "--step", "20", "--output", "map"],
        ["diagnose", "--checkpoint", last, "--permutations", "2", "--output", "diagnosis"],
        ["data", "check", "folder", *TABLE, "--workers", "1", "--output", "check"],
    ):
        ending = shop.run(words, folder)
        clean(ending, (0, 1) if words[0] == "data" else (0,))
        assert "\x1b[2J" not in ending.out + ending.err, "an escape code reached the terminal"
    pages = sorted(path for path in folder.rglob("*.html"))
    assert len(pages) == 4, pages
    return f"{len(pages)} pages written, {look(shop, pages)} opened"


def look(shop, pages):
    """Open pages; no script of a name ran, and nothing was asked for. How many were opened."""
    browser = chromium(shop)
    if browser is None:
        return 0
    for page in pages:
        browser.logs()
        browser.driver.get(page.as_uri())
        browser.wait("return document.readyState === 'complete'")
        assert browser.run("return window.hacked === undefined"), f"{page.name}: a script in a name ran"
        _, events = browser.logs()
        sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
        urls = [one["request"]["url"] for one in sent if not one["documentURL"].startswith("chrome://")]
        away = [url for url in urls if url != page.as_uri() and not url.startswith(("data:", "blob:"))]
        assert not away, f"{page.name} asks for {away}"
    return len(pages)


def chromium(shop):
    """A browser that lives as long as the shop; None where there is none."""
    if "browser" not in shop.known:
        import shutil

        fixtures = load("browser_fixtures", TESTS / "browser/conftest.py")
        found, driver = shutil.which("chromium"), shutil.which("chromedriver")
        shop.known["browser"] = None
        if found and driver:
            from selenium import webdriver

            options = webdriver.ChromeOptions()
            options.binary_location = found
            for option in (*fixtures.OPTIONS, f"--user-data-dir={shop.root / 'profile'}"):
                options.add_argument(option)
            options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
            opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
            opened.execute_cdp_cmd("Network.enable", {})
            shop.closing.append(opened.quit)
            shop.known["browser"] = fixtures.Browser(opened)
    return shop.known["browser"]
