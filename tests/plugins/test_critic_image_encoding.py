"""Pictures for a critic: of a good size, and nothing but pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from xaiaug.plugins.critics._image_encoding import encode_image


@pytest.mark.parametrize(
    ("size", "sent"),
    [
        ((512, 332), (512, 332)),
        ((128, 100), (512, 400)),
        ((100, 150), (341, 512)),
        ((300, 199), (300, 199)),
        ((1000, 500), (512, 256)),
        ((100, 5000), (31, 1536)),
        ((1, 1), (512, 512)),
    ],
)
def test_tiny_pictures_grow_and_large_ones_shrink(size, sent):
    made = encode_image(Image.new("RGB", size, "teal"), 512)
    assert made.size == sent
    with Image.open(io.BytesIO(made.data)) as image:
        assert (image.size, image.format, image.mode) == (sent, "JPEG", "RGB")


def test_metadata_stays_here():
    image = Image.new("RGB", (300, 300), "teal")
    exif = Image.Exif()
    exif[0x010E] = "canary in the description"
    file, text = io.BytesIO(), PngImagePlugin.PngInfo()
    text.add_text("comment", "canary in a text")
    image.save(file, "PNG", exif=exif, pnginfo=text, icc_profile=b"canary profile")
    with Image.open(io.BytesIO(file.getvalue())) as loaded:
        loaded.load()
        assert loaded.info and loaded.getexif()
        made = encode_image(loaded, 512)
    assert b"canary" in file.getvalue() and b"canary" not in made.data
    with Image.open(io.BytesIO(made.data)) as sent:
        assert not sent.getexif() and set(sent.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "I;16", "1"])
def test_every_mode_can_be_sent(mode):
    assert encode_image(Image.new(mode, (220, 220)), 512).size == (220, 220)


def test_what_is_transparent_becomes_white():
    made = encode_image(Image.new("RGBA", (220, 220), (0, 0, 0, 0)), 512)
    with Image.open(io.BytesIO(made.data)) as image:
        assert np.asarray(image).min() > 250


def test_the_digest_is_of_the_pixels():
    one, same = (encode_image(Image.new("RGB", (220, 220), "teal"), 512).digest for _ in range(2))
    other = encode_image(Image.new("RGB", (220, 220), "navy"), 512).digest
    assert one == same != other
