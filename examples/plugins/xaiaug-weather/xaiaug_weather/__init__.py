"""Training images in other weather for xaiaug. The hook names the class as text, so that listing plugins stays fast."""

import xaiaug


@xaiaug.hookimpl
def register_synthesizers(register):
    register("weather", "xaiaug_weather.synthesizer:WeatherSynthesizer")
