"""Validates request bodies against the services' own OpenAPI descriptions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...errors import ConfigError, MissingExtraError

LONGEST_REASON = 300
REFERENCE = "#/components/schemas/"


class ApiDescriptions:
    """The descriptions in a folder: a file with `anthropic` in its name, and one with `openai`, JSON or YAML.

    Files are read with the first request to a service, and once per process.

    Raises:
        ConfigError: the folder does not exist or has no description.
        MissingExtraError: `jsonschema` is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        files = [path for path in Path(folder).glob("*") if path.suffix in (".json", ".yaml", ".yml")]
        self._files = {name: path for name in ("anthropic", "openai") for path in sorted(files) if name in path.name}
        if not self._files:
            raise ConfigError(
                f"Loopback: expected API descriptions such as anthropic.json and openai.yaml in {folder}, found none"
            )
        if find_spec("jsonschema") is None:
            raise MissingExtraError("Loopback checks requests with jsonschema: pip install jsonschema")

    def find_error(self, service: str, path: str, body: object, media_type: str = "application/json") -> str | None:
        """The error in the body of `POST path`, or None if it is valid."""
        if service not in self._files:
            return None
        validator = _request_validator(self._files[service], path, media_type)
        error = import_module("jsonschema").exceptions.best_match(validator.iter_errors(body))
        if error is None:
            return None
        where = ".".join(map(str, error.absolute_path)) or "the body"
        return f"{where}: {error.message}"[:LONGEST_REASON]


@cache
def _request_validator(file: Path, path: str, media_type: str) -> Any:
    description = _load(file)
    # Clients of beta features use their own paths; OpenAI's paths are relative to .../v1.
    plain = path.partition("?")[0]
    for known in (path, plain, plain.removeprefix("/v1")):
        operation = description.operation(known)
        if operation is not None:
            schema = operation["post"]["requestBody"]["content"][media_type]["schema"]
            return make_validator(file, schema)
    raise ConfigError(f"Loopback: {file.name} does not describe POST {path}")


def make_validator(file: Path, schema: Mapping[str, Any]) -> Any:
    """A validator for a schema that refers to the schemas of a description."""
    description = _load(file)
    schemas: dict[str, Any] = {}
    pending = list(_references(schema))
    while pending:
        name = pending.pop()
        if name not in schemas:
            referenced = description.schema(name)
            schemas[name] = _repair(referenced)
            pending += _references(referenced)
    return import_module("jsonschema").Draft202012Validator({**_repair(schema), "components": {"schemas": schemas}})


@cache
def _load(file: Path) -> Description:
    text = file.read_text(encoding="utf-8")
    return Document(json.loads(text)) if text.lstrip().startswith("{") else Sections(text)


class Description:
    """Operations and schemas of a description, by name."""

    def operation(self, path: str) -> Any:
        """The operations at a path, or None."""
        raise NotImplementedError

    def schema(self, name: str) -> Any:
        """A schema of the components."""
        raise NotImplementedError


class Document(Description):
    """A description that is parsed as a whole."""

    def __init__(self, parsed: Mapping[str, Any]) -> None:
        self._parsed = parsed

    def operation(self, path: str) -> Any:
        """The operations at a path, or None."""
        return self._parsed["paths"].get(path)

    def schema(self, name: str) -> Any:
        """A schema of the components."""
        return self._parsed["components"]["schemas"][name]


class Sections(Description):
    """A YAML description of which only the requested sections are parsed.

    Parsing three megabytes of YAML takes six seconds, the sections of one operation a tenth of a second.
    """

    def __init__(self, text: str) -> None:
        top = _sections(text, 0)
        self._paths = _sections(top["paths"], 2)
        self._schemas = _sections(_sections(top["components"], 2)["schemas"], 4)

    def operation(self, path: str) -> Any:
        """The operations at a path, or None."""
        return _yaml(self._paths[path]) if path in self._paths else None

    def schema(self, name: str) -> Any:
        """A schema of the components."""
        return _yaml(self._schemas[name])


def _sections(text: str, indent: int) -> dict[str, str]:
    """The text below each key at that indentation."""
    parts = re.split(rf"^ {{{indent}}}(?! )['\"]?([^\s'\"#][^'\"\n]*?)['\"]?:[ ]*\n", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _yaml(text: str) -> Any:
    yaml = import_module("yaml")
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        reference = part.get("$ref")
        if isinstance(reference, str) and reference.startswith(REFERENCE):
            yield reference.removeprefix(REFERENCE)
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _references(inner)


def _repair(part: Any) -> Any:
    """Repairs a schema.

    The descriptions list overlapping choices under `oneOf`, of which valid requests satisfy several, and still use
    `nullable`, which is not part of JSON Schema.
    """
    if isinstance(part, list):
        return [_repair(inner) for inner in part]
    if not isinstance(part, dict):
        return part
    repaired = {("anyOf" if key == "oneOf" else key): _repair(value) for key, value in part.items()}
    if repaired.get("nullable") is True:
        del repaired["nullable"]
        return {"anyOf": [repaired, {"type": "null"}]}
    return repaired
