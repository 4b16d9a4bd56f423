"""IP-Adapter (arXiv:2308.06721): the failed image as a second prompt, by a table of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import ConfigError, suggest
from ...records import JSON
from ._pipeline_files import read_shapes
from ._weights import Weights, first_line

KEYS = ("weights", "file", "subfolder", "image_encoder", "scale", "revision")
PARTS = ("image_proj.", "ip_adapter.")  # the tensors of such weights


@dataclass(frozen=True)
class IpAdapter:
    """Weights that let a pipeline see an image beside the prompt.

    Attributes:
        weights: folder or name, with the file.
        subfolder: of the file in it; empty if there is none.
        image_encoder: folder of the image encoder, in the weights' own.
        scale: how much the image counts beside the prompt, 0 to 1.
    """

    weights: Weights
    subfolder: str
    image_encoder: str
    scale: float

    def check(self) -> None:
        """Checks the files, as far as they are on this machine.

        Raises:
            ConfigError: one is missing, or holds no such weights.
        """
        if not self.weights.local:
            return
        folder = Path(self.weights.place)
        file = folder / self.subfolder / str(self.weights.file)
        if not file.is_file():
            raise ConfigError(f"ip_adapter: there is no file {str(file)!r}")
        if not all(any(name.startswith(part) for name in read_shapes(file)) for part in PARTS):
            raise ConfigError(f"ip_adapter: {file.name} holds no IP-Adapter: no tensors of {' and '.join(PARTS)}")
        if not (folder / self.image_encoder / "config.json").is_file():
            raise ConfigError(f"ip_adapter: there is no image encoder in {str(folder / self.image_encoder)!r}")

    def load(self, pipe: Any) -> None:
        """Loads the weights into a pipeline.

        Raises:
            ConfigError: the pipeline takes none, or the weights do not fit it.
        """
        if not hasattr(pipe, "load_ip_adapter"):
            raise ConfigError(f"{type(pipe).__name__} takes no IP-Adapter: leave ip_adapter out")
        options = {key: value for key, value in self.weights.options().items() if key != "use_safetensors"}
        try:
            pipe.load_ip_adapter(
                self.weights.place,
                subfolder=self.subfolder,
                weight_name=self.weights.file,
                image_encoder_folder=self.image_encoder,
                **options,
            )
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            who = type(pipe).__name__
            raise ConfigError(f"ip_adapter: {self.weights.file} does not fit {who}: {first_line(error)}") from error
        pipe.set_ip_adapter_scale(self.scale)


def parse_ip_adapter(table: Mapping[str, JSON] | None, who: str) -> IpAdapter | None:
    """The adapter of the setting `ip_adapter`; None without one.

    Raises:
        ConfigError: the table has other keys, or lacks one.
    """
    if table is None:
        return None
    for name in table:
        if name not in KEYS:
            raise ConfigError(f"{who}: ip_adapter has no key {name!r}. {suggest(name, KEYS)}")
    file, scale = table.get("file"), table.get("scale", 0.6)
    if "weights" not in table or not str(file).endswith(".safetensors"):
        raise ConfigError(f'{who}: ip_adapter needs weights = "…" and file = "….safetensors"')
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 <= scale <= 1:
        raise ConfigError(f"{who}: the scale of ip_adapter must lie between 0 and 1, got {scale!r}")
    revision = table.get("revision")
    weights = Weights.of(str(table["weights"]), None, None if revision is None else str(revision), f"{who}: ip_adapter")
    place = Weights(weights.place, weights.revision, None, str(file))
    subfolder, encoder = str(table.get("subfolder", "")), str(table.get("image_encoder", "image_encoder"))
    return IpAdapter(place, subfolder, encoder, float(scale))
