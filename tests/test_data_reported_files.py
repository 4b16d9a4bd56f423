"""Image files of public bug reports, rebuilt small: the right pixels, or a refusal that says what to do.

Each test names the report that it stands for: repository and thread.
"""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from images_on_disk import blobs, encode, write_classes
from PIL import Image, ImageCms, ImageFile

from xaiaug import DataError, Splits
from xaiaug.data.decode import Decoder


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XAIAUG_CACHE", str(tmp_path / "cache"))
    return write_classes(tmp_path / "photos", {"cat": 3, "dog": 3})


def read(root: Path):
    """The splits of a folder, all in train, checked."""
    return Splits.from_folder(root, guide=0, validation=0, test=0).check(needs=("train",))


def decode(content: bytes, **options: object) -> np.ndarray:
    return np.asarray(Decoder(**options).decode(io.BytesIO(content), "x")).astype(int)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_half_an_image_is_refused_whatever_pillow_was_told(
    root: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # QwenLM/Qwen3-VL 1234, falloutdurham/beginners-pytorch-deep-learning 17: the switch that fills the rest with grey
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    content = encode(blobs(9, 200), kind)
    (root / "cat" / "half.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"unusable images \(1\):\n  cat/half.jpg: cannot be decoded"):
        read(root)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("side", [None, 24])
@pytest.mark.parametrize("share", [0.2, 0.9])
def test_a_jpeg_without_its_last_rows_is_refused_though_it_has_an_end(
    mode: str, side: int | None, share: float
) -> None:
    # ultralytics/yolov5 2451, zylo117/Yet-Another-EfficientDet-Pytorch 250: the rest becomes grey, and training goes on
    content = encode(blobs(9, 200).convert(mode), "JPEG", quality=95)
    cut = content[: int(len(content) * share)] + b"\xff\xd9"
    with pytest.raises(DataError, match="x: is a JPEG whose data break off: its last rows are missing"):
        decode(cut, side=side)
    assert decode(content, side=side).shape[0] == (side or 200)


@pytest.mark.parametrize("kind", ["JPEG", "MPO"])
@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_an_image_that_ends_in_grey_is_an_image(kind: str, options: dict[str, object]) -> None:
    for size in ((33, 50), (64, 64), (1, 40)):
        image = blobs(4, 64).crop((0, 0, *size))
        image.paste((128, 128, 128), (0, 16, *size))
        for mode in ("RGB", "L"):
            assert decode(encode(image.convert(mode), kind, **options) + b"more")[-1, -1].tolist() == [128, 128, 128]


def test_an_animation_under_another_name_is_named(root: Path) -> None:
    # tensorflow/tensorflow 24065
    frames = [blobs(number).quantize(8) for number in range(3)]
    (root / "cat" / "x.png").write_bytes(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    with pytest.raises(DataError, match="cat/x.png: is a GIF, so it is not an image in one of the formats"):
        read(root)


@pytest.mark.parametrize(("name", "kind"), [("x.jpg", "BMP"), ("x.heic", "JPEG"), ("x.HEIC", "PNG"), ("x.gif", "WEBP")])
def test_an_image_is_what_its_bytes_are(root: Path, name: str, kind: str) -> None:
    # tensorflow/tensorflow 38901 (BMP), strukturag/libheif 907 (a JPEG that a phone called HEIC)
    (root / "cat" / name).write_bytes(encode(blobs(5), kind))
    assert read(root).counts == {"train": {"cat": 4, "dog": 3}}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jpg", b"\0\0\0\x18ftypheic" + bytes(99), "is a HEIC, so it is not an image"),
        ("x.heic", b"\0\0\0\x18ftypheic" + bytes(99), "not in one of the formats .*has .heic"),
        ("x.nef", b"MM\0*" + bytes(99), "not in one of the formats .*has .nef"),
    ],
)
def test_a_format_that_is_not_read_is_named(root: Path, name: str, content: bytes, message: str) -> None:
    # Esri/data-collection-ios 184
    (root / "cat" / name).write_bytes(content)
    with pytest.raises(DataError, match=f"cat/{name}: .*{message}"):
        read(root)


def tiff(values: np.ndarray, photometric: int, order: str = "<") -> bytes:
    """A plain TIFF of h w c values, which Pillow would not write."""
    height, width, channels = values.shape
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    tags = [(256, width), (257, height), (258, values.itemsize * 8), (259, 1), (262, photometric), (273, 146)]
    tags += [(277, channels), (278, height), (279, values.nbytes), (284, 1), (339, kind)]
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags)
    start = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IH", 8, len(tags))
    return start + entries + struct.pack(f"{order}I", 0) + values.astype(values.dtype.newbyteorder(order)).tobytes()


RAMP = np.linspace(0, 1, 256).reshape(16, 16, 1)


@pytest.mark.parametrize("order", ["<", ">"])
def test_grey_of_16_bits_keeps_its_steps_or_is_refused(order: str) -> None:
    # python-pillow/Pillow 3011 and 5991: all but black became white
    content = tiff((RAMP * 65535).astype(np.uint16), 1, order)
    with pytest.raises(DataError, match="16- or 32-bit grey image with values from 0 to 65535; choose the values"):
        decode(content)
    assert np.abs(decode(content, window=(0, 65535)) - RAMP * 255).max() <= 1


def test_signed_bytes_do_not_wrap() -> None:
    # python-pillow/Pillow 7111, ImageMagick/ImageMagick 8149: -1 was brighter than 100
    content = tiff((RAMP * 255 - 128).astype(np.int8), 1)
    with pytest.raises(DataError, match="signed 8-bit grey image with values from -128 to 127; choose the values"):
        decode(content)
    assert np.abs(decode(content, window=(-128, 127)) - RAMP * 255).max() <= 1


def test_a_tiff_of_many_channels_is_not_said_to_be_none() -> None:
    # python-pillow/Pillow 7007
    with pytest.raises(DataError, match="is a TIFF that is damaged, or has a number of channels or bits"):
        decode(tiff(np.zeros((8, 8, 7), np.uint8), 2))


def test_what_is_transparent_is_white_in_every_mode() -> None:
    # NVIDIA/DIGITS 85, imageio/imageio 475 (a palette with an alpha for each entry)
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.paste(1, (4, 0, 8, 8))
    for content in (
        encode(palette, "PNG", transparency=bytes([0, 255])),
        encode(palette.convert("RGB"), "PNG", transparency=(10, 20, 30)),
    ):
        pixels = decode(content)
        assert pixels[0, 0].tolist() == [255, 255, 255] and pixels[0, 7].tolist() == [200, 100, 50]


def test_what_is_hidden_under_transparency_is_not_seen() -> None:
    # mflux-community/mflux 722, kohya-ss/sd-scripts 1269: colours that no viewer shows reached the model
    shown = []
    for hidden in ((0, 0, 0, 0), (240, 30, 10, 0)):
        image = Image.new("RGBA", (8, 8), hidden)
        with pytest.raises(DataError, match="is transparent everywhere, so it shows nothing"):
            decode(encode(image, "PNG"))
        image.putpixel((4, 4), (200, 60, 30, 255))
        shown.append(decode(encode(image, "PNG")))
    assert (shown[0] == shown[1]).all() and shown[0][0, 0].tolist() == [255, 255, 255]


def test_cmyk_is_no_negative() -> None:
    # haraldk/TwelveMonkeys 147
    grey = Image.new("RGB", (16, 16), (200, 60, 60))
    for kind in ("JPEG", "TIFF"):
        assert np.abs(decode(encode(grey.convert("CMYK"), kind)) - (200, 60, 60)).max() <= 3


def test_a_colour_profile_changes_no_value() -> None:
    # cgwire/zou 1188: classifiers were trained on values as they stand, without profiles
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert (decode(encode(blobs(3), "PNG", icc_profile=profile)) == np.asarray(blobs(3))).all()


def test_the_first_frame_of_a_photo_is_the_image_even_where_others_are_gone() -> None:
    # python-pillow/Pillow 9633, Comfy-Org/ComfyUI 14127 (a preview of another size)
    first, content = blobs(3, 40), encode(blobs(3, 40), "MPO", save_all=True, append_images=[blobs(4, 16)])
    cut = content[: content.rindex(b"\xff\xd8\xff")]
    for data in (content, cut):
        pixels = decode(data)
        assert pixels.shape == (40, 40, 3) and np.abs(pixels - np.asarray(first)).mean() < 12
