"""Which key goes to which host: a provider's key to the provider, and to no other unless the user names the host."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import ConfigError
from .secret import Secret

TRUSTED = "XAIAUG_TRUSTED_HOSTS"  # set by --trust-host, and seen by worker processes
NAMED = "XAIAUG_KEY_"  # and the host: XAIAUG_KEY_LLM_EXAMPLE_ORG
FILE = "trusted-hosts"
# Hosts of each provider, and the variables with its key. A pattern stands for hosts that vary by customer.
PROVIDERS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("api.anthropic.com",), ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")),
    (("api.openai.com", "eu.api.openai.com", "us.api.openai.com"), ("OPENAI_API_KEY",)),
    (
        ("*.openai.azure.com", "*.cognitiveservices.azure.com", "*.services.ai.azure.com"),
        ("AZURE_OPENAI_API_KEY", "OPENAI_API_KEY"),
    ),
    (("generativelanguage.googleapis.com",), ("GEMINI_API_KEY", "GOOGLE_API_KEY")),
    (("openrouter.ai",), ("OPENROUTER_API_KEY",)),
    (("api.groq.com",), ("GROQ_API_KEY",)),
    (("api.mistral.ai",), ("MISTRAL_API_KEY",)),
    (("api.x.ai",), ("XAI_API_KEY",)),
    (("api.together.xyz", "api.together.ai"), ("TOGETHER_API_KEY",)),
    (("api.fireworks.ai",), ("FIREWORKS_API_KEY",)),
    (("api.deepseek.com",), ("DEEPSEEK_API_KEY",)),
)
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?|[0-9a-f:]+")


def host_of(address: str) -> str:
    """The host of a server's address, in lower case.

    Raises:
        ConfigError: the address is none, holds a name, password, query or fragment, or can be read in two ways.
    """
    try:
        parts = urlsplit(address)
        host, _ = (parts.hostname or "").lower(), parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ConfigError("base_url must not contain a key, name or password: set the key in the environment")
    odd = not address.isascii() or not address.isprintable() or re.search(r'[\s\\@?#<>"]', address)
    if odd or parts.scheme not in ("http", "https") or not _HOST.fullmatch(host):
        raise ConfigError('base_url must be the address of a server such as "http://localhost:11434/v1"')
    return host.removesuffix(".")


def find_key(address: str, names: Sequence[str], plugin: str, source: str = "base_url") -> Secret:
    """The key for a server: empty for one on this machine that the user has not named.

    Args:
        address: of the server.
        names: environment variables with the plugin's own key, which a host that the user trusts gets.
        plugin: who asks, for messages.
        source: where the address is from, for messages.

    Raises:
        ConfigError: the host is none that a provider is known by, and the user has not named it; or there is no key,
            or none that can be sent.
    """
    host = host_of(address)
    own = name_key_variable(host)
    if _read(own):
        return _read(own)
    known = _provider_variables(host)
    if known:
        if urlsplit(address).scheme != "https":
            raise ConfigError(f"{source}: {host} must be called by https, or its key can be read on the way")
        names = known
    elif not _matches(host, trusted_hosts()):
        if is_loopback(host):
            return Secret("")
        raise ConfigError(
            f"{plugin}: {source} is at {host}, which is no host of a known provider, so neither key "
            f"nor images are sent there. If it is yours, or you trust it: --trust-host {host}, or a line {host} in "
            f"{config_folder() / FILE}, or its key in the environment variable {own}"
        )
    key = next((key for key in map(_read, names) if key), None)
    if key is None and known:
        raise ConfigError(f"{plugin} needs a key: set the environment variable {names[0]}")
    return key or Secret("")


def is_provider(address: str) -> bool:
    """Whether a server is one of a known provider, which bills its calls."""
    return bool(_provider_variables(host_of(address)))


def trusted_hosts() -> list[str]:
    """The hosts that the user trusts: those of --trust-host, and of the file in the config folder.

    Raises:
        ConfigError: a line is no host.
    """
    return [_check_host(host) for host in (*_split(os.environ.get(TRUSTED, "").replace(",", "\n")), *_read_file())]


def trust_hosts(hosts: Iterable[str]) -> None:
    """Trusts hosts in this process and in those it starts.

    Raises:
        ConfigError: one is no host.
    """
    added = [_check_host(host.strip().lower()) for host in hosts]
    if added:
        os.environ[TRUSTED] = ",".join([*_split(os.environ.get(TRUSTED, "").replace(",", "\n")), *added])


def environment_keys() -> list[Secret]:
    """All keys in the environment, so that none of them is stored or shown."""
    known = {name for _, variables in PROVIDERS for name in variables}
    return [Secret(value.strip()) for name, value in os.environ.items() if name in known or name.startswith(NAMED)]


def name_key_variable(host: str) -> str:
    """The environment variable with the key for one host."""
    return NAMED + re.sub(r"[^a-z0-9]", "_", host).upper()


def config_folder() -> Path:
    """The user's folder for this library's configuration; it need not exist."""
    usual = os.environ.get("APPDATA") if os.name == "nt" else os.environ.get("XDG_CONFIG_HOME")
    return Path(usual or Path.home() / ".config") / "xaiaug"


def _provider_variables(host: str) -> tuple[str, ...]:
    return next((variables for hosts, variables in PROVIDERS if _matches(host, hosts)), ())


def _read(name: str) -> Secret:
    """The key in an environment variable; empty if there is none."""
    key = Secret(os.environ.get(name, "").strip())
    if not (key.reveal().isascii() and key.reveal().isprintable()) or " " in key.reveal():
        raise ConfigError(
            f"the environment variable {name} holds no key: it has a line break, a space or another character that "
            "cannot be sent. Copy the key again"
        )
    return key


def _read_file() -> Iterator[str]:
    path = config_folder() / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    yield from _split(text)


def _split(text: str) -> Iterator[str]:
    lines = (line.partition("#")[0].strip().lower() for line in text.splitlines())
    yield from (line for line in lines if line)


def _check_host(host: str) -> str:
    if not _HOST.fullmatch(host.removeprefix("*.")) or host in ("*", "*."):
        raise ConfigError(f"{host[:100]!r} is not a host: give it without https:// and path, such as llm.example.org")
    return host.removesuffix(".")


def _matches(host: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(host, pattern) for pattern in patterns)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or number alone: nothing is looked up."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
