"""Weather keeps the rules of synthesizers, changes what it reports, and reaches a requested brightness."""

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


def synthesize(kind, guidance=None, seed=3):
    request = SynthesisRequest("0", 0, "", "cat", seed, guidance or {}, source=photo())
    (image,) = WeatherSynthesizer([kind]).synthesize([request])
    return image


@pytest.mark.parametrize("kind", EFFECTS)
def test_the_chosen_weather_is_recorded_and_visible(kind):
    image = synthesize(kind)
    assert image.details["weather"] == kind and 0.4 <= image.details["strength"] <= 0.8
    before, after = (np.asarray(picture, float) for picture in (photo(), image.image))
    assert after.shape == before.shape
    assert np.abs(after - before).mean() > 5


def test_fog_lowers_contrast_dusk_darkens_and_glare_brightens():
    before = np.asarray(photo(), float)
    fog, dusk, glare = (np.asarray(synthesize(kind).image, float) for kind in ("fog", "dusk", "glare"))
    assert fog.std() < before.std()
    assert dusk.mean() < before.mean() < glare.mean()


@pytest.mark.parametrize("target", [0.25, 0.5, 0.75])
def test_a_requested_brightness_is_reached(target):
    image = synthesize("rain", {"brightness": target}).image
    assert np.asarray(image, float).mean() / 255 == pytest.approx(target, abs=0.03)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"kinds": ["hail"]}, "some of dusk"), ({"kinds": []}, "some of"), ({"strength": 2.0}, "up to 1")],
)
def test_parameters_out_of_range_are_refused(parameters, message):
    with pytest.raises(ConfigError, match=message):
        WeatherSynthesizer(**parameters).prepare(Context())
