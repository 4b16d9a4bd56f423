"""API keys: found in the environment, sent to hosts they belong to, masked in texts, refused in settings."""

from .hosts import config_folder, environment_keys, find_key, host_of, is_loopback, is_provider, trust_hosts
from .key_mask import KeyMask
from .key_shapes import looks_like_key, mask_key_shapes
from .secret import Secret

__all__ = [
    "KeyMask",
    "Secret",
    "config_folder",
    "environment_keys",
    "find_key",
    "host_of",
    "is_loopback",
    "is_provider",
    "looks_like_key",
    "mask_key_shapes",
    "trust_hosts",
]
