"""Weather keeps the rules of synthesizers, changes what it says, and follows a wished brightness."""

import numpy as np
import pytest
from PIL import Image
from xaiaug import Context, SynthesisRequest
from xaiaug.errors import ConfigError
from xaiaug.testing import parametrize_checks
from xaiaug_weather.effects import EFFECTS
from xaiaug_weather.synthesizer import WeatherSynthesizer


@parametrize_checks(WeatherSynthesizer)
def test_it_keeps_the_rules(check):
    check()


def photo(side=48):
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    return Image.fromarray((np.stack([x, y, 0.3 + 0 * x], -1) * 200 + 20).astype(np.uint8))


def made(kind, guidance=None, seed=3):
    request = SynthesisRequest("0", 0, "", "cat", seed, guidance or {}, source=photo())
    (image,) = WeatherSynthesizer([kind]).synthesize([request])
    return image


@pytest.mark.parametrize("kind", EFFECTS)
def test_the_drawn_weather_is_told_and_seen(kind):
    image = made(kind)
    assert image.details["weather"] == kind and 0.4 <= image.details["strength"] <= 0.8
    before, after = (np.asarray(picture, float) for picture in (photo(), image.image))
    assert after.shape == before.shape
    assert np.abs(after - before).mean() > 5


def test_fog_takes_contrast_dusk_takes_light_and_glare_gives_it():
    before = np.asarray(photo(), float)
    fog, dusk, glare = (np.asarray(made(kind).image, float) for kind in ("fog", "dusk", "glare"))
    assert fog.std() < before.std()
    assert dusk.mean() < before.mean() < glare.mean()


@pytest.mark.parametrize("wanted", [0.25, 0.5, 0.75])
def test_a_wished_brightness_is_reached(wanted):
    image = made("rain", {"brightness": wanted}).image
    assert np.asarray(image, float).mean() / 255 == pytest.approx(wanted, abs=0.03)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"kinds": ["hail"]}, "some of dusk"), ({"kinds": []}, "some of"), ({"strength": 2.0}, "up to 1")],
)
def test_parameters_out_of_their_range_are_told(parameters, message):
    with pytest.raises(ConfigError, match=message):
        WeatherSynthesizer(**parameters).prepare(Context())
