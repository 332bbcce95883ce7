"""Machines that lack something: room, inodes, rights, handles, memory, a home, an encoding, readers."""

from __future__ import annotations

import codecs
import os
import resource
import signal
import subprocess
from functools import partial

from commands import COMMANDS, environment, prepare, undisturbed
from shop import clean, same, tree

#: What is lacking -> the commands that meet it.
LACKS = (
    "disk",
    "file size",
    "inodes",
    "read-only",
    "rights",
    "handles",
    "memory",
    "home",
    "locale",
    "pipe",
    "closed",
)
VERBS = ("train moge", "predict csv", "cache", "map", "evaluate", "predict scene", "diagnose", "download")
KINDS = tuple(LACKS)
#: Under these everything has to work.
HARMLESS = ("home", "locale")
NOBODY = 65534


def trial(shop, kind, draw, folder):
    """A command without something. It does its work, or it says in a line why not, and leaves no half."""
    verb = draw.choice(VERBS)
    assert verb in COMMANDS
    reference, _ = undisturbed(shop, verb)
    command = prepare(shop, verb, folder)
    if kind in ("disk", "inodes", "read-only"):
        return mounted(shop, kind, verb, command, draw, folder, reference)
    before, note, more = LIMITS[kind](draw, folder)
    ending = shop.run(command.words, folder, before=before, environment={**(environment(verb) or {}), **more})
    return judge(shop, kind, verb, command, folder, reference, ending, note)


def judge(shop, kind, verb, command, folder, reference, ending, note):
    """Hold what came of it to the rules; then the same command without the lack does its work."""
    made = folder / command.output
    said = f"{verb}, {note}, status {ending.status}"
    if kind == "memory":
        # Memory that a library cannot get: an error of any kind (status 1), or the library ends the process
        assert ending.status in (0, 1, 2, -signal.SIGABRT, -signal.SIGSEGV), f"{said}: {ending.err[-600:]}"
        assert "Traceback" not in ending.err or ending.status < 0, ending.err[-1500:]
    elif kind in ("pipe", "closed"):
        assert "Traceback" not in ending.err, ending.err[-1500:]
        assert ending.status == 0, f"{said}: {ending.err[-600:]}"
    else:
        clean(ending, (0,) if kind in HARMLESS else (0, 2))
    if ending.status == 0:
        same(made, reference / command.output, said)
        return said
    whole = tree(reference / command.output)
    if verb.startswith(("predict", "map", "evaluate", "diagnose")):
        for name, digest in (tree(made) if made.exists() else {}).items():
            assert name not in whole or digest == whole[name], f"{said}: {name} is half-written"
    words = command.after_a_kill(folder) if made.exists() and any(made.iterdir()) else command.words
    ending = shop.run(words, folder, environment=environment(verb))
    assert ending.status == 0, f"{said}; afterwards status {ending.status}: {ending.err[-600:]}"
    same(made, reference / command.output, f"{said}; afterwards")
    return said


def mounted(shop, kind, verb, command, draw, folder, reference):
    """The output lies on a small file system of its own; needs the right to mount."""
    made = folder / command.output
    made.mkdir()
    used = sum(path.stat().st_size for path in (reference / command.output).rglob("*") if path.is_file())
    number = len(list((reference / command.output).rglob("*")))
    options = {
        "disk": f"size={max(4096, int(used * draw.uniform(0.02, 1.1)))}",
        "inodes": f"size=200m,nr_inodes={draw.randint(2, number + 3)}",
        "read-only": "size=1m,ro",
    }[kind]
    words = ["mount", "-t", "tmpfs", "-o", options, "none", str(made)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        made.rmdir()
        return "not tried: mounting is not permitted here"
    try:
        ending = shop.run(command.words, folder, environment=environment(verb))
        said = f"{verb}, {options}, status {ending.status}"
        clean(ending)
        if ending.status == 0:
            same(made, reference / command.output, said)
            return said
        whole = tree(reference / command.output)
        if verb.startswith(("predict", "map", "evaluate", "diagnose")):
            for name, digest in tree(made).items():
                assert name not in whole or digest == whole[name], f"{said}: {name} is half-written"
        subprocess.run(["mount", "-o", "remount,rw,size=400m,nr_inodes=9999", str(made)], check=True)
        words = command.after_a_kill(folder) if any(made.iterdir()) else command.words
        ending = shop.run(words, folder, environment=environment(verb))
        assert ending.status == 0, f"{said}; with room, status {ending.status}: {ending.err[-600:]}"
        same(made, reference / command.output, f"{said}; with room")
        return said
    finally:
        subprocess.run(["umount", "-l", str(made)], check=True)


def _file_size(draw, folder):
    size = int(10 ** draw.uniform(2, 6.5))

    def before():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python does by itself
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return before, f"files of {size} bytes at most", {}


def _rights(draw, folder):
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    parents = list(folder.parents)[:2]  # the trial's folder is reached by anybody
    for parent in parents:
        parent.chmod(parent.stat().st_mode | 0o055)

    def before():
        codecs.lookup("utf-8-sig")  # Python itself may lie where this user cannot read
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    return before, "the folder belongs to another user", {}


def _handles(draw, folder):
    number = draw.randint(12, 80)
    return (
        partial(resource.setrlimit, resource.RLIMIT_NOFILE, (number, number)),
        f"{number} handles",
        {},
    )


def _memory(draw, folder):
    more = int(2 ** draw.uniform(22, 29))

    def before():
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + more, used + more))

    return before, f"{more / 2**20:.0f} MB more than at the start", {}


def _home(draw, folder):
    def before():
        for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "USER", "LOGNAME", "TMPDIR"):
            os.environ.pop(name, None)

    return before, "no HOME", {}


def _locale(draw, folder):
    given = draw.choice(
        ({"LANG": "C", "LC_ALL": "C"}, {"LANG": "xx_YY.UTF-8"}, {"LC_ALL": "POSIX", "TERM": "dumb"})
    )

    def before():
        import sys

        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(encoding="ascii", errors="strict")

    return before, f"{given}, output in ASCII", given


def _pipe(draw, folder):
    which = draw.choice((1, 2))

    def before():
        reader, writer = os.pipe()
        os.close(reader)
        os.dup2(writer, which)

    return before, f"nobody reads {('stdout', 'stderr')[which - 1]}", {}


def _closed(draw, folder):
    chosen = draw.choice(((0,), (1,), (2,), (0, 1, 2)))

    def before():
        import sys

        for number in chosen:
            os.close(number)
            setattr(sys, ("stdin", "stdout", "stderr")[number], None)

    return before, f"streams {chosen} closed", {}


LIMITS = {
    "file size": _file_size,
    "rights": _rights,
    "handles": _handles,
    "memory": _memory,
    "home": _home,
    "locale": _locale,
    "pipe": _pipe,
    "closed": _closed,
}
