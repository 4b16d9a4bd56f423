"""Where a service is, which key it gets, and a client of its SDK."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import Any
from urllib.parse import urlsplit

from ...credentials import Secret, find_key, is_provider
from ...errors import ConfigError
from ._sdk import connect, require_package


class ServiceEndpoint(ABC):
    """The address of a service with its key.

    Attributes:
        service: name of the plugin, for messages and keys of calls.
        extra: name of the extra that installs its SDK.
        package: the SDK.
        client_class: name of the SDK's client.
        own_address: URL of the service.
        address_variable: environment variable with another URL, which counts if there is no `base_url`.
        key_variables: environment variables with the key.
        base_url: URL that the user set.
    """

    service: str
    extra: str
    package: str
    client_class: str
    own_address: str
    address_variable: str
    key_variables: tuple[str, ...]
    base_url: str | None

    @property
    def address_note(self) -> str:
        """What the user should know if the address is from the environment; else empty."""
        if not self._is_address_from_environment():
            return ""
        return f"the environment variable {self.address_variable} sends images and key to {self._receiver()}"

    def _check_access(self) -> None:
        """Raises when the package or the key is missing."""
        require_package(self.package, self.extra, self.service)
        self._find_key()

    def _open_client(self) -> tuple[Any, Secret]:
        """A client of the SDK, and the key that it sends."""
        key = self._find_key()
        client = connect(
            self.package, self.client_class, key, self._address(), plugin=self.service, adapt=self._adapt_client
        )
        return client, key

    def _check_price(self, model: str, worst_case_usd: float) -> None:
        """Raises ConfigError when the prices call a model free that a known provider bills."""
        if worst_case_usd == 0 and is_provider(self._address()):
            raise ConfigError(
                f"{self.service}: the prices call {model!r} local, and so free, but it is called at "
                f"{self._receiver()}, which bills it: remove local = true"
            )

    @abstractmethod
    def _adapt_client(self, client: Any) -> None:
        """Changes what the SDK took from the environment and this server should get otherwise."""

    def _address(self) -> str:
        """The URL of the service."""
        return self.base_url or os.environ.get(self.address_variable) or self.own_address

    def _is_address_from_environment(self) -> bool:
        return not self.base_url and bool(os.environ.get(self.address_variable))

    def _find_key(self) -> Secret:
        """The key for the address; raises ConfigError where no key may be sent to it, or there is none."""
        source = self.address_variable if self._is_address_from_environment() else "base_url"
        return find_key(self._address(), self.key_variables, self.service, source)

    def _receiver(self) -> str:
        """The host that images are sent to."""
        return urlsplit(self._address()).hostname or ""


class OpenAIEndpoint(ServiceEndpoint):
    """OpenAI's own address, or that of a compatible server."""

    extra = package = "openai"
    client_class = "OpenAI"
    own_address = "https://api.openai.com/v1"
    address_variable = "OPENAI_BASE_URL"
    key_variables: tuple[str, ...] = ("OPENAI_API_KEY",)

    def _adapt_client(self, client: Any) -> None:
        if self._is_compatible():  # the account at OpenAI is no business of another server
            client.organization = client.project = None

    def _is_compatible(self) -> bool:
        """Whether the server is another than OpenAI's own."""
        return self._receiver() != urlsplit(OpenAIEndpoint.own_address).hostname
