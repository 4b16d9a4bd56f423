"""An image opens upright, in RGB and never silently clipped, or says why not."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from images_on_disk import blobs, png_header
from PIL import Image, ImageOps

from xaiaug.data.decode import Decoder
from xaiaug.data.image_file import ImageFile
from xaiaug.errors import DataError

ORIENTATION = 0x0112


def open_file(path: Path, **how: object) -> Image.Image:
    return ImageFile(str(path), path.name, Decoder(**how))()


@pytest.mark.parametrize(
    ("ending", "mode"),
    [
        *(("jpg", mode) for mode in ("RGB", "L", "1", "CMYK")),
        *(("png", mode) for mode in ("RGB", "L", "1", "P", "RGBA", "LA")),
        *(("webp", mode) for mode in ("RGB", "RGBA")),
        *(("tif", mode) for mode in ("RGB", "L", "1", "P", "CMYK", "RGBA", "LA")),
        *(("bmp", mode) for mode in ("RGB", "L", "1", "P")),
    ],
)
def test_every_allowed_format_and_mode_opens_as_rgb(tmp_path: Path, ending: str, mode: str) -> None:
    path = tmp_path / f"image.{ending}"
    blobs(3).convert(mode).save(path)
    opened = open_file(path)
    assert (opened.mode, opened.size, opened.info) == ("RGB", (24, 24), {})


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
def test_exif_orientation_is_honoured(tmp_path: Path, ending: str) -> None:
    image = Image.new("RGB", (40, 20), "black")
    image.paste("white", (0, 0, 8, 20))
    exif = image.getexif()
    exif[ORIENTATION] = 6  # to be turned a quarter clockwise
    image.save(tmp_path / f"image.{ending}", exif=exif)
    opened = np.asarray(open_file(tmp_path / f"image.{ending}").convert("L"))
    assert opened.shape == (40, 20)
    assert opened[:6].mean() > 240
    assert opened[12:].mean() < 15


def test_what_is_transparent_becomes_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (9, 9), (0, 0, 0, 0))
    clear.putpixel((0, 0), (0, 0, 0, 255))
    clear.save(tmp_path / "clear.png")
    palette = Image.new("P", (9, 9))
    palette.putpixel((0, 0), 1)
    palette.save(tmp_path / "palette.png", transparency=bytes([0, 255]))
    for name in ("clear.png", "palette.png"):
        assert max(open_file(tmp_path / name).getcolors()) == (80, (255, 255, 255))


@pytest.mark.parametrize(
    ("name", "dtype", "top"),
    [
        ("deep.png", np.uint16, 4095),
        ("deep.tif", np.uint16, 60000),
        ("whole.tif", np.int32, 900),
        ("part.tif", "f4", 0.5),
    ],
)
def test_deep_grey_images_need_a_window_and_are_scaled_by_it(
    tmp_path: Path, name: str, dtype: object, top: float
) -> None:
    values = np.linspace(0, top, 100).reshape(10, 10).astype(dtype)
    Image.fromarray(values).save(tmp_path / name)
    with pytest.raises(DataError, match=rf"{name}: is a .* grey image with values from 0 to {top:g}; .*window="):
        open_file(tmp_path / name)
    opened = np.asarray(open_file(tmp_path / name, window=(0, top)))
    assert opened.shape == (10, 10, 3)
    assert np.abs(opened[..., 0].ravel() - values.ravel() / top * 255).max() <= 0.5 + 1e-6
    half = np.asarray(open_file(tmp_path / name, window=(0, top / 2)))[..., 0].ravel()
    assert half[0] == 0
    assert (half[51:] == 255).all(), "an explicit window clips what lies outside"


def test_grey_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    values = np.full((5, 5), np.nan, np.float32)
    Image.fromarray(values).save(tmp_path / "nan.tif")
    with pytest.raises(DataError, match="not finite"):
        open_file(tmp_path / "nan.tif", window=(0, 1))


@pytest.mark.parametrize(
    ("width", "height", "message"),
    [
        (8000, 7000, "has 8000 x 7000 pixels, more than 50,000,000"),
        (60_000, 60_000, "has more than 50,000,000 pixels"),
    ],
)
def test_size_is_read_from_the_header_before_anything_is_decoded(
    tmp_path: Path, width: int, height: int, message: str
) -> None:
    # A header with hardly anything behind it: decoding would fail with another message.
    (tmp_path / "large.png").write_bytes(png_header(width, height))
    with pytest.raises(DataError, match=f"large.png: {message}"):
        open_file(tmp_path / "large.png")


def test_a_format_outside_the_list_is_refused_whatever_its_name(tmp_path: Path) -> None:
    blobs(1).save(tmp_path / "image.gif")
    (tmp_path / "image.gif").rename(tmp_path / "image.jpg")
    with pytest.raises(
        DataError, match="image.jpg: is a GIF, so it is not an image in one of the formats JPEG, PNG, WEBP"
    ):
        open_file(tmp_path / "image.jpg")


@pytest.mark.parametrize("side", [16, 20, 100])
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_side_bounds_the_shorter_side_and_enlarges_nothing(tmp_path: Path, side: int, ending: str) -> None:
    path = tmp_path / f"image.{ending}"
    image = blobs(1).resize((120, 60))
    image.save(path)
    opened = open_file(path, side=side)
    assert opened.size == ((2 * side, side) if side < 60 else (120, 60))
    exact = np.asarray(image.resize(opened.size, Image.Resampling.LANCZOS), dtype=float)
    assert np.abs(np.asarray(opened) - exact).mean() < 4


def test_what_is_opened_does_not_hold_the_file(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    blobs(1).save(path)
    opened = open_file(path)
    path.unlink()
    assert np.asarray(opened).std() > 1
    with pytest.raises(DataError, match="image.png: does not exist"):
        open_file(path)


def tiff(values: np.ndarray, photometric: int) -> bytes:
    """A plain TIFF file; Pillow writes neither white-is-zero nor unsigned 32-bit ones."""
    height, width = values.shape
    bits, kind = values.itemsize * 8, {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 134), (277, 1), (278, height)]
    tags += [(279, values.nbytes), (339, kind)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + values.tobytes()


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.uint32, np.int32, np.float32])
@pytest.mark.parametrize("photometric", [0, 1])
def test_grey_values_of_any_kind_are_mapped_as_the_file_means_them(dtype: type, photometric: int) -> None:
    top = float(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else 1000.0
    values = (np.linspace(0, 1, 6).reshape(2, 3) * top).astype(dtype)
    expected = np.rint(np.linspace(0, 255, 6)).reshape(2, 3)
    try:
        opened = Decoder(window=(0, top)).decode(io.BytesIO(tiff(values, photometric)), "x.tif")
    except DataError as error:  # Pillow knows no such file, and says so
        assert "is a TIFF that is damaged, or has a number of channels or bits" in str(error) and photometric == 0
        return
    found = np.asarray(opened)[..., 0].astype(float)
    assert np.abs(found - (expected if photometric else 255 - expected)).max() <= 1


def test_a_transparent_value_of_deep_grey_becomes_white(tmp_path: Path) -> None:
    values = np.array([[0, 1000], [2000, 4000]], np.uint16)
    Image.fromarray(values).save(tmp_path / "x.png", transparency=1000)
    assert np.asarray(open_file(tmp_path / "x.png", window=(0, 4000)))[..., 0].tolist() == [[0, 255], [128, 255]]


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_pillow_turns_it(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"x.{suffix}"
    blobs(3, 40).crop((0, 0, 40, 24)).save(path, exif=exif)
    with Image.open(path) as image:
        expected = ImageOps.exif_transpose(image).convert("RGB")
    assert expected.size == ((40, 24) if orientation < 5 else (24, 40))
    assert open_file(path).tobytes() == expected.tobytes()


BROKEN = b"Exif\0\0\x00\x08\x00\x02\x01\x12\x00\x03"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
@pytest.mark.parametrize(
    "exif", [BROKEN, b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x12", b"x"]
)
def test_a_broken_exif_block_spoils_no_pixel(tmp_path: Path, suffix: str, exif: bytes) -> None:
    plain, broken = tmp_path / f"plain.{suffix}", tmp_path / f"broken.{suffix}"
    blobs(3, 40).save(plain)
    blobs(3, 40).save(broken, exif=exif)
    assert open_file(broken).tobytes() == open_file(plain).tobytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "x.jpg: has 0 bytes, so it is not an image"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", r"x.jpg: is a Git LFS pointer \(fetch"),
        (b"<html>404</html>", "x.jpg: is a web page, so it is not an image in one of the formats"),
        (b"\n <!DOCTYPE HTML>", "x.jpg: is a web page, so it is not"),
        (bytes(4) + b"ftypheic" + bytes(99), "x.jpg: is a HEIC, so"),
        (bytes(4) + b"ftypavif" + bytes(99), "x.jpg: is an AVIF, so"),
        (bytes(4) + b"ftypmp42" + bytes(99), "x.jpg: is a video"),
        (bytes(128) + b"DICM", "x.jpg: is a DICOM file, so"),
        (bytes(5000), "x.jpg: is a file of zeros, so"),
        (b"PK\3\4", "x.jpg: is a ZIP archive, so"),
        (b"\x89PNG\r\n\x1a\n", "x.jpg: begins like a PNG, but is damaged"),
        (b"some words", "x.jpg: is not an image in one of the formats"),
    ],
)
def test_what_is_no_image_is_told_by_its_first_bytes(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_file(tmp_path / "x.jpg")


def test_a_strip_is_refused_before_a_classifier_scales_it_up(tmp_path: Path) -> None:
    Image.new("RGB", (1, 30000)).save(tmp_path / "line.png")
    with pytest.raises(DataError, match="line.png: has 1 x 30000 pixels, one side over 200 times the other; crop it"):
        open_file(tmp_path / "line.png")
    Image.new("RGB", (3, 600)).save(tmp_path / "line.png")
    assert open_file(tmp_path / "line.png").size == (3, 600)
