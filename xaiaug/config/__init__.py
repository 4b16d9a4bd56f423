"""Settings files become checked settings."""

from .settings import CurationTable, ExperimentTable, PluginTable, Settings
from .settings_file import create_plugin, parse_settings, read_settings
from .toml_writer import merge_tables, to_toml

__all__ = [
    "CurationTable",
    "ExperimentTable",
    "PluginTable",
    "Settings",
    "create_plugin",
    "merge_tables",
    "parse_settings",
    "read_settings",
    "to_toml",
]
