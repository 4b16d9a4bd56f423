"""Names of files and functions: no stem twice, no participle or adverb as a function."""

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "xaiaug"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "templates" not in path.parts)
KINDS = ("classifiers", "critics", "explainers", "synthesizers")


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Functions are verbs and values are nouns; these words are neither.
PARTICIPLES = words(
    """
    added adapted aligned asked assembled attended awaited batched begun billed bound brightened brought built
    called captioned changed checked chosen cleaned collected coloured committed compared corrected counted cropped
    crossed described divided done drawn driven embedded emptied ended enlarged escaped estimated expected explained
    failed fetched filled finished fitted fixed flagged flowed folded forgotten found fulfilled generated given gone
    grown guarded halved handed harmonised heard held hidden hooked imagined inked installed judged kept left listed
    loaded located locked lost made mapped masked mended merged met missing mixed moved named needed observed opened
    ordered overloaded paced packed padded paid paired parsed parted passed pasted placed planned planted pointed
    pooled posed posted predicted priced printed promoted published recorded redrawn refined refused registered
    remixed reordered repainted repeated replaced reserved resized returned reworded rounded said sampled saved
    scaled scattered seen sent settled shaded shadowed sharpened shown sized spelled spelt spent spoken stacked
    started stored streamed summed synced taken tapped tested thinned throttled told tracked trained truncated
    turned unused unpacked used varied walked wanted watched weighed wished worded written
    """
)
ADVERBS = words("again alike along apart aside beside elsewhere here own there together whole without")
PARTICLES = words("as by down from in on out to up with")
# These begin no name at all; others may stand as an adjective before a noun, as in `published_licence`.
NEVER_FIRST = ADVERBS | words("asked done found given heard known made said seen told")
# Public names that users already know: constructors that read as adjectives.
ALLOWED = words(
    """
    testing/fake_services/script.py:Error.overloaded
    testing/fake_services/script.py:Reply.recorded
    testing/fake_services/script.py:Reply.truncated
    """
)


def stem(path: Path) -> str:
    return path.stem.lstrip("_")


def is_public_plugin(path: Path) -> bool:
    parts = path.relative_to(PACKAGE).parts
    return len(parts) == 3 and parts[0] == "plugins" and parts[1] in KINDS and not path.name.startswith("_")


def test_a_stem_stands_once() -> None:
    places = defaultdict(list)
    for path in FILES:
        if path.name != "__init__.py" and not is_public_plugin(path):
            places[stem(path)].append(path.relative_to(PACKAGE).as_posix())
    # A file of the loop conducts the stage of its name.
    conducted = {name for name, paths in places.items() if sorted(paths) == [f"loop/{name}.py", f"stages/{name}.py"]}
    assert {name: paths for name, paths in places.items() if len(paths) > 1 and name not in conducted} == {}


def functions(path: Path) -> set[str]:
    """The functions and methods of a file by qualified name, except properties and the laws for plugins."""
    found = set()

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                visit(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                decorators = [ast.unparse(decorator) for decorator in child.decorator_list]
                if not any("property" in decorator or decorator.startswith("check(") for decorator in decorators):
                    found.add(f"{prefix}{child.name}")

    visit(ast.parse(path.read_text(encoding="utf-8")), "")
    return found


def is_participle(name: str) -> bool:
    """Whether a name is a participle ("told", "planted_in"), or begins or ends with an adverb ("find_alike")."""
    first, *rest = name.rpartition(".")[2].strip("_").split("_")
    if first in NEVER_FIRST or (rest and rest[-1] in ADVERBS):
        return True
    return first in PARTICIPLES and (not rest or rest[0] in PARTICLES)


def test_no_function_is_named_by_a_participle_or_an_adverb() -> None:
    offenders = {
        f"{path.relative_to(PACKAGE).as_posix()}:{name}"
        for path in FILES
        for name in functions(path)
        if is_participle(name)
    }
    assert offenders == ALLOWED
