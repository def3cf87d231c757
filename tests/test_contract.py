"""The preprocessing contract: the same numbers wherever an image is prepared."""

import contextlib
import io
import json
import reprlib
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from waymark import contract
from waymark.contract import FORMATS, Contract, ImageError, decode
from waymark.errors import WaymarkError

CONTRACT = Contract(
    dataset="rendered",
    class_names=("stop", "go"),
    image_size=4,
    crop_margin=0.0,
    mean=(0.5, 0.25, 0.0),
    std=(0.5, 0.25, 1.0),
)


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def test_the_cut_is_the_box_with_its_last_row_and_column() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[2:6, 2:6] = 200
    cut = CONTRACT.image(Image.fromarray(pixels), (2, 2, 5, 5))
    assert cut.shape == (4, 4, 3)
    assert (cut == 200).all()


def test_the_margin_is_kept_on_each_side() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[2:6, 2:6] = 200
    cut = replace(CONTRACT, crop_margin=0.5).image(Image.fromarray(pixels), (2, 2, 5, 5))
    assert (cut == np.asarray(Image.fromarray(pixels).resize((4, 4), Image.Resampling.BILINEAR))).all()


def test_a_wide_box_is_cut_as_a_square_around_its_centre() -> None:
    pixels = np.arange(10, dtype=np.uint8)[:, None, None].repeat(10, 1).repeat(3, 2)
    cut = CONTRACT.image(Image.fromarray(pixels), (2, 4, 5, 5))  # 4 wide, 2 high: rows 3 to 6
    assert cut[:, 0, 0].tolist() == [3, 4, 5, 6]


def test_the_cut_ends_where_the_image_ends() -> None:
    image = Image.new("RGB", (8, 8), (9, 8, 7))
    cut = replace(CONTRACT, crop_margin=1.0).image(image, (0, 0, 7, 7))
    assert (cut == (9, 8, 7)).all()


def test_normalised_images_are_channels_first_with_zero_mean_and_unit_spread() -> None:
    images = np.full((1, 4, 4, 3), 255, np.uint8)
    normalised = CONTRACT.normalise(images)
    assert normalised.shape == (1, 3, 4, 4)
    assert normalised.dtype == np.float32
    assert normalised[0, :, 0, 0].tolist() == pytest.approx([1.0, 3.0, 1.0])


def test_probabilities_sum_to_one_and_soften_with_temperature() -> None:
    logits = np.array([[1000.0, 0.0]], np.float32)
    assert CONTRACT.probabilities(logits).tolist() == [[1.0, 0.0]]
    warm = replace(CONTRACT, temperature=1000.0).probabilities(logits)
    assert warm[0].tolist() == pytest.approx([np.e / (np.e + 1), 1 / (np.e + 1)])


def test_a_written_contract_reads_back_equal(tmp_path: Path) -> None:
    CONTRACT.write(tmp_path / "contract.json")
    assert contract.read(tmp_path / "contract.json") == CONTRACT


def test_a_completed_contract_reads_back_with_its_threshold_to_the_last_bit(tmp_path: Path) -> None:
    completed = CONTRACT.completed(temperature=0.7, weights_sha256="a", onnx_sha256="b", threshold=0.1 + 0.2)
    completed.write(tmp_path / "contract.json")
    assert contract.read(tmp_path / "contract.json").threshold == 0.30000000000000004


@pytest.mark.parametrize("schema", [0, 2, 4, None, "3", 3.0])
def test_a_contract_of_another_schema_is_refused(tmp_path: Path, schema: object) -> None:  # M9
    path = tmp_path / "contract.json"
    CONTRACT.write(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": schema}))
    with pytest.raises(WaymarkError, match=r"contract schema .* this version reads 3"):
        contract.read(path)


def refusal(path: Path, key: str, value: object) -> str:
    """What is said of a contract at `path` with another value, without the place and the remedy."""
    CONTRACT.write(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(WaymarkError) as refused:
        contract.read(path)
    said = str(refused.value)
    start, end = f"{path}: ", "; run `dvc repro` again"
    assert said.startswith(start)
    assert said.endswith(end)
    return said[len(start) : -len(end)]


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("colour", "sepia", "colour: 'sepia' is not one of rgb, grey"),
        ("colour", None, "colour: None is not one of rgb, grey"),
        ("equalise", "auto", "equalise: 'auto' is not one of none, histogram, clahe"),
        ("equalise", ["clahe"], "equalise: ['clahe'] is not one of none, histogram, clahe"),
    ],
)
def test_a_choice_that_this_version_does_not_know_is_refused(
    tmp_path: Path, key: str, value: object, sentence: str
) -> None:
    assert refusal(tmp_path / "contract.json", key, value) == sentence


HUGE = 10**400  # JSON's whole numbers have no end


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("dataset", 5, "dataset: 5 is not text"),
        ("class_names", "abc", "class_names: 'abc' is not a list of names"),
        ("class_names", 5, "class_names: 5 is not a list of names"),
        ("class_names", [], "class_names: [] is not a list of names"),
        ("class_names", ["a", 1], "class_names: ['a', 1] is not a list of names"),
        ("image_size", "40", "image_size: '40' is not a whole number of at least 1"),
        ("image_size", 40.0, "image_size: 40.0 is not a whole number of at least 1"),
        ("image_size", True, "image_size: True is not a whole number of at least 1"),
        ("image_size", 0, "image_size: 0 is not a whole number of at least 1"),
        ("crop_margin", -0.1, "crop_margin: -0.1 is not a finite number of at least 0"),
        ("crop_margin", None, "crop_margin: None is not a finite number of at least 0"),
        ("mean", [1], "mean: [1] is not three numbers from 0 to 1"),
        ("mean", 0.5, "mean: 0.5 is not three numbers from 0 to 1"),
        ("mean", [0, 0, float("nan")], "mean: [0, 0, nan] is not three numbers from 0 to 1"),
        ("mean", [0, 0, 128], "mean: [0, 0, 128] is not three numbers from 0 to 1"),
        ("std", [0, 0, 0], "std: [0, 0, 0] is not three finite numbers above 0"),
        ("std", [1, 1, 1e-50], "std: [1, 1, 1e-50] is not three finite numbers above 0"),
        ("std", [1, 1, "1"], "std: [1, 1, '1'] is not three finite numbers above 0"),
        ("std", [1, 1, float("inf")], "std: [1, 1, inf] is not three finite numbers above 0"),
        ("temperature", 0, "temperature: 0 is not a finite number above 0"),
        ("temperature", True, "temperature: True is not a finite number above 0"),
        ("temperature", HUGE, f"temperature: {reprlib.repr(HUGE)} is not a finite number above 0"),
        ("threshold", -0.01, "threshold: -0.01 is not a number from 0 to 1"),
        ("threshold", 1.01, "threshold: 1.01 is not a number from 0 to 1"),
        ("threshold", float("nan"), "threshold: nan is not a number from 0 to 1"),
        ("threshold", False, "threshold: False is not a number from 0 to 1"),
        ("threshold", None, "threshold: None is not a number from 0 to 1"),
        ("split_sha256", None, "split_sha256: None is not text"),
        ("weights_sha256", 7, "weights_sha256: 7 is not text"),
        ("onnx_sha256", [], "onnx_sha256: [] is not text"),
    ],
)
def test_a_value_that_no_image_could_be_prepared_with_is_refused(
    tmp_path: Path, key: str, value: object, sentence: str
) -> None:
    assert refusal(tmp_path / "contract.json", key, value) == sentence


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000, '{"schema": 3}', '{"schema": 3, "colour": "grey"}'])
def test_a_damaged_contract_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "contract.json").write_text(content)
    with pytest.raises(WaymarkError, match=r"contract\.json"):
        contract.read(tmp_path / "contract.json")


@pytest.mark.parametrize(
    ("image", "pixel"),
    [
        (Image.new("L", (2, 2), 7), (7, 7, 7)),
        (Image.new("1", (2, 2), 1), (255, 255, 255)),
        (Image.new("RGBA", (2, 2), (200, 100, 50, 0)), (0, 0, 0)),
        (Image.new("LA", (2, 2), (200, 255)), (200, 200, 200)),
        (Image.fromarray(np.full((2, 2), 0x1234, np.uint16)), (0x12, 0x12, 0x12)),
        (Image.new("RGB", (2, 2), (1, 2, 3)).quantize(2), (1, 2, 3)),
    ],
)
def test_every_mode_becomes_rgb_as_documented(image: Image.Image, pixel: tuple[int, int, int]) -> None:  # D4
    decoded = decode(encoded(image))
    assert decoded.mode == "RGB"
    assert decoded.getpixel((0, 0)) == pixel


def test_cmyk_becomes_rgb() -> None:
    decoded = decode(encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 255)), "JPEG"))
    assert decoded.getpixel((4, 4)) == (0, 0, 0)


def test_exif_rotation_is_applied() -> None:  # D23
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to see it upright
    assert decode(encoded(Image.new("RGB", (8, 4)), "JPEG", exif=exif)).size == (4, 8)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "PPM", "BMP", "WEBP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_image_is_refused(format: str, share: float) -> None:  # D1
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), format)
    with pytest.raises(ImageError):
        decode(data[: int(len(data) * share)])


def test_zero_bytes_are_no_image() -> None:  # D2
    with pytest.raises(ImageError, match="zero bytes"):
        decode(b"")


@pytest.mark.parametrize("entry", [b"\x01\x00\x00\x05", b"\x01\x31\x00\x05", b"\x01\x1a\x00\x07"])
def test_damage_elsewhere_in_exif_does_not_hinder_the_rotation(entry: bytes) -> None:
    """A fraction under another's tag, or of another type: Pillow would fail if it wrote such EXIF anew."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x011A] = 72.0
    data = encoded(Image.new("RGB", (8, 4)), "JPEG", exif=exif)
    assert decode(data.replace(b"\x01\x1a\x00\x05", entry)).size == (4, 8)


def test_each_alpha_over_black_is_what_alpha_compositing_gives() -> None:
    values, alphas = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    image = Image.fromarray(np.stack([values, values[:, ::-1], values.T, alphas], axis=-1))
    composite = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image).convert("RGB")
    assert np.array_equal(np.asarray(decode(encoded(image, "PNG"))), np.asarray(composite))


def test_each_16_bit_sample_keeps_its_upper_byte() -> None:
    samples = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    upper = np.asarray(decode(encoded(Image.fromarray(samples), "PNG")))
    assert np.array_equal(upper, np.stack([samples >> 8] * 3, axis=-1))


def test_32_bit_samples_are_clipped_to_16_bits() -> None:
    samples = np.array([[-(2**31), -256, -1, 0, 255, 256, 65535, 65536, 2**31 - 1]], np.int32)
    clipped = np.asarray(decode(encoded(Image.fromarray(samples), "TIFF")))[0, :, 0]
    assert clipped.tolist() == [0, 0, 0, 0, 0, 1, 255, 255, 255]


def test_tiff_whose_strips_begin_at_a_fraction_is_refused() -> None:
    data = encoded(Image.new("RGB", (8, 4)), "TIFF")
    short, fraction = struct.pack("<HH", 0x0111, 4), struct.pack("<HH", 0x0111, 5)
    assert short in data
    with pytest.raises(ImageError, match="'IFDRational' object cannot be interpreted as an integer"):
        decode(data.replace(short, fraction))


def test_formats_that_are_not_for_pictures_of_classes_are_not_opened() -> None:
    """Pillow would start Ghostscript for EPS."""
    whole = Image.new("RGB", (8, 8))
    for data in (encoded(whole, "EPS"), encoded(whole, "PDF"), encoded(whole, "TGA"), b"8BPS\0\1" + bytes(200)):
        with pytest.raises(ImageError) as refused:
            decode(data)
        assert str(refused.value) == "not an image of a known format (PNG, JPEG, PPM, BMP, WEBP, GIF, TIFF)"


@pytest.mark.parametrize("format", FORMATS)
def test_each_known_format_decodes(format: str) -> None:
    assert decode(encoded(Image.new("RGB", (4, 2), (0, 0, 0)), format)).getpixel((3, 1)) == (0, 0, 0)


HEADS = [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"P6 2 2 255\n", b"BM", b"GIF89a"]


@given(st.binary(max_size=200), st.sampled_from(HEADS))
def test_any_bytes_decode_or_are_refused_by_name(tail: bytes, head: bytes) -> None:
    with contextlib.suppress(ImageError):
        assert decode(head + tail).mode == "RGB"
