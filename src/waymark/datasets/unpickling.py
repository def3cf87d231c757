"""Pickles like CIFAR-10's, read without running them.

A pickle is a program, and unpickling one from elsewhere runs what its author pleases. The batches need some thirty of
the opcodes, to build a dictionary of numbers, text, lists and arrays of bytes. Exactly these are understood here, by
an interpreter that imports and calls nothing that a file names (opcodes: the standard library's pickletools).
"""

import math
import pickletools
from enum import Enum
from typing import Never

import numpy as np
from numpy.typing import NDArray

from waymark.datasets.archives import shown
from waymark.errors import WaymarkError

MAX_OPCODES = 250_000  # 10,000 images take 40,000, or 90,000 as Python 3 writes byte strings


class PickleError(WaymarkError):
    """A pickle that is damaged, or asks for more than a batch of images needs."""


class _Global(Enum):
    """What these files refer to by name. A value stands for the thing; the thing itself is never looked up."""

    ENCODE = "_codecs.encode"  # how Python 3 writes a byte string for Python 2
    RECONSTRUCT = "numpy.core.multiarray._reconstruct"
    RECONSTRUCT_2 = "numpy._core.multiarray._reconstruct"  # NumPy 2's name for the same
    NDARRAY = "numpy.ndarray"
    DTYPE = "numpy.dtype"


class _Byte:
    """The dtype u1."""


class _Array:
    """An array between its REDUCE, which makes it, and its BUILD, which fills it."""

    values: NDArray[np.uint8] | None = None


def load(data: bytes) -> dict[str, object]:
    """The dictionary that `data` pickles, its keys as text, byte strings as bytes, arrays (rows, columns) uint8.

    Raises PickleError for everything else, before anything that the file asks for could happen.
    """
    machine = _Machine(budget=len(data))
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if number >= MAX_OPCODES:
                raise PickleError(f"is a pickle of more than {MAX_OPCODES:,} opcodes; no batch of images needs them")
            machine.step(opcode.name, argument)
    except ValueError as error:
        raise PickleError(f"is no whole pickle ({shown(str(error))}); collect it again") from None
    return machine.result()


class _Machine:
    def __init__(self, budget: int) -> None:
        self.stack: list[object] = []
        self.marks: list[int] = []  # heights of the stack
        self.memo: dict[int, object] = {}
        self.budget = budget  # bytes that may still be encoded: no file holds more text than it has bytes

    def step(self, opcode: str, argument: object) -> None:
        match opcode, argument:
            case (("PROTO" | "FRAME" | "STOP"), _):
                pass
            case "MARK", _:
                self.marks.append(len(self.stack))
            case (("NONE" | "NEWTRUE" | "NEWFALSE"), _):
                self.stack.append({"NEWTRUE": True, "NEWFALSE": False}.get(opcode))
            case (("BININT" | "BININT1" | "BININT2" | "LONG1"), _):
                self.stack.append(argument)
            case (("BINUNICODE" | "SHORT_BINUNICODE" | "BINBYTES" | "SHORT_BINBYTES"), _):
                self.stack.append(argument)
            case (("BINSTRING" | "SHORT_BINSTRING"), str(text)):
                self.stack.append(text.encode("latin-1"))  # pickletools decoded Python 2's byte string
            case (("EMPTY_DICT" | "EMPTY_LIST" | "EMPTY_TUPLE"), _):
                self.stack.append({"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}[opcode]())
            case (("BINPUT" | "LONG_BINPUT" | "MEMOIZE"), _):
                self._push(top := self._pop())
                self.memo[argument if isinstance(argument, int) else len(self.memo)] = top
            case (("BINGET" | "LONG_BINGET"), int(slot)) if slot in self.memo:
                self.stack.append(self.memo[slot])
            case (("TUPLE1" | "TUPLE2" | "TUPLE3"), _):
                self._push(tuple([self._pop() for _ in range(int(opcode[-1]))][::-1]))
            case "TUPLE", _:
                self._push(tuple(self._above_mark()))
            case (("APPEND" | "APPENDS"), _):
                self._extend(self._above_mark() if opcode == "APPENDS" else [self._pop()])
            case (("SETITEM" | "SETITEMS"), _):
                self._update(self._above_mark() if opcode == "SETITEMS" else [self._pop(), self._pop()][::-1])
            case (("GLOBAL" | "INST"), str(name)):
                self._push(_allowed(".".join(name.split(" ")), opcode))
            case "STACK_GLOBAL", _:
                last, module = self._pop(), self._pop()
                if not isinstance(module, str) or not isinstance(last, str):
                    _refuse("names a thing by something else than text")
                self._push(_allowed(f"{module}.{last}", opcode))
            case "REDUCE", _:
                arguments, function = self._pop(), self._pop()
                self._push(self._reduced(function, arguments))
            case "BUILD", _:
                state, target = self._pop(), self._pop()
                _fill(target, state)
                self._push(target)
            case _:
                raise PickleError(f"uses opcode {opcode}, which no batch of images needs; nothing of it was run")

    def result(self) -> dict[str, object]:
        top = self._pop()
        if not isinstance(top, dict):
            _refuse("is a pickle of no dictionary")
        texts = {key.decode("latin-1") if isinstance(key, bytes) else key: value for key, value in top.items()}
        return {key: value.values if isinstance(value, _Array) else value for key, value in texts.items()}

    def _push(self, value: object) -> None:
        self.stack.append(value)

    def _pop(self) -> object:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            _refuse("takes from an empty stack")
        return self.stack.pop()

    def _above_mark(self) -> list[object]:
        if not self.marks:
            _refuse("has no mark where one is needed")
        height = self.marks.pop()
        values = self.stack[height:]
        del self.stack[height:]
        return values

    def _extend(self, values: list[object]) -> None:
        self._push(target := self._pop())
        if not isinstance(target, list):
            _refuse("appends to what is no list")
        target.extend(values)

    def _update(self, values: list[object]) -> None:
        self._push(target := self._pop())
        keys = values[::2]
        # Hashing a tuple of tuples can take for ever, and no key of a batch is one.
        if not isinstance(target, dict) or len(values) % 2 or not all(isinstance(key, str | bytes) for key in keys):
            _refuse("sets what is no entry of a dictionary under a text")
        target.update(zip(keys, values[1::2], strict=True))

    def _reduced(self, function: object, arguments: object) -> object:
        match function, arguments:
            case _Global.ENCODE, (str(text), "latin1"):
                self.budget -= len(text)
                if self.budget < 0:
                    _refuse("encodes the same text again and again")
                return text.encode("latin-1")
            case ((_Global.RECONSTRUCT | _Global.RECONSTRUCT_2), (_Global.NDARRAY, _, _)):
                return _Array()
            case _Global.DTYPE, (("u1" | b"u1"), _, _):
                return _Byte()
            case _Global.DTYPE, ((str() | bytes()) as kind, *_):
                raise PickleError(f"has an array of dtype {shown(repr(kind))}; expected u1")
        return _refuse("calls what it may only name")


def _allowed(name: str, opcode: str) -> _Global:
    if opcode != "INST" and any(name == known.value for known in _Global):
        return _Global(name)
    raise PickleError(
        f"asks for {shown(name)} where a batch of images holds numbers, text, lists and arrays of bytes only; nothing "
        "of it was run, get the archive from its publisher"
    )


def _fill(target: object, state: object) -> None:
    match target, state:
        case _Byte(), _:  # byte order, fields and alignment mean nothing to single bytes
            return
        case _Array(), (int(), tuple(shape), _Byte(), (bool() | 0 | 1) as fortran, bytes(content)):
            if len(shape) != 2 or not all(isinstance(side, int) and side > 0 for side in shape):
                raise PickleError(f"has an array of other dimensions than images × bytes in {len(content):,} bytes")
            if math.prod(shape) != len(content):
                raise PickleError(f"has an array of shape {shown(str(shape))} in {len(content):,} bytes")
            values = np.frombuffer(content, np.uint8)
            target.values = values.reshape(shape, order="F" if fortran else "C")
        case _:
            _refuse("fills an array with something else than bytes")


def _refuse(fault: str) -> Never:
    raise PickleError(f"is a damaged pickle: it {fault}; collect it again")
