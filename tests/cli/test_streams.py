"""What is printed, in any encoding, to a reader who leaves, and with nobody there."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys

import pytest

from geomoe.cli import doctor, main
from geomoe.cli.console import Result
from geomoe.errors import DataError

HOSTILE = "лес\x1b[2J\ngeomoe: error: forged\u202e" + os.fsdecode(b"\xe9")


@pytest.fixture
def printing(monkeypatch):
    """What doctor writes to a stdout of this encoding: its bytes."""

    def run(result, encoding, *flags):
        stream = io.TextIOWrapper(io.BytesIO(), encoding)
        monkeypatch.setattr(doctor, "run", lambda args: result)
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["doctor", *flags]) == 0
        return stream.buffer.getvalue()

    return run


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8", "utf-16", "koi8-r", "shift_jis"])
def test_a_result_is_printed_in_every_encoding(printing, encoding):
    text = printing(Result({}, f"── {HOSTILE}"), encoding).decode(encoding)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert text.endswith("\\u202e\\xe9\n")
    value = printing(Result({"name": HOSTILE}, ""), encoding, "--json").decode(encoding)
    assert json.loads(value) == {"name": HOSTILE}
    assert "\x1b" not in value


def test_help_in_ascii(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["train", "--help"]) == 0
    assert stream.buffer.getvalue().startswith(b"usage: geomoe train")


def test_names_cannot_forge_messages(monkeypatch, capsys):
    def run(args):
        logging.getLogger("geomoe.test").warning("found %s", HOSTILE[:-1])  # pytest-xdist sends logs as UTF-8
        raise DataError(f"{HOSTILE}: no such file")

    monkeypatch.setattr(doctor, "run", run)
    assert main(["doctor"]) == 2
    shown = "лес\\x1b[2J\\ngeomoe: error: forged\\u202e\\xe9"
    assert capsys.readouterr().err == f"geomoe: found {shown[:-4]}\ngeomoe: error: {shown}: no such file\n"


def test_a_pipe_that_breaks_inside_is_an_error(monkeypatch, capsys):
    """Only stdout may be left by its reader: a helper process that has ended is no success."""

    def run(args):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(doctor, "run", run)
    assert main(["doctor"]) == 1
    assert "BrokenPipeError" in capsys.readouterr().err


WORK = (
    "import logging, sys; from geomoe.cli import main, doctor; from geomoe.cli.console import Result\n"
    "def run(args):\n"
    "    for _ in range(3000): logging.getLogger('geomoe').warning('x' * 100)\n"
    "    print('of a library'); open(sys.argv[1], 'w').write('done')\n"
    "    return Result({}, 'the result')\n"
    "doctor.run = run\n"
    "sys.exit(main(['doctor']))\n"
)


@pytest.mark.parametrize(
    "shell",
    [
        '"$0" -c "$1" "$2" >&-',
        '"$0" -c "$1" "$2" >&- 2>&- <&-',
        '{ "$0" -c "$1" "$2" 2>&1; echo $? >"$2.rc"; } | head -1 >/dev/null; exit $(cat "$2.rc")',
    ],
)
def test_the_work_is_done_although_nobody_listens(shell, tmp_path):
    done = tmp_path / "done"
    run = subprocess.run(["bash", "-c", shell, sys.executable, WORK, str(done)], capture_output=True)
    assert run.returncode == 0
    assert done.read_text() == "done"
    assert b"Traceback" not in run.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_full_disk_is_no_success(capsys):
    run = subprocess.run(
        ["bash", "-c", '"$0" -m geomoe --version >/dev/full', sys.executable], capture_output=True, text=True
    )
    assert run.returncode == 2
    assert run.stderr == (
        "geomoe: error: output: No space left on device; give a folder with room that can be written\n"
    )


DRAWING = """
import logging, sys
from geomoe.cli import doctor, main
from geomoe.cli.console import Result

def run(args):
    import matplotlib.font_manager
    logging.getLogger("geomoe.drawing").warning("ours")
    logging.getLogger("other").error("an error of another package")
    return Result({}, "done")

doctor.run = run
main(["doctor", *sys.argv[1:]])
"""


@pytest.mark.slow
@pytest.mark.parametrize("debug", [False, True])
def test_warnings_that_other_packages_log_show_with_debug_alone(debug, tmp_path):
    (tmp_path / "file").touch()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MPL", "XDG_"))}
    done = subprocess.run(
        [sys.executable, "-c", DRAWING, *["--debug"][: int(debug)]],
        env={**kept, "HOME": str(tmp_path / "file"), "MPLBACKEND": "none"},  # a home that takes no folder
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "done\n"
    if debug:
        assert "Matplotlib created a temporary cache directory" in done.stderr
    else:
        assert done.stderr == "geomoe: ours\nan error of another package\n"
