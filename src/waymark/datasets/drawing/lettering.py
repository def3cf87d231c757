"""Digits and letters of German road signs, as strokes in the manner of DIN 1451.

A glyph's centre line lies in a box 50 wide and 100 high, y downwards.
"""

from waymark.datasets.drawing.canvas import Colour, Point, Shape, arc, stroke

HEIGHT = 100.0
WIDTH = 50.0
PEN = 17.0  # width of the stroke
GAP = 13.0  # between the inked edges of two glyphs

Line = tuple[Point, ...]


def _oval() -> Line:
    return (*arc(25, 27, 25, 27, 180, 360), *arc(25, 73, 25, 27, 0, 180), (0, 27))


def _glyph(character: str) -> tuple[Line, ...]:
    match character:
        case "0" | "O":
            return (_oval(),)
        case "1":
            return (((4, 24), (30, 0), (30, 100)),)
        case "2":
            return ((*arc(25, 26, 25, 26, 185, 398), (0, 100), (52, 100)),)
        case "3":
            return ((*arc(25, 24, 23, 24, 195, 450), (16, 48)), (*arc(24, 74, 26, 26, 270, 525),))
        case "5":
            return (((48, 0), (7, 0), (4, 46), *arc(25, 68, 26, 32, 232, 515)),)
        case "6":
            return (arc(25, 71, 25, 29, 0, 360), ((2, 62), (33, -4)))
        case "7":
            return (((-2, 0), (50, 0), (18, 104)),)
        case "8":
            return (arc(25, 23, 21, 23, 0, 360), arc(25, 74, 26, 27, 0, 360))
        case "S":
            return ((*arc(25, 25, 25, 25, 335, 90), *arc(25, 75, 25, 25, 270, 520)),)
        case "T":
            return (((-4, 0), (54, 0)), ((25, 0), (25, 106)))
        case "P":
            return (((0, 106), (0, 0), (25, 0), *arc(25, 28, 25, 28, 270, 450), (0, 56)),)
    raise KeyError(character)


def lettering(text: str, colour: Colour, width: float, height: float, pen: float) -> tuple[Shape, ...]:
    """`text` as strokes of width `pen`, its inked box `width` by `height` and centred on the origin.

    Raises KeyError for a character that no sign here carries.
    """
    advance = WIDTH + PEN + GAP
    x_scale = (width - pen) / (advance * len(text) - PEN - GAP)
    y_scale = (height - pen) / HEIGHT
    left, top = -(width - pen) / 2, -(height - pen) / 2
    return tuple(
        stroke(
            ((left + x_scale * (advance * place + x), top + y_scale * y) for x, y in line),
            colour,
            pen,
            round_ends=line[0] == line[-1],
        )
        for place, character in enumerate(text)
        for line in _glyph(character)
    )
