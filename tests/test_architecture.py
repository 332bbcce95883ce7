"""Who may import whom, what importing may do, and who may print: the house rules, checked."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "geomoe"
FILES = sorted(PACKAGE.rglob("*.py"))

#: Room -> level. A room imports only rooms of lower levels, and itself. A room that is not named here
#: belongs to the room that it lies in.
LEVELS = {
    # ground
    "": 0,  # geomoe itself: the version, and public names that are imported when they are first used
    "errors": 0,
    "support": 1,
    "coords": 1,
    "types": 1,
    "catalogue": 1,
    "config": 2,
    "earth": 2,
    "pages": 3,
    # learning
    "encoders": 3,
    "moe": 3,
    "losses": 3,
    "models": 4,
    "algorithms": 5,
    # data
    "reading": 3,
    "fetching": 4,
    "datasets.augment": 3,
    "datasets.collate": 3,
    "datasets.base": 4,
    "datasets.of_domains": 5,
    "datasets.batches": 5,
    "datasets.cache": 5,
    "datasets.module": 6,
    "datasets.training_places": 4,
    "datasets.fmow_names": 4,
    "datasets.bluemarble": 7,
    "datasets.domainbed": 7,
    "datasets.fmow": 7,
    "datasets.folder": 7,
    "datasets.iwildcam": 7,
    "datasets.mapinwild": 7,
    "datasets.rcmnist": 7,
    "datasets.samples": 7,  # a sample is known by no reader, and knows none
    "datasets.wilds": 8,
    "datasets.registry": 8,
    "datasets": 9,
    "checking": 12,
    # running
    "checkpoint": 10,
    "build": 11,
    "inference": 12,
    "training": 13,
    # judging
    "metrics": 3,
    "evaluation.reports": 13,
    "evaluation": 14,
    "mapping": 14,
    "diagnose": 14,
    # door
    "bench.planning": 14,
    "bench.running": 15,
    "bench.results": 16,
    "bench": 17,
    "doctor": 15,
    "quickstart": 15,
    "cli": 18,
    "__main__": 19,
}
INNER = ("errors", "coords", "types", "config", "encoders", "moe", "losses", "models", "algorithms")
STREAMS = {f"sys.{name}" for name in ("stdout", "stderr", "__stdout__", "__stderr__")}
HEAVY = (
    "lightning",
    "pytorch_lightning",
    "torchgeo",
    "rasterio",
    "geopandas",
    "folium",
    "pandas",
    "matplotlib",
)


def module_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module):
    """The longest named room that a module lies in."""
    parts = module.split(".")
    names = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((name for name in names if name in LEVELS), module)


def imports_of(path):
    """Every geomoe module that a file imports, anywhere in it, with the line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name.split(".")[0] == "geomoe":
                    yield name.name.removeprefix("geomoe").lstrip("."), node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            base = (node.module or "").split(".")
            if base[0] == "geomoe":
                for name in node.names:
                    longer = [*base[1:], name.name]
                    is_module = (PACKAGE.joinpath(*longer).with_suffix(".py")).exists() or (
                        PACKAGE.joinpath(*longer) / "__init__.py"
                    ).exists()
                    yield ".".join(longer if is_module else base[1:]), node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            given = [*node.args, *(word.value for word in node.keywords if word.arg == "name")]
            named = given[0] if given else None  # by a text, or the known beginning of one
            first = named.values[0] if isinstance(named, ast.JoinedStr) else named
            text = first.value if isinstance(first, ast.Constant) else ""
            if isinstance(text, str) and text.split(".")[0] == "geomoe":
                yield text.removeprefix("geomoe").strip("."), node.lineno


def forbidden(module, imported):
    """Whether one module may not import the other."""
    own, other = room_of(module), room_of(imported)
    return own != other and LEVELS[other] >= LEVELS[own]


def python(code, **options):
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, **options)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_every_room_has_a_level():
    assert {room_of(module_of(path)) for path in FILES} <= set(LEVELS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_room_imports_only_lower_levels(path):
    module = module_of(path)
    wrong = [f"line {line}: {name}" for name, line in imports_of(path) if forbidden(module, name)]
    assert not wrong, f"{module} (level {LEVELS[room_of(module)]}) imports {wrong}"


def test_the_page_has_every_room_at_its_level():
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("<!-- levels: begin -->")[2].partition("<!-- levels: end -->")[0]
    rows = re.findall(r"^\| (\d+) \| (.*?) \|", table, flags=re.MULTILINE)
    told = {room: int(level) for level, rooms in rows for room in re.findall(r"`([\w.]+)`", rooms)}
    assert told == {room or "geomoe": level for room, level in LEVELS.items()}
    picture = page.partition("```\n")[2].partition("```")[0]
    entries = {
        path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    missing = {name for name in entries if not re.search(rf"\b{name}\b", picture)}
    assert missing == {"__init__"}


def test_the_rule_catches_what_it_is_for():
    assert forbidden("moe.layer", "encoders")
    assert forbidden("moe.layer", "encoders.base")
    assert forbidden("encoders.base", "models")
    assert forbidden("training.task", "evaluation.run")
    assert forbidden("pages.shell", "mapping.page")
    assert forbidden("pages.shell", "inference")
    assert forbidden("datasets.fmow.reader", "datasets.iwildcam.tables")
    assert forbidden("datasets.samples.fmow", "datasets.fmow.reader")
    assert forbidden("datasets.base", "datasets.module")
    assert forbidden("reading.raster", "datasets.base")
    assert not forbidden("mapping.ask", "inference")
    assert not forbidden("mapping.draw", "mapping.table")
    assert not forbidden("config.load", "config.schema")
    assert not forbidden("algorithms.experts.moge", "losses.cka")
    assert not forbidden("datasets.fmow.reader", "datasets.base")


@pytest.mark.slow
def test_no_module_is_in_a_circle_of_imports():
    graph = {module_of(path): {name for name, _ in imports_of(path)} for path in FILES}
    for module, names in graph.items():
        names.discard(module)  # a package that imports its own parts by a name that is made: geomoe.cli.VERB
    for module in graph:
        reached, waiting = set(), [name for name in graph[module] if name in graph]
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached.add(name)
                waiting += [other for other in graph[name] if other in graph]
        assert module not in reached, f"{module} imports itself, through {sorted(reached)}"


def verbs_imported_by_a_verb():
    """Verb -> other verbs that its file imports; what verbs share is in console, parsing, or another room."""
    from geomoe.cli import VERBS

    files = {f"cli.{verb.replace('-', '_')}" for verb in VERBS}
    return {
        path.stem: {name for name, _ in imports_of(path) if name in files}
        for path in FILES
        if module_of(path).startswith("cli.") and path.stem not in {"__init__"}
    }


def test_no_verb_imports_another():
    found = verbs_imported_by_a_verb()
    assert {"train", "data", "data_parser", "quickstart"} <= set(found)
    assert {name: others for name, others in found.items() if others} == {}


def test_the_tests_mirror_the_rooms():
    """Each folder of the package has one among the tests; ``datasets/samples`` serves all of them."""
    tests = PACKAGE.parent / "tests"
    rooms = {path.parent.relative_to(PACKAGE).as_posix() for path in FILES} - {"."}
    mirrored = {path.parent.relative_to(tests).as_posix() for path in tests.rglob("test_*.py")} - {"."}
    assert rooms - mirrored == {"datasets/samples"}
    beside = {"benchmarks", "browser", "docs", "security", "theory"}  # what no single room answers for
    assert mirrored - rooms == beside
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert all(f"`tests/{name}/`" in page for name in beside)


def asks_a_network(source):
    """Lines where a file finds out by its attributes or class what a geomoe network is."""
    tree = ast.parse(source)
    kinds = set(re.findall(r"^class (\w+)\(.*(?:Network|MoGEViT)\):", _MODELS, flags=re.MULTILINE))
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) > 1):
            continue
        asked, other = map(ast.unparse, node.args[:2])
        if node.func.id in {"getattr", "hasattr"} and re.search(r"\b(model|network|answering\(\))$", asked):
            yield node.lineno
        if node.func.id == "isinstance" and re.search(rf"\b({'|'.join(kinds)})\b", other):
            yield node.lineno


_MODELS = "\n".join(path.read_text(encoding="utf-8") for path in FILES if path.parent.name == "models")


def test_no_room_asks_what_a_network_is():
    """Its attributes say so (``geomoe.models.Network``); ``models`` itself looks at timm's networks."""
    assert list(asks_a_network('getattr(self.model, "blocks", ())')) == [1]
    assert list(asks_a_network('x = 1\nhasattr(method.answering(), "encoder")')) == [2]
    assert list(asks_a_network("isinstance(network, MoGEViT | None)")) == [1]
    assert not list(asks_a_network("isinstance(network, Network)"))
    found = {
        module_of(path): list(asks_a_network(path.read_text(encoding="utf-8")))
        for path in FILES
        if room_of(module_of(path)) != "models"
    }
    assert {module: lines for module, lines in found.items() if lines} == {}


def test_the_parser_of_imports_finds_them(tmp_path):
    path = tmp_path / "x.py"
    lines = (
        "import geomoe.moe",
        "def f():",
        "    from geomoe.coords import check_lonlat",
        "    from geomoe import cli",
        "    importlib.import_module('geomoe.cli.train')",
        "    import_module(f'geomoe.datasets.{name}')",
        "    import_module(public[name])",
        "    importlib.import_module(name='geomoe.build')",
        "    __import__('geomoe.doctor')",
    )
    path.write_text("\n".join(lines))
    assert list(imports_of(path)) == [
        ("moe", 1),
        ("coords", 3),
        ("cli", 4),
        ("cli.train", 5),
        ("datasets", 6),
        ("build", 8),
        ("doctor", 9),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_only_the_command_line_prints_and_exits_and_nobody_asserts(path):
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines()
    program = room_of(module_of(path)) in {"cli", "__main__"}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assert):  # gone under python -O, so never on anybody's input
            assert "# for the type checker" in lines[node.lineno - 1], f"{path}:{node.lineno}: assert"
        if isinstance(node, ast.Call) and not program:
            called = ast.unparse(node.func)
            assert called not in {"print", "exit", "sys.exit", "os._exit"}, f"{path}:{node.lineno}: {called}"
        if isinstance(node, ast.Attribute) and not program:
            assert ast.unparse(node) not in STREAMS, f"{path}:{node.lineno}"
        if isinstance(node, ast.ImportFrom) and not program:
            names = {f"{node.module}.{one.name}" for one in node.names}
            assert not names & {*STREAMS, "sys.exit", "os._exit"}, f"{path}:{node.lineno}"


@pytest.mark.slow
@pytest.mark.long  # what they import is read from the source above
def test_inner_rooms_need_torch_and_timm_alone():
    """On a machine without the geospatial and training stacks, the networks and losses still import.

    Encoders, imported first, need torch alone.
    """
    modules = [f"geomoe.{module_of(path)}" for path in FILES if room_of(module_of(path)) in INNER]
    python(
        f"""
import importlib, sys
class NotInstalled:  # these packages look as if they were not there
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in {HEAVY!r} else self.finder.find_spec(name, path, target)
sys.meta_path[:] = [NotInstalled(finder) for finder in sys.meta_path]
import geomoe.encoders
light = "timm torchgeo torchvision geoclip huggingface_hub lightning rasterio geopandas safetensors"
assert not [name for name in light.split() if name in sys.modules]
for module in {modules!r}:
    importlib.import_module(module)
"""
    )


@pytest.mark.slow
def test_drawing_needs_no_torch():
    modules = [
        f"geomoe.{module_of(path)}"
        for path in FILES
        if room_of(module_of(path)) in {"earth", "pages", "mapping"}
        and module_of(path) not in {"mapping.ask", "mapping.draw"}
    ]
    python(
        f"import importlib, sys\nfor module in {modules!r}: importlib.import_module(module)\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )


@pytest.mark.long
@pytest.mark.slow
def test_importing_does_nothing(tmp_path):
    """No folder, file, warning, environment variable, random number or device comes of an import."""
    home = tmp_path / "home"
    home.mkdir()
    modules = [f"geomoe.{module_of(path)}" for path in FILES if module_of(path) != "__main__"]
    code = f"""
import importlib, os, random, warnings
import numpy, torch
def world():
    numbers = torch.random.get_rng_state().tolist(), random.getstate(), numpy.random.get_state()[1].tolist()
    return dict(os.environ), numbers, torch.get_num_threads(), torch.get_default_dtype(), os.getcwd()
libraries = ("timm", "torchgeo.datasets", "torchgeo.datamodules", "lightning", "geopandas", "rasterio")
for name in (*libraries, "folium", "matplotlib.pyplot"):
    importlib.import_module(name)  # what these do is theirs
before = world()
warnings.simplefilter("error")
for module in {modules!r}:
    importlib.import_module(module.rstrip("."))
assert before == world()
assert not torch.cuda.is_initialized()
"""
    cache = tmp_path / "cache"
    own = {"HOME": home, "GEOMOE_CACHE": cache, "XDG_CACHE_HOME": cache, "MPLCONFIGDIR": tmp_path / "mpl"}
    settings = {
        **os.environ,
        **{name: str(value) for name, value in own.items()},
        "PYTHONPATH": str(PACKAGE.parent),
    }
    python(code, cwd=home, env=settings)
    left = [*home.rglob("*"), *cache.rglob("*")]
    assert not [path for path in left if "geomoe" in path.name or path.name in {"runs", "data"}]


def test_help_needs_no_torch():
    """Imports that the help of every verb pulls in; torch would cost seconds, pandas and rich tenths."""
    heavy = ("torch", "numpy", "pandas", "rich", "lightning", "matplotlib", "torchgeo", "timm")
    python(
        f"""
import contextlib, io, sys
from geomoe.cli import VERBS, main
with contextlib.redirect_stdout(io.StringIO()):
    assert main(["--help"]) == 0
    assert main(["--version"]) == 0
    for verb in VERBS:
        assert main([verb, "--help"]) == 0
    assert main(["train", "bluemarble", "--print-config"]) == 0
found = [name for name in {heavy!r} if name in sys.modules]
assert not found, found
"""
    )


def texts_of(tree):
    """Every string in a file that is no docstring."""
    bodies = [
        node.body for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    ]
    told = {id(body[0].value) for body in bodies if body and isinstance(body[0], ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node


def choices_of(tree):
    """The values of every ``Literal`` in a file."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Subscript)]
    inside = [node.slice for node in found if isinstance(node.value, ast.Name) and node.value.id == "Literal"]
    return {one.value for part in inside for one in ast.walk(part) if isinstance(one, ast.Constant)}


def methods_named(module, source):
    """Lines of a module that name a training method that is not its own, as a word or as a class.

    Examples of commands in the room ``cli`` are documentation. One method may derive from another, and an
    option of a method may have a value of the same name (MMD is a discrepancy too).
    """
    from geomoe.catalogue import METHODS
    from geomoe.cli.completion import SHELLS

    tree = ast.parse(source)
    homes = {name: entry.target.removeprefix("geomoe.").partition(":") for name, entry in METHODS.items()}
    names = {name for name, (home, _, _) in homes.items() if home != module}
    kinds = {kind for home, _, kind in homes.values() if home != module}
    in_cli, is_method = room_of(module) == "cli", module in {home for home, _, _ in homes.values()}
    allowed = set(SHELLS) if in_cli else choices_of(tree) if is_method else set()
    for node in texts_of(tree):
        words = set() if in_cli and " " in node.value else set(re.findall(r"\w+", node.value))
        yield from ((node.lineno, word) for word in sorted(words & names - allowed))
    for node in ast.walk(tree):
        used = {
            ast.alias: lambda one: one.name,
            ast.Name: lambda one: one.id,
            ast.Attribute: lambda one: one.attr,
        }.get(type(node), lambda one: "")(node)
        if used in kinds and not is_method:
            yield node.lineno, used


@pytest.mark.parametrize(
    ("module", "source", "found"),
    [
        ("build", 'if name == "swad":\n    pass', [(1, "swad")]),
        ("build", 'tables = {"mixup": 1}', [(1, "mixup")]),
        ("bench.plan", 'message = "give --algorithm irm"', [(1, "irm")]),
        ("bench.plan", 'message = f"{one} of groupdro"', [(1, "groupdro")]),
        ("training.run", "from geomoe.algorithms.pooled.swad import SWAD", [(1, "SWAD")]),
        ("training.run", "isinstance(method, erm.ERM)", [(1, "ERM")]),
        ("algorithms.contract", 'need_domains(facts, "vrex")', [(1, "vrex")]),
        ("algorithms.contract", "class Other(DANN):\n    pass", [(1, "DANN")]),
        ("algorithms.risks.irm", 'name = "vrex"', [(1, "vrex")]),
        ("algorithms.risks.irm", 'name = "irm"', []),
        ("algorithms.alignment.cdann", "class CDANN(DANN):\n    pass", []),
        ("algorithms.risks.irm", 'kind: Literal["a", "mmd"]', []),
        ("build", 'kind: Literal["a", "mmd"]', [(1, "mmd")]),
        ("build", '"""What fish and moge do."""', []),
        ("cli.train", 'example = "geomoe train bluemarble --algorithm erm"', []),
        ("cli.train", 'if name == "moge":\n    pass', [(1, "moge")]),
        ("cli.completion", 'shells = {"fish": 1}', []),
    ],
)
def test_the_search_for_names_of_methods_finds_them(module, source, found):
    assert list(methods_named(module, source)) == found


@pytest.mark.slow
def test_a_method_is_named_in_its_own_file_and_the_catalogue_alone():
    found = {
        module_of(path): list(methods_named(module_of(path), path.read_text(encoding="utf-8")))
        for path in FILES
        if path != PACKAGE / "catalogue.py"
    }
    assert {module: lines for module, lines in found.items() if lines} == {}
