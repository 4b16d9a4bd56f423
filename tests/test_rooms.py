"""The table of rooms in docs/design.md holds: who may import whom, and no cycles between modules."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "xaiaug"
OPEN = {"errors", "records"}
HEAVY = {"torch", "transformers", "diffusers", "anthropic", "openai", "ray"}
HEAVY_ROOMS = {"plugins", "engines", "petworld"}
FORBIDDEN_NAMES = {"utils", "helpers", "common", "manager"}


def table() -> dict[str, set[str]]:
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    rows = re.search(r"<!-- rooms -->(.*)<!-- /rooms -->", text, re.S).group(1).strip().splitlines()[2:]
    rooms = {}
    for row in rows:
        name, imports, _ = (cell.strip() for cell in row.strip("|").split("|"))
        rooms[name] = {entry.strip() for entry in imports.split(",") if entry.strip()}
    for name, imports in rooms.items():
        if "*" in imports:
            rooms[name] = set(list(rooms)[: list(rooms).index(name)])
    return rooms


ROOMS = table()
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Dotted names of everything a file imports, relative ones resolved."""
    package = ("xaiaug", *path.relative_to(PACKAGE).parts[:-1])
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *(node.module or "").split("."))).strip(".")
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_what_its_room_may(path: Path) -> None:
    own = room(path)
    assert own in ROOMS, f"the room {own} is not in docs/design.md"
    allowed = ROOMS[own] | {own} | (set() if own == "errors" else OPEN)
    if own == "records":
        allowed -= set(ROOMS) - {"errors", "records"}
    reached = {name.split(".")[1] for name in imports(path) if name.startswith("xaiaug.")} - {"__version__"}
    assert reached <= allowed, f"{own} may not import {sorted(reached - allowed)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_packages_stay_in_their_rooms(path: Path) -> None:
    heavy = {name.split(".")[0] for name in imports(path)} & HEAVY
    # interfaces name torch for type checkers only, and never import it.
    if room(path) == "interfaces":
        runtime = path.read_text(encoding="utf-8").split("if TYPE_CHECKING:")[0]
        heavy = {name for name in heavy if re.search(rf"^\s*(from|import) {name}\b", runtime, re.M)}
    assert not heavy or room(path) in HEAVY_ROOMS, f"{room(path)} imports {sorted(heavy)}"


def test_only_replay_reads_the_store() -> None:
    readers = [path for path in FILES if room(path) == "plugins" and any(".store" in name for name in imports(path))]
    assert [path.name for path in readers if path.name != "replay.py"] == []


def test_sql_is_written_in_the_store_and_the_data_cache_alone() -> None:
    sql = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE)\b.*\b(FROM|INTO|SET)\b")
    owners = {"store", "data"}
    writers = [path.name for path in FILES if room(path) not in owners and sql.search(path.read_text(encoding="utf-8"))]
    assert writers == []


def test_no_room_has_the_name_of_a_public_name_or_an_empty_word() -> None:
    import xaiaug

    names = {room(path) for path in FILES} | {path.stem for path in FILES}
    assert not names & FORBIDDEN_NAMES
    assert not {room(path) for path in FILES} & set(xaiaug.__all__)


def module(path: Path) -> str:
    return ".".join(("xaiaug", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


MODULES = {module(path): path for path in FILES}


def imported_modules(path: Path) -> set[str]:
    """The modules a file imports, within functions and for type checkers too."""
    package = ("xaiaug", *path.relative_to(PACKAGE).parts[:-1])
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = ".".join(package[: len(package) - node.level + 1])
            full = f"{base}.{node.module}" if node.module else base
            names |= {f"{full}.{alias.name}" if f"{full}.{alias.name}" in MODULES else full for alias in node.names}
    return {name for name in names if name in MODULES}


def test_no_module_imports_itself_through_others() -> None:
    graph = {name: imported_modules(path) - {name} for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for target in graph[name]:
                visit(target, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())
