"""Single images out of a prepared array, without reading the rest of it."""

import io
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from waymark.judging.contact_sheet import data_uri


def thumbnails(file: BinaryIO, rows: Iterable[int], images: int) -> dict[int, str]:
    """Data URIs of some `rows` of an open (N, S, S, 3) uint8 array; none where it is not of `images`."""
    try:
        version = npy.read_magic(file)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran_order, dtype = read_header(file)
    except ValueError:
        return {}
    if len(shape) != 4 or shape[0] != images or dtype != np.uint8 or fortran_order:
        return {}
    start, size, found = file.tell(), int(np.prod(shape[1:])), {}
    if file.seek(0, io.SEEK_END) != start + images * size:
        return {}
    for row in sorted(set(rows)):
        file.seek(start + row * size)
        found[row] = data_uri(np.frombuffer(file.read(size), np.uint8).reshape(shape[1:]))
    return found
