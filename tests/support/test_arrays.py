"""Arrays in files: what was written, or one line on what is wrong."""

from __future__ import annotations

import contextlib
import io
import zipfile

import numpy as np
import pytest

from geomoe.support.arrays import map_array

ARRAY = np.arange(12, dtype=np.int64).reshape(3, 4)


def written(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_an_array_is_mapped(tmp_path):
    (tmp_path / "a.npy").write_bytes(written(ARRAY))
    np.testing.assert_array_equal(map_array(tmp_path / "a.npy"), ARRAY)


def archive():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("a.npy", written(ARRAY))
    return file.getvalue()


WHOLE = written(ARRAY)
DAMAGED = {
    "empty": b"",
    "cut in the header": WHOLE[:40],
    "cut in the data": WHOLE[:-8],
    "open bracket": WHOLE.replace(b"'shape': (3, 4)", b"'shape': (3, (4"),
    "open string": WHOLE.replace(b"'fortran_order'", b"'fortran_order "),
    "another key": WHOLE.replace(b"'shape'", b"'shapf'"),
    "no type": WHOLE.replace(b"'<i8'", b"'<q!'"),
    "objects": written(np.array([{}, []], dtype=object)),
    "an archive": archive(),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_no_array(tmp_path, what):
    path = tmp_path / "a.npy"
    path.write_bytes(DAMAGED[what])
    with pytest.raises(ValueError):
        map_array(path)


@pytest.mark.slow
def test_every_byte_of_the_header(tmp_path):
    path = tmp_path / "a.npy"
    for at in range(WHOLE.index(b"\n") + 1):
        for value in (0, 0x28, 0x27, WHOLE[at] ^ 1):
            path.write_bytes(WHOLE[:at] + bytes([value]) + WHOLE[at + 1 :])
            with contextlib.suppress(ValueError):  # no other error
                map_array(path)
