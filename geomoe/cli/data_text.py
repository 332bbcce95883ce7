"""What ``geomoe data`` prints for people."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Any

from geomoe.support.text import counted, visible

WIDTH = 110
SHAPES = 6  # maximum number of image sizes listed
CODES = 12  # maximum number of country codes listed


def info_text(data: dict[str, Any]) -> str:
    """Facts about one data set, as lines."""
    facts = {
        "about": data["about"],
        "licence": data["licence"],
        "archive": data["size"]["archive"],
        "on disk": data["size"]["disk"],
        "splits": ", ".join(data["splits"]),
    }
    if data["samples"]:
        counts = ", ".join(f"{name} {number:,}" for name, number in data["samples"].items())
        facts["samples"] = f"{counts} ({data['samples_note']})"
    if data["configuration"]:
        facts["setting"] = f"{data['asked']}: {data['configuration']}"
    lines = [f"{data['name']}: {data['title']}", ""]
    lines += [_wrapped(f"{name:<10}", text) for name, text in facts.items()]
    lines += ["", "where to get it"]
    for source in data["sources"]:
        lines.append(_wrapped(f"  {source['status']:<11} ", source["name"]))
        details = [source["url"], source["note"], source["sha256"] and f"sha256 {source['sha256']}"]
        lines += [_wrapped(" " * 14, text) for text in details if text]
    lines += _fetching(data)
    lines += ["", "expected below --data-root", *(f"  {line}" for line in data["tree"].splitlines()), ""]
    return "\n".join([*lines, *_found(data)])


def size_text(size: int | None) -> str:
    """A number of bytes as readable text."""
    if size is None:
        return "unknown size"
    return (
        f"{size / 1e9:,.1f} GB"
        if size >= 1e9
        else f"{size / 1e6:,.1f} MB"
        if size >= 1e5
        else f"{size:,} bytes"
    )


def _fetching(data: dict[str, Any]) -> list[str]:
    """What ``geomoe data download`` can do for this data set."""
    if not data["expect"]:
        return []
    command = f"geomoe data download {data['asked']} --data-root DIR"
    if not data["files"]:
        lines = ["", "to fetch it: no source with a published hash is known; from a link that you trust"]
        return [*lines, f"  {command} --url URL --sha256 HEX"]
    lines = ["", "to fetch it, after the licence is agreed to, and check it", f"  {command}"]
    for file in data["files"]:
        digest = f"sha256 {file['sha256']}" if file["sha256"] else f"md5 {file['md5']}"
        lines.append(_wrapped("    ", f"{file['name']}, {size_text(file['size'])}, {digest}"))
    return lines


def _found(data: dict[str, Any]) -> list[str]:
    if data["looked_in"] is None:
        return ["not looked for: give --data-root DIR"] if data["expect"] or data["name"] == "folder" else []
    root, look = data["looked_in"], f"geomoe data check {data['asked']} --data-root {data['looked_in']}"
    if not data["expect"]:
        there = f"{root} is there; {look} --metadata FILE looks it over"
        return [there if data["folder_is_there"] else f"not found: there is no folder {root}"]
    if data["found"]:
        return [f"found in {data['folder']}; {look} looks it over"]
    missing = ", ".join(entry.replace("|", " or ") for entry in data["missing"])
    hint = f"; geomoe data download {data['asked']} fetches it" if data["files"] else ""
    return [f"not found: {data['folder']} lacks {missing}{hint}"]


def _wrapped(head: str, text: str) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


def check_text(data: dict[str, Any], files: list[Path]) -> str:
    """A check as tables: splits, pairs of splits, images, findings."""
    from geomoe.support.tables import new_table, render

    splits = new_table("splits", "split", "samples", "classes", "domains", "known places", "different")
    for name, part in data["splits"].items():
        classes = f"{part.classes} of {data['classes']}"
        numbers = (
            f"{part.samples:,}",
            classes,
            str(part.domains),
            f"{part.known_places:,}",
            f"{part.places:,}",
        )
        splits.add_row(name, *numbers)
    near = f"< {data['near_km']:g} km"
    pairs = new_table(
        "what the second split shares with the first",
        *("splits", "shared samples", "shared domains", "same place", near, "nearest km", "median km"),
    )
    for pair in data["pairs"]:
        counts = (pair.shared_rows, pair.shared_domains, pair.same_place, pair.near)
        km = (_km(pair.min_km), _km(pair.median_km))
        pairs.add_row(f"{pair.first}, {pair.second}", *(f"{n:,}" for n in counts), *km)
    countries = _countries(data) if data["countries"] else []
    listed = list(data["shapes"].items())
    shapes = ", ".join(f"{number:,} of {shape}" for shape, number in listed[:SHAPES])
    if len(listed) > SHAPES:
        shapes += f" and {len(listed) - SHAPES} more sizes"
    looked = f"{counted(data['looked_at'], 'image')} opened" + (f": {shapes}" if shapes else "")
    lines = ["", looked, *(f"  row {row}: {visible(problem)}" for row, problem in data["unreadable"][:20])]
    if len(data["unreadable"]) > 20:
        lines.append(f"  and {len(data['unreadable']) - 20} more; --json and --output list all")
    if data["reach"] is not None:
        lines += [_wrapped("", data["reach"]["text"])]
    lines += ["", "nothing to look at" if not data["findings"] else "to look at"]
    lines += [_wrapped(f"  {one.severity}: ", f"{one.where}: {one.what}") for one in data["findings"]]
    lines += ["", "sound" if data["sound"] else "NOT SOUND: see the faults above", *map(str, files)]
    return render([f"{data['name']} in {data['root']}", splits, pairs, *countries, "\n".join(lines)], WIDTH)


def _countries(data: dict[str, Any]) -> list[Any]:
    """A table that compares country codes with outlines, and a line about codes without an outline."""
    from geomoe.support.tables import new_table

    far = f"> {data['border_km']:g} km outside"
    table = new_table("country codes", "split", "judged", far, "median km", "furthest km", "not judged")
    codes: dict[str, int] = {}
    for name, found in data["countries"].items():
        unjudged = sum(found.not_judged.values())
        km = (_km(found.median_km), _km(found.max_km))
        table.add_row(name, f"{found.judged:,}", f"{found.outside:,}", *km, f"{unjudged:,}")
        for code, count in found.not_judged.items():
            codes[code] = codes.get(code, 0) + count
    if not codes:
        return [table]
    most = sorted(codes, key=lambda code: -codes[code])[:CODES]
    listed = ", ".join(f"{code or 'no code'} {codes[code]:,}" for code in most)
    more = f" and {len(codes) - CODES} more" if len(codes) > CODES else ""
    return [table, _wrapped("not judged, as no outline is known: ", listed + more)]


def _km(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}" if value < 100 else f"{value:,.0f}"
