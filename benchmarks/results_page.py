"""The tables of docs/results.md, from the records of finished runs."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from geomoe.catalogue import METHODS

BEGIN, END = "<!-- results: begin (written by benchmarks.results) -->", "<!-- results: end -->"
INTRODUCTION = """# Results

What came out, as it came out. How the numbers are made: [bluemarble](bluemarble.md) says what a score on this
data set means and does not mean.

"""


def title(name: str) -> str:
    """A method's title; ``-SE`` is its shared expert alone."""
    method, alone, _ = name.partition("-SE")
    known = METHODS[method].title if method in METHODS else method
    return f"{known}: shared expert alone (SE)" if alone else known


def write_page(records: list[dict], docs: Path) -> None:
    """Write results.json, and the text between the markers of results.md and of the README."""
    docs.mkdir(parents=True, exist_ok=True)
    page, readme = docs / "results.md", docs.parent / "README.md"
    text = page.read_text(encoding="utf-8") if page.exists() else f"{INTRODUCTION}{BEGIN}\n{END}\n"
    _replace(page, between_markers(text, tables(records), page))
    if readme.exists():
        text = readme.read_text(encoding="utf-8")
        _replace(readme, between_markers(text, summary(records), readme))
    _replace(docs / "results.json", json.dumps(records, indent=1) + "\n")


def between_markers(text: str, new: str, page: Path) -> str:
    """A page with new text between its markers; the text around them is kept."""
    before, found, rest = text.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        msg = f"{page}: the markers are gone; put back the lines {BEGIN!r} and {END!r}"
        raise SystemExit(msg)
    return f"{before}{BEGIN}\n\n{new}\n{END}{after}"


def summary(records: list[dict], config: str = "bluemarble", held_out: str = "Asia") -> str:
    """The README's table: each method with all regions, and with one left out."""
    chosen = [r for r in records if r["config"] == config and r["protocol"] in ("all", held_out)]
    names = list(dict.fromkeys(row["method"] for record in chosen for row in record["rows"]))
    columns = [
        ("all", "accuracy"),
        ("all", "worst_accuracy"),
        (held_out, "accuracy"),
        (held_out, "held_out_accuracy"),
    ]
    rows = []
    for name in names:
        of = {
            p: [row for _, row in _rows(name, [r for r in chosen if r["protocol"] == p])]
            for p in ("all", held_out)
        }
        rows.append([title(name), *(spread([row[key] for row in of[p]]) for p, key in columns)])
    heads = [
        "",
        "all regions",
        "worst region",
        f"{held_out} held out: the others",
        f"{held_out} held out: {held_out}",
    ]
    return markdown(heads, rows) + "\n"


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def tables(records: list[dict]) -> str:
    """One section for each configuration and protocol."""
    parts = []
    for config in dict.fromkeys(record["config"] for record in records):
        for protocol in dict.fromkeys(record["protocol"] for record in records if record["config"] == config):
            chosen = [r for r in records if r["config"] == config and r["protocol"] == protocol]
            parts.append(section(config, protocol, chosen))
    return "\n".join(parts) if parts else "No finished runs yet.\n"


def section(config: str, protocol: str, records: list[dict]) -> str:
    """Heading, main table, table of regions and commands of one configuration and protocol."""
    held_out = None if protocol == "all" else protocol
    names = list(dict.fromkeys(row["method"] for record in records for row in record["rows"]))
    parts = [
        f"## `{config}`, " + ("all regions" if held_out is None else f"{held_out} held out"),
        facts(records, held_out),
        main_table(names, records, held_out),
        "Accuracy by region:",
        region_table(names, records),
        "Commands, one for each seed:",
        commands(records),
    ]
    return "\n\n".join(parts) + "\n"


def facts(records: list[dict], held_out: str | None) -> str:
    """How the numbers of a section were computed."""
    counts = " / ".join(map(str, sorted({record["count"] for record in records})))
    hashes = ", ".join(sorted({str(record["data_hash"])[:12] for record in records}))
    text = (
        f"Test samples: {counts}; data {hashes}. Percent, mean ± sample standard deviation over seeds. "
        "All seeds share one split: how the Earth was sampled is not in the deviation."
    )
    if held_out is None:
        return text
    return (
        f"{text} Overall, worst region, macro F1 and ECE are those of the other regions; {held_out} was "
        "never seen in training or selection."
    )


def main_table(names: list[str], records: list[dict], held_out: str | None) -> str:
    """Methods by overall numbers."""
    heads = [
        "method",
        "seeds",
        "overall",
        "worst region",
        *([held_out] if held_out else []),
        "macro F1",
        "ECE",
        "CPU s",
    ]
    keys = [
        "accuracy",
        "worst_accuracy",
        *(["held_out_accuracy"] if held_out else []),
        "macro_f1",
        "calibration_error",
    ]
    rows = []
    for name in names:
        found = _rows(name, records)
        cost = [r["cpu_seconds"] for r, _ in found if r["cpu_seconds"] is not None and "-SE" not in name]
        seconds = f"{statistics.fmean(cost):.0f}" if cost else ""
        cells = [spread([row[key] for _, row in found]) for key in keys]
        rows.append([title(name), str(len(found)), *cells, seconds])
    return markdown(heads, rows)


def region_table(names: list[str], records: list[dict]) -> str:
    """Methods by region."""
    regions = list(dict.fromkeys(region for _, row in _rows(names[0], records) for region in row["regions"]))
    rows = [
        [
            title(name),
            *(spread([row["regions"][region] for _, row in _rows(name, records)]) for region in regions),
        ]
        for name in names
    ]
    return markdown(["method", *regions], rows)


def commands(records: list[dict]) -> str:
    """The command lines behind a section."""
    lines = [line for record in records for line in (record["train"], record["evaluate"])]
    return "```\n" + "\n".join(lines) + "\n```"


def _rows(name: str, records: list[dict]) -> list[tuple[dict, dict]]:
    return [(record, row) for record in records for row in record["rows"] if row["method"] == name]


def spread(values: list[float | None]) -> str:
    """Mean and sample standard deviation in percent; the mean alone for one seed."""
    known = [100 * value for value in values if value is not None]
    if not known:
        return "-"
    mean = statistics.fmean(known)
    return f"{mean:.1f} ± {statistics.stdev(known):.1f}" if len(known) > 1 else f"{mean:.1f}"


def markdown(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with text aligned left and numbers right."""
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
