"""Exit status, streams and signals, whatever the verb does."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from geomoe import __version__, cli
from geomoe.cli import VERBS, doctor, main
from geomoe.cli.console import Result, rows
from geomoe.config.keys import keys
from geomoe.config.rules import refuse
from geomoe.errors import ConfigError, ConfigFaultsError, DataError, InputError
from geomoe.support.plain import jsonable


@pytest.fixture
def doing(monkeypatch):
    """Let the verb doctor do something else."""

    def replace(run):
        monkeypatch.setattr(doctor, "run", run)

    return replace


def raising(error):
    def run(args):
        raise error

    return run


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"geomoe {__version__}\n"


def test_help_names_every_verb_and_ends_in_an_example(capsys):
    assert main(["--help"]) == 0
    out, err = capsys.readouterr()
    assert all(f"  {verb} " in out for verb in VERBS)
    assert out.rstrip().splitlines()[-2] == "example:"
    assert err == ""


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_each_verb_ends_in_an_example_that_parses(verb, capsys):
    assert main([verb, "--help"]) == 0
    *_, heading, example = capsys.readouterr().out.rstrip().splitlines()
    assert heading == "example:"
    program, named, *argv = example.split()
    assert (program, named) == ("geomoe", verb)
    args = cli.importlib.import_module(f"geomoe.cli.{verb.replace('-', '_')}").parser().parse(argv)
    assert not getattr(args, "faults", [])


@pytest.mark.parametrize("before", [["--json"], ["--quiet", "--json"], ["--debug", "--json", "--quiet"]])
def test_options_before_the_verb_are_those_behind_it(before, doing, capsys):
    seen = []
    doing(lambda args: seen.append(args) or Result({"a": 1}, "text"))
    assert main([*before, "doctor"]) == main(["doctor", *before]) == 0
    front, back = seen
    assert vars(front) == vars(back)
    out = capsys.readouterr().out
    assert out == '{\n  "a": 1\n}\n' * 2


def test_options_before_train_and_help(capsys):
    assert main(["--quiet", "train", "bluemarble", "--print-config", "--model.top_k", "2"]) == 0
    before = capsys.readouterr().out
    assert main(["train", "bluemarble", "--print-config", "--model.top_k", "2", "--quiet"]) == 0
    assert capsys.readouterr().out == before
    assert main(["--quiet", "--version"]) == 0


@pytest.mark.parametrize(
    ("front", "behind"),
    [
        ("--model.top_k 2 --seed=3 train bluemarble", "train bluemarble --model.top_k 2 --seed=3"),
        ("--quiet --model.learn_gamma train bluemarble", "train bluemarble --quiet --model.learn_gamma"),
        ("--held-out Asia --json train bluemarble", "train bluemarble --held-out Asia --json"),
    ],
)
def test_any_option_may_stand_before_the_verb(front, behind, capsys):
    shown = []
    for line in (front, behind):
        assert main([*line.split(), "--print-config"]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]


@pytest.mark.parametrize("words", ["help train", "-h train", "--help train", "--json help train", "train -h"])
def test_help_of_a_verb_in_any_order(words, capsys):
    assert main(words.split()) == 0
    assert capsys.readouterr().out.startswith("usage: geomoe train NAME")


def test_the_help_of_train_is_brief_and_help_all_is_not(capsys):
    assert main(["train", "--help"]) == 0
    brief = capsys.readouterr().out
    assert main(["train", "--help-all"]) == 0
    full = capsys.readouterr().out
    assert len(brief.splitlines()) < 80 < 400 < len(full.splitlines())
    for key in keys().values():
        assert f"--{key.name}" in brief
        assert key.doc not in brief or len(key.doc) < 12
    assert "--moge.OPTION" in brief
    assert "--moge.cka_estimator" in full


def test_no_verb_is_wrong_usage(capsys):
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: geomoe VERB")


def test_results_go_to_stdout_and_messages_to_stderr(doing, capsys):
    def run(args):
        print("a library prints")
        return Result({"a": float("nan")}, "for people")

    doing(run)
    assert main(["doctor"]) == 0
    assert capsys.readouterr() == ("for people\n", "a library prints\n")
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"a": None}


def test_status_of_the_result(doing, capsys):
    doing(lambda args: Result({}, "bad", status=1))
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out == "bad\n"


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (DataError("x.csv: empty"), 2, "geomoe: error: x.csv: empty"),
        (
            RuntimeError("two\n  lines"),
            1,
            "geomoe: error: RuntimeError: two lines (--debug shows the traceback)",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "/out/a.tif"),
            2,
            "geomoe: error: /out/a.tif: No space left on device; give a folder with room that can be written",
        ),
        (
            OSError(errno.EFBIG, "File too large"),
            2,
            "geomoe: error: output: File too large; give a folder with room that can be written",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "in/a.tif"),
            2,
            "geomoe: error: in/a.tif: Permission denied; change its permissions or those of a folder "
            "above it, or give another one",
        ),
        (
            OSError(errno.ENAMETOOLONG, "File name too long", "a" * 9),
            2,
            "geomoe: error: aaaaaaaaa: File name too long; give a shorter name",
        ),
        (KeyError("x"), 1, "geomoe: error: KeyError: 'x' (--debug shows the traceback)"),
        (KeyboardInterrupt(), 130, "geomoe: interrupted"),
    ],
)
def test_errors_are_one_line(doing, capsys, error, status, line):
    doing(raising(error))
    assert main(["doctor"]) == status
    assert capsys.readouterr() == ("", f"{line}\n")


def test_debug_shows_the_traceback(doing, capsys):
    doing(raising(DataError("x.csv: empty")))
    assert main(["doctor", "--debug"]) == 2
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert err.rstrip().endswith("geomoe: error: x.csv: empty")


def test_warnings_of_other_packages_are_held_back_without_debug(doing, recwarn, capsys):
    def run(args):
        import warnings

        warnings.warn_explicit("old", DeprecationWarning, "x.py", 1, module="timm.models")
        return Result({}, "done")

    doing(run)
    assert main(["doctor"]) == 0
    assert not recwarn.list
    assert main(["doctor", "--debug"]) == 0
    assert len(recwarn.list) == 1


def test_the_log_of_geomoe_goes_to_stderr(doing, capsys):
    import logging

    def run(args):
        logging.getLogger("geomoe.datasets").info("3 unknown places")
        logging.getLogger("geomoe.datasets").warning("attention")
        return Result({}, "done")

    doing(run)
    main(["doctor"])
    assert capsys.readouterr().err == "geomoe: 3 unknown places\ngeomoe: attention\n"
    main(["doctor", "--quiet"])
    assert capsys.readouterr().err == "geomoe: attention\n"


def test_a_broken_database_of_coordinate_systems_is_named(capsys, monkeypatch):
    from rasterio.errors import CRSError

    def run(args):
        raise CRSError("The EPSG code is unknown. PROJ: Cannot find proj.db")

    monkeypatch.setattr(doctor, "run", run)
    monkeypatch.setenv("PROJ_LIB", "/nowhere")
    monkeypatch.delenv("PROJ_DATA", raising=False)
    assert main(["doctor"]) == 2
    said = "the database of coordinate systems cannot be used; unset PROJ_LIB (The EPSG code is unknown."
    assert capsys.readouterr().err.startswith(f"geomoe: error: {said}")


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "SLURM_NTASKS", "SLURM_PROCID", "SOURCE_DATE_EPOCH"])
@pytest.mark.parametrize("value", ["abc", "1.5", "-1"])
def test_a_variable_that_libraries_read_as_a_number_is_refused(capsys, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert main(["evaluate", "--checkpoint", "none.ckpt"]) == 2
    said = f"{name} in the environment: expected a whole number; got {value!r}; unset it"
    assert capsys.readouterr().err == f"geomoe: error: {said}\n"


@pytest.mark.parametrize(("name", "refused"), [("RANK", True), ("SOURCE_DATE_EPOCH", False)])
def test_an_empty_variable_is_unset_where_its_library_says_so(capsys, monkeypatch, name, refused):
    monkeypatch.setenv(name, "")
    assert main(["evaluate", "--checkpoint", "none.ckpt"]) == 2
    assert (f"{name} in the environment" in capsys.readouterr().err) == refused


def test_a_rank_that_a_launcher_left_is_refused_where_networks_are_trained(capsys, monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert main(["train", "bluemarble", "--print-config"]) == 2
    said = "SLURM_PROCID=1 in the environment, but no SLURM_NTASKS: it is left from a launcher; unset it"
    assert capsys.readouterr().err.startswith(f"geomoe: error: {said}")
    monkeypatch.setenv("SLURM_NTASKS", "2")
    assert main(["train", "bluemarble", "--print-config"]) == 2
    assert "SLURM_NTASKS=2 in the environment: ask Slurm for --ntasks-per-node" in capsys.readouterr().err
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "2")
    assert main(["train", "bluemarble", "--print-config"]) == 0
    monkeypatch.setenv("RANK", "1")
    assert main(["train", "bluemarble", "--print-config"]) == 2
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["train", "bluemarble", "--print-config"]) == 0


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["trian"], "unknown verb 'trian'; did you mean train? (verbs: quickstart, train, "),
        (["--verson"], "no verb: geomoe VERB --verson (verbs: quickstart, train, "),
        (["--device", "cpu"], "no verb: geomoe VERB --device cpu (verbs: "),
        (["help", "trian"], "unknown verb 'trian'; did you mean train?"),
        (["-h", "trian"], "unknown verb 'trian'; did you mean train?"),
        (
            ["--splt", "val", "evaluate", "--checkpoint", "x"],
            "unknown argument --splt; did you mean --split?",
        ),
        (
            ["data", "--json", "doctor"],
            "argument action: invalid choice: 'doctor' (choose from 'info'",
        ),
        (["evaluate"], "the following arguments are required: --checkpoint; see geomoe evaluate --help"),
        (
            ["evaluate", "--checkpoint", "x", "--splt", "val"],
            "unknown argument --splt; did you mean --split?; unexpected argument 'val'",
        ),
        (["evaluate", "--checkpoint", "x", "--experts", "-1"], "argument --experts: expected"),
        (["evaluate", "--check", "x"], "the following arguments are required: --checkpoint"),
        (["encode", "x.csv", "--encoder", "satclp", "--output", "y.csv"], "did you mean satclip?"),
        (["encode", "x.csv", "--output", "y.csv"], "one of the arguments --encoder --checkpoint is required"),
        (
            ["quickstart", "--epochs", "0"],
            "--epochs: expected a whole number from 1 to 1,000,000; got '0'",
        ),
        (
            ["quickstart", "--step", "nan"],
            "step: expected a positive number of degrees that divides both sides",
        ),
        (["bench", "--stale", "nan"], "argument --stale: expected a number from 0.001 to 1e+07; got 'nan'"),
        (["diagnose", "--split", "val"], "the following arguments are required: --checkpoint"),
        (
            ["diagnose", "--checkpoint", "x", "--km", "1;10"],
            "--km: expected distances in km such as 1,10,100; got '1;10'",
        ),
        (["diagnose", "--checkpoint", "x", "--samples", "-1"], "--samples: expected a whole number"),
        (
            ["map-experts", "--checkpoint", "x", "--output", "y", "--step", "fine"],
            "argument --step: invalid float",
        ),
        (
            ["map-experts", "--checkpoint", "x", "--output", "y", "--bounds", "1", "2"],
            "--bounds: expected 4 arg",
        ),
    ],
)
def test_wrong_usage(argv, message, capsys):
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("geomoe: error: ")
    assert message in err
    assert len(err.splitlines()) == 1


def test_without_a_free_file_handle_there_is_one_line(doing, capsys):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    doing(lambda args: Path("/dev/null").read_text())
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        status = main(["doctor"])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert status == 2
    assert capsys.readouterr().err == (
        "geomoe: error: /dev/null: Too many open files; raise the limit of open files (ulimit -n)\n"
    )


def test_a_reader_that_leaves_is_no_error():
    code = (
        "import sys; from geomoe.cli import main, doctor; from geomoe.cli.console import Result\n"
        "doctor.run = lambda args: Result({}, 'x' * 1_000_000)\n"
        "sys.exit(main(['doctor']))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 0


def test_ctrl_c_of_a_real_process():
    code = (
        "import signal, sys, time; from geomoe.cli import main, train\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background job begins without one
        "def run(args): print('ready', file=sys.stderr, flush=True); time.sleep(60)\n"
        "train.run = run\n"
        "sys.exit(main(['train', 'bluemarble', '--seed', '3']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr.readline() == "ready\n"
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130
    assert out == ""
    assert err == "geomoe: interrupted; begin again with: geomoe train bluemarble --seed 3\n"


def test_a_folder_that_is_gone_and_a_home_of_nobody(doing, capsys, monkeypatch, tmp_path):
    doing(lambda args: Path("~nobody-of-this-name/x").expanduser())
    assert main(["doctor"]) == 2
    assert capsys.readouterr().err == (
        "geomoe: error: a path begins with ~, and there is no such user or no home; give the whole path\n"
    )
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    doing(lambda args: Path("x").absolute())
    assert main(["doctor"]) == 2
    monkeypatch.chdir(tmp_path)
    assert capsys.readouterr().err == (
        "geomoe: error: the folder that the command runs in is gone; go to another one (cd)\n"
    )


def test_ctrl_c_waits_until_torch_is_imported():
    code = (
        "import os, signal, sys, time, types; from geomoe.cli import main, train\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "torch = sys.modules['torch'] = types.ModuleType('torch')\n"
        "torch.__spec__ = types.SimpleNamespace(_initializing=True)\n"
        "def run(args):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(0.2)\n"
        "    print('whole', file=sys.stderr)\n"
        "    torch.__spec__._initializing = False\n"
        "    time.sleep(60)\n"
        "train.run = run\n"
        "sys.exit(main(['train', 'bluemarble']))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 130
    assert run.stderr == "whole\ngeomoe: interrupted; begin again with: geomoe train bluemarble\n"


def test_python_m_geomoe_is_geomoe():
    run = subprocess.run(
        [sys.executable, "-m", "geomoe", "--version"], capture_output=True, text=True, check=True
    )
    assert run.stdout == f"geomoe {__version__}\n"


def test_plain_values():
    import dataclasses
    from pathlib import Path

    import numpy as np

    @dataclasses.dataclass
    class Point:
        lon: float
        names: tuple[str, ...]

    given = {
        "a": np.float32(0.5),
        "b": np.arange(2),
        3: Point(float("inf"), ("x",)),
        "p": Path("a/b"),
        "n": None,
    }
    expected = {"a": 0.5, "b": [0, 1], "3": {"lon": None, "names": ["x"]}, "p": "a/b", "n": None}
    assert jsonable(given) == expected


def test_rows_are_aligned():
    assert rows({"a": 1, "long": 0.25}) == "a     1\nlong  0.25"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConfigError("no domain 'x' (known: a\nb, c\u202e)"), ["no domain 'x' (known: a\\nb, c\\u202e)"]),
        (InputError("a\x1b[2J\nb"), ["a\\x1b[2J\\nb"]),
        (ConfigFaultsError("2 faults in the configuration:\n  one\n  two"), None),
    ],
)
def test_a_name_in_an_error_begins_no_line(error, said, monkeypatch, capsys):
    """Only several faults have several lines, and the names in them have been made visible before."""

    def fails(args):
        raise error

    monkeypatch.setattr("geomoe.cli.doctor.run", fails)
    assert main(["doctor"]) == 2
    lines = [f"geomoe: error: {line}" for line in said] if said else str(error).splitlines()
    found = capsys.readouterr().err.splitlines()
    assert found == (lines if said else [f"geomoe: error: {lines[0]}", *lines[1:]])


def test_faults_with_line_breaks_in_names_are_a_line_each():
    with pytest.raises(ConfigFaultsError) as caught:
        refuse(["a\nb: no", "c: no"])
    assert str(caught.value).splitlines() == ["2 faults in the configuration:", "  a\\nb: no", "  c: no"]
