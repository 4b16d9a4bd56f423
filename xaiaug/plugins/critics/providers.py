"""Critics of providers by name: OpenAI's API at the address, with the key and the habits of each.

The rows come from the providers' documentation. None of them was tried against the service itself: a stand-in that
behaves as described answers in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from ...errors import ConfigError
from ...records import JSON
from .openai import OpenAICritic, OpenAIOptions


class ProviderCritic(OpenAICritic):
    """The base of a provider's critic.

    Args:
        model: the provider's name for it, as its list of models has it.
        options: as in `OpenAICritic`; without a `base_url`, the provider's address.

    Attributes:
        note: what `check` says where there is no address.
    """

    preset_api = "chat"
    note = ""

    def __init__(self, model: str = "", **options: Unpack[OpenAIOptions]) -> None:
        super().__init__(model, **options)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if not self.model:
            raise ConfigError(f"{self.service}: set model, as {self.service} names it")
        if not self._address():
            raise ConfigError(f"{self.service}: {self.note}")


class GeminiCritic(ProviderCritic):
    """Shows a Gemini model the panel and the two classes; the key comes from GEMINI_API_KEY or GOOGLE_API_KEY.

    Args:
        model: Google's name for it.
        options: as in `OpenAICritic`.
    """

    service = "gemini"
    own_address = "https://generativelanguage.googleapis.com/v1beta/openai"
    address_variable = "GEMINI_BASE_URL"
    key_variables = ("GEMINI_API_KEY", "GOOGLE_API_KEY")

    def __init__(self, model: str = "gemini-3.8-flash", **options: Unpack[OpenAIOptions]) -> None:
        super().__init__(model, **options)


class OpenRouterCritic(ProviderCritic):
    """Asks a model that OpenRouter passes on, such as "google/gemini-3.8-flash"; the key comes from OPENROUTER_API_KEY.

    Args:
        model: OpenRouter's name for it; its price has to be set in `[budget] prices`. By it the worst case of a call is
            reserved; what is paid is the cost that OpenRouter states.
        options: as in `OpenAICritic`.
    """

    service = "openrouter"
    own_address = "https://openrouter.ai/api/v1"
    address_variable = "OPENROUTER_BASE_URL"
    states_cost = True
    key_variables = ("OPENROUTER_API_KEY",)

    def __init__(self, model: str = "", **options: Unpack[OpenAIOptions]) -> None:
        super().__init__(model, **options)


class AzureCritic(ProviderCritic):
    """Asks a deployment of Azure OpenAI; the key comes from AZURE_OPENAI_API_KEY, or OPENAI_API_KEY.

    Args:
        model: name of the deployment; its price has to be set in `[budget] prices`.
        options: as in `OpenAICritic`; `base_url` or AZURE_OPENAI_BASE_URL is "https://NAME.openai.azure.com/openai/v1".
    """

    service = "azure"
    own_address = ""
    address_variable = "AZURE_OPENAI_BASE_URL"
    key_variables = ("AZURE_OPENAI_API_KEY", "OPENAI_API_KEY")
    preset_limit = "max_completion_tokens"
    note = 'set base_url to your resource, such as "https://NAME.openai.azure.com/openai/v1"'

    def __init__(self, model: str = "", **options: Unpack[OpenAIOptions]) -> None:
        super().__init__(model, **options)


class LocalServerCritic(ProviderCritic):
    """The base of the critics of servers on this machine: free, and without a key."""

    key_variables = ()

    def __init__(self, model: str = "", **options: Unpack[OpenAIOptions]) -> None:
        super().__init__(model, **options)

    @property
    def default_prices(self) -> Mapping[str, Mapping[str, JSON]]:
        """Free at the server's usual address; elsewhere the price has to be set."""
        local: dict[str, Any] = {"local": True}
        usual = self.model and self._address() == self.own_address
        return {**super().default_prices, **({self.model: local} if usual else {})}


class OllamaCritic(LocalServerCritic):
    """Asks a model of Ollama at http://localhost:11434.

    Args:
        model: as `ollama list` names it.
        options: as in `OpenAICritic`.
    """

    service = "ollama"
    own_address = "http://localhost:11434/v1"
    address_variable = "OLLAMA_BASE_URL"

    def __init__(self, model: str = "qwen3-vl", **options: Unpack[OpenAIOptions]) -> None:
        super().__init__(model, **options)


class VLLMCritic(LocalServerCritic):
    """Asks the model that `vllm serve` serves at http://localhost:8000.

    Args:
        model: as it was served.
        options: as in `OpenAICritic`.
    """

    service = "vllm"
    own_address = "http://localhost:8000/v1"
    address_variable = "VLLM_BASE_URL"

    def __init__(self, model: str = "", **options: Unpack[OpenAIOptions]) -> None:
        super().__init__(model, **options)


class LMStudioCritic(LocalServerCritic):
    """Asks a model that LM Studio has loaded, at http://localhost:1234.

    Args:
        model: as LM Studio lists it.
        options: as in `OpenAICritic`.
    """

    service = "lmstudio"
    own_address = "http://localhost:1234/v1"
    address_variable = "LMSTUDIO_BASE_URL"

    def __init__(self, model: str = "", **options: Unpack[OpenAIOptions]) -> None:
        super().__init__(model, **options)
