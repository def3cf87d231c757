"""`waymark explain` and `waymark mistakes`: where the network looked."""

import argparse
from pathlib import Path

from waymark.commands.arguments import Subcommands, box, whole


def add(commands: Subcommands) -> None:
    explain = commands.add_parser(
        "explain",
        help="show where the network looked in an image",
        description="Write one PNG: the picture as given, what the network sees of it, a heat map of what speaks for "
        "the class, and the three most probable classes. The answer is the ONNX file's, as the service gives it; the "
        "heat map (Grad-CAM) is of the weights that it was exported from.",
    )
    explain.add_argument("image", type=Path, metavar="IMAGE", help="file in JPEG, PNG, binary PPM, WebP or BMP")
    explain.add_argument(
        "--roi",
        type=box,
        metavar="X1,Y1,X2,Y2",
        help="box around the object, px, last column and row included (default: the whole image)",
    )
    explain.add_argument(
        "--class", dest="class_name", metavar="NAME", help="class to explain (default: the most probable one)"
    )
    explain.add_argument(
        "--output", type=Path, default=Path("explanation.png"), help="file to write (default: explanation.png)"
    )
    explain.set_defaults(run=_explain)

    mistakes = commands.add_parser(
        "mistakes",
        help="show the worst mistakes on test, and where the network looked",
        description="Write a page of the test images whose wrong answer was the surest: the picture, what spoke for "
        "the wrong class, and what spoke for the right one.",
    )
    mistakes.add_argument("--worst", type=whole(1, 500), default=24, metavar="N", help="images shown (default: 24)")
    mistakes.add_argument(
        "--output",
        type=Path,
        default=Path("reports/mistakes.html"),
        help="page to write (default: reports/mistakes.html)",
    )
    mistakes.set_defaults(run=_mistakes)


def _explain(arguments: argparse.Namespace) -> int:
    from waymark.explanations import explain

    print(
        explain.run(
            Path(), arguments.image, roi=arguments.roi, class_name=arguments.class_name, output=arguments.output
        )
    )
    return 0


def _mistakes(arguments: argparse.Namespace) -> int:
    from waymark.explanations import mistakes

    print(mistakes.run(Path(), worst=arguments.worst, output=arguments.output))
    return 0
