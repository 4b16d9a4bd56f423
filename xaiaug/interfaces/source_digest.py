"""A digest of the code that a plugin's results depend on: its classes and the modules of its package that they use."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

OURS = __name__.partition(".")[0]
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")  # where statements stand in statements
# These rooms hold contracts and messages, not methods: the results of a plugin do not depend on them.
CONTRACTS = frozenset({"errors", "records", "interfaces", "hookspecs", "registry", "calls", "store"})


def source_digest(kind: type) -> str | None:
    """16 hex digits over all sources that a plugin class's results depend on; None where one cannot be read.

    Of a built-in plugin these are the modules of its class and of the classes it inherits from, and what they import
    from this package, directly or through others, contracts aside. Of another plugin it is its whole package. Of a
    class in a script (`__main__`) it is the class and what it uses of that file.
    """
    digest = hashlib.sha256(kind.__qualname__.encode())
    for base in kind.__mro__:
        package = base.__module__.partition(".")[0]
        if (package in sys.stdlib_module_names and package != "__main__") or _is_contract(base.__module__):
            continue
        sources = _read_sources(base)
        if sources is None:
            return None
        for name, source in sources:
            digest.update(f"{name} {source}\n".encode())
    return digest.hexdigest()[:16]


def _read_sources(kind: type) -> list[tuple[str, str]] | None:
    """Name and digest of each source behind one class, in order; None where the class is in no file."""
    try:
        file = Path(inspect.getfile(kind))
        if kind.__module__ == "__main__":
            script = _extract_definitions("".join(inspect.findsource(kind)[0]), kind.__qualname__.partition(".")[0])
            return [(kind.__module__, hashlib.sha256(script.encode()).hexdigest())]
        _find_class(kind, file.stat().st_mtime_ns)
    except (OSError, TypeError):
        return None
    package = kind.__module__.partition(".")[0]
    root = next(iter(getattr(sys.modules.get(package), "__path__", ())), None)
    if root is None:  # a plugin that is one file
        return [(kind.__module__, _digest_file(file, file.stat().st_mtime_ns))]
    files = _follow_imports(Path(root), file) if package == OURS else sorted(Path(root).rglob("*.py"))
    return [(path.relative_to(root).as_posix(), _digest_file(path, path.stat().st_mtime_ns)) for path in files]


@functools.lru_cache(maxsize=256)  # of classes, which may be those of a moment: not kept for good
def _find_class(kind: type, changed_ns: int) -> None:  # noqa: ARG001  (part of the cache's key)
    """Raises OSError or TypeError where the class's definition stands in no file; parses the file to know."""
    inspect.findsource(kind)


@functools.cache
def _digest_file(path: Path, changed_ns: int) -> str:  # noqa: ARG001  (part of the cache's key)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_contract(module: str) -> bool:
    package, _, rest = module.partition(".")
    return package == OURS and rest.partition(".")[0] in CONTRACTS


def _follow_imports(root: Path, start: Path) -> list[Path]:
    """The modules below `root` that `start` imports, directly or through others, itself among them; sorted."""
    reached: set[Path] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting += _find_imports(root, path, path.stat().st_mtime_ns)
    return sorted(reached)


@functools.cache
def _find_imports(root: Path, path: Path, changed_ns: int) -> tuple[Path, ...]:  # noqa: ARG001  (part of the cache's key)
    """The modules below `root` that a module imports, at its top or inside functions."""
    package = (root.name, *path.relative_to(root).parent.parts)
    names: set[tuple[str, ...]] = set()
    for node in _iter_statements(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            names |= {base, *((*base, alias.name) for alias in node.names)}
    return tuple(sorted({file for name in names for file in _find_files(root, name)}))


def _iter_statements(block: ast.AST) -> Iterator[ast.AST]:
    """All statements below a node. Expressions, most of a tree, hold none, and are not walked."""
    for name in _BLOCKS:
        for node in getattr(block, name, ()):
            yield node
            yield from _iter_statements(node)


def _find_files(root: Path, name: tuple[str, ...]) -> Iterator[Path]:
    """The file of a dotted name below `root`; none for other packages, contracts, and names that are no modules."""
    if name[:1] != (root.name,) or len(name) < 2 or name[1] in CONTRACTS:
        return
    path = root.joinpath(*name[1:])
    yield from (file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file())


def _extract_definitions(source: str, name: str) -> str:
    """The definition of a name in a script, and of all that it uses of that script."""
    definitions: dict[str, list[ast.stmt]] = {}
    for node in ast.parse(source).body:
        for defined in _defined_names(node):
            definitions.setdefault(defined, []).append(node)
    used, waiting = set[str](), [name]
    while waiting:
        name = waiting.pop()
        if name in definitions and name not in used:
            used.add(name)
            waiting += [leaf.id for node in definitions[name] for leaf in ast.walk(node) if isinstance(leaf, ast.Name)]
    nodes = (node for name in sorted(used) for node in definitions[name])
    return "\n".join(ast.get_source_segment(source, node) or "" for node in nodes)


def _defined_names(node: ast.stmt) -> Iterable[str]:
    """The names that a statement at the top of a file defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return (node.name,)
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)}
