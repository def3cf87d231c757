import pickle
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from waymark.datasets.unpickling import PickleError, load

PIXELS = (np.arange(2 * 3072) % 251).astype(np.uint8).reshape(2, 3072)
BATCH = {
    b"batch_label": b"training batch 1 of 5",
    b"labels": [6, 9],
    b"data": PIXELS,
    b"filenames": [b"a.png", b"b.png"],
}
# As Python 2.7 and NumPy 1 wrote them: byte strings are SHORT_BINSTRING and BINSTRING, the module is numpy.core.
PYTHON_2 = (
    b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03(K\x06K\te"
    b"U\x04dataq\x04cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85U\x01b\x87Rq\x07"
    b"(K\x01K\x02M\x00\x0c\x86cnumpy\ndtype\nq\x08U\x02u1K\x00K\x01\x87Rq\t(K\x03U\x01|NNNJ\xff\xff\xff\xff"
    b"J\xff\xff\xff\xffK\x00tb\x89T\x00\x18\x00\x00" + PIXELS.tobytes() + b"tb"
    b"U\tfilenamesq\n]q\x0b(U\x05a.pngq\x0cU\x05b.pngq\re" + b"u."
)


class Payload:
    """Whoever unpickles it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "it ran")


def refusal(program: bytes) -> str:
    with pytest.raises(PickleError) as refused:
        load(program)
    return str(refused.value)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_batch_of_every_protocol_is_read_as_pickle_reads_it(protocol: int) -> None:
    batch = load(pickle.dumps(BATCH, protocol))
    assert np.array_equal(batch.pop("data"), PIXELS)  # type: ignore[arg-type]
    assert batch == {"batch_label": b"training batch 1 of 5", "labels": [6, 9], "filenames": [b"a.png", b"b.png"]}


def test_batch_written_by_python_2_is_read() -> None:
    expected = pickle.loads(PYTHON_2, encoding="bytes")
    batch = load(PYTHON_2)
    assert (batch["labels"], batch["filenames"]) == ([6, 9], [b"a.png", b"b.png"])
    assert np.array_equal(batch["data"], expected[b"data"])  # type: ignore[arg-type]
    assert np.array_equal(batch["data"], PIXELS)  # type: ignore[arg-type]


def test_array_in_fortran_order_keeps_its_rows() -> None:
    assert np.array_equal(load(pickle.dumps({"data": np.asfortranarray(PIXELS)}, 2))["data"], PIXELS)  # type: ignore[arg-type]


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("nested", [False, True])
def test_payload_never_runs(tmp_path: Path, protocol: int, nested: bool) -> None:
    written = tmp_path / "written"
    payload: object = Payload(written)
    batch = BATCH | {b"labels": [6, [{"deep": (payload,)}]]} if nested else payload
    with pytest.raises(PickleError):
        load(pickle.dumps(batch, protocol))
    assert not written.exists()


@pytest.mark.parametrize(
    ("program", "name"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
        (b"\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R.", "__builtin__.eval"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93\x8c\x011\x85R.", "builtins.exec"),
        (b"(X\x04\x00\x00\x00trueios\nsystem\n.", "os.system"),
        (b"(inumpy\nndarray\n.", "numpy.ndarray"),
        (b"(cos\nsystem\nS'true'\no.", "os.system"),
        (b"\x80\x02ccopyreg\n_reconstructor\n.", "copyreg._reconstructor"),
        (b"\x80\x02cnumpy.core.multiarray\nscalar\n.", "numpy.core.multiarray.scalar"),
        (b"\x80\x02cnumpy\nload\n.", "numpy.load"),
        (b"\x80\x02c_codecs\ndecode\n.", "_codecs.decode"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0fndarray.__new__\x93.", "numpy.ndarray.__new__"),
    ],
)
def test_other_global_is_refused_by_its_name(program: bytes, name: str) -> None:
    assert refusal(program) == (
        f"asks for {name} where a batch of images holds numbers, text, lists and arrays of bytes only; nothing of it "
        "was run, get the archive from its publisher"
    )


@pytest.mark.parametrize(
    ("program", "opcode"),
    [
        (b"\x80\x02X\x01\x00\x00\x00aQ.", "BINPERSID"),
        (b"Pabc\n.", "PERSID"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x02\x84\x01\x00\x00\x00.", "EXT4"),
        (b"\x80\x02]2.", "DUP"),
        (b"\x80\x02})\x81.", "NEWOBJ"),
        (b"\x80\x05\x96\x00\x00\x00\x00\x00\x00\x00\x00.", "BYTEARRAY8"),
        (b"\x80\x05\x97.", "NEXT_BUFFER"),
        (b"S'a'\n.", "STRING"),
    ],
)
def test_other_opcode_is_refused_by_its_name(program: bytes, opcode: str) -> None:
    assert refusal(program) == f"uses opcode {opcode}, which no batch of images needs; nothing of it was run"


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (PIXELS.astype(np.int64), "has an array of dtype 'i8'; expected u1"),
        (np.array([[object]]), "has an array of dtype 'O8'; expected u1"),
        (np.array([["a"]]), "has an array of dtype 'U1'; expected u1"),
        (np.zeros((2, 3, 4), np.uint8), "has an array of other dimensions than images × bytes in 24 bytes"),
        (np.zeros((0, 3072), np.uint8), "has an array of other dimensions than images × bytes in 0 bytes"),
    ],
)
def test_array_of_another_kind_is_refused(array: Any, sentence: str) -> None:
    assert refusal(pickle.dumps({"data": array}, 3)) == sentence


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (2**31 - 1, "has an array of shape (2147483647, 3072) in 6,144 bytes"),
        (-2, "has an array of other dimensions than images × bytes in 6,144 bytes"),
        (0, "has an array of other dimensions than images × bytes in 6,144 bytes"),
    ],
)
def test_shape_is_held_against_the_bytes_that_are_there(rows: int, sentence: str) -> None:
    assert PYTHON_2.count(b"K\x02M\x00\x0c") == 1
    assert refusal(PYTHON_2.replace(b"K\x02M\x00\x0c", b"J" + struct.pack("<i", rows) + b"M\x00\x0c")) == sentence


@pytest.mark.parametrize(
    ("program", "fault"),
    [
        (b"\x80\x02r\xff\xff\xff\xff.", "takes from an empty stack"),
        (b"\x80\x02Kau.", "has no mark where one is needed"),
        (b"\x80\x02}(]K\x01u.", "sets what is no entry of a dictionary under a text"),
        (b"\x80\x02}(K\x01u.", "sets what is no entry of a dictionary under a text"),
        (b"\x80\x02}K\x01a.", "appends to what is no list"),
        (b"\x80\x02K\x01K\x02b.", "fills an array with something else than bytes"),
        (b"\x80\x02K\x01K\x02R.", "calls what it may only name"),
        (b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x04\x00\x00\x00zlib\x86R.", "calls what it may only name"),
        (b"\x80\x04]\x8c\x01a\x93.", "names a thing by something else than text"),
        (b"\x80\x02].", "is a pickle of no dictionary"),
    ],
)
def test_program_that_makes_no_sense_is_a_damaged_pickle(program: bytes, fault: str) -> None:
    assert refusal(program) == f"is a damaged pickle: it {fault}; collect it again"


@pytest.mark.parametrize("kept", [0, 1, 10, len(PYTHON_2) // 2, len(PYTHON_2) - 1])
def test_cut_pickle_is_said_to_be_cut(kept: int) -> None:
    with pytest.raises(PickleError, match=r"^is no whole pickle \(.*\); collect it again$"):
        load(PYTHON_2[:kept])


def test_place_in_the_memo_costs_nothing() -> None:
    assert load(b"\x80\x02}r\xff\xff\xff\x7f.") == {}  # the standard library in C makes a table of 2**31 places


_ENCODE = b"\x80\x02c_codecs\nencode\nq\x00X\x00\x00\x01\x00" + b"a" * 65536 + b"q\x01X\x06\x00\x00\x00latin1q\x02"


@pytest.mark.parametrize(
    ("program", "fault"),
    [
        (b"\x80\x02)" + b"q\x00h\x00\x86" * 60 + b"}h\x00K\x01s.", "no entry of a dictionary under a text"),
        (b"\x80\x02" + b"]" * 10_000_000, "more than 250,000 opcodes; no batch of images needs them"),
        (_ENCODE + b"h\x00h\x01h\x02\x86R" * 100 + b".", "encodes the same text again and again"),
        (b"\x80\x02]" + b"\x85" * 200_000 + b".", "is a pickle of no dictionary"),
    ],
    ids=["a key of 2**60 tuples", "ten million lists", "one text encoded a hundred times", "a tuple 200,000 deep"],
)
def test_bomb_is_refused_at_once(program: bytes, fault: str) -> None:
    with pytest.raises(PickleError, match=re.escape(fault)):
        load(program)


def test_list_that_holds_itself_is_only_a_list() -> None:
    labels = load(b"\x80\x02}X\x06\x00\x00\x00labels]q\x00h\x00as.")["labels"]
    assert isinstance(labels, list)
    assert labels[0] is labels
