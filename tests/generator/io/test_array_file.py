"""Files of arrays with a header in JSON."""

import io

import numpy as np
import pytest

from generator.io import array_file


def test_what_is_packed_is_read_again():
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b c": np.array(["x", "y"])}
    content = array_file.pack({"schema": 3, "name": "é"}, arrays)
    header, found = array_file.unpack(io.BytesIO(content), 3)
    assert header == {"schema": 3, "name": "é"} and list(found) == ["a", "b c"]
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())
    with pytest.raises(ValueError, match=r"^schema 3$"):
        array_file.unpack(io.BytesIO(content), 4)


def test_pickled_objects_and_damaged_files_are_refused():
    pickled = io.BytesIO()
    np.savez(pickled, header=np.array([{"schema": 1}], dtype=object))
    content = array_file.pack({"schema": 1}, {"a": np.arange(9)})
    for damaged in (pickled.getvalue(), content[:40], b"", b"PK", array_file.pack({}, {})):
        with pytest.raises(array_file.DAMAGED):
            array_file.unpack(io.BytesIO(damaged), 1)
