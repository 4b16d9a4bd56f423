"""What the documentation shows works: Python snippets, settings, tables of hooks, methods and checks, and examples."""

import importlib
import inspect
import re
import runpy
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from xaiaug import arms, config, load, petworld
from xaiaug.calls import Prices
from xaiaug.curation import DEFAULT
from xaiaug.plugins._segmentation import create_segmenter

ROOT = Path(__file__).resolve().parents[1]
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
# Smaller sizes for tests; nothing else of a snippet is changed.
SMALLER = {
    '"train": 800, "guide": 1400,': '"train": 24, "guide": 60,',
    '"validation": 40, "test": 500': '"validation": 8, "test": 12',
    "Recipe(steps=60, ": "Recipe(steps=2, ",
    "Recipe(steps=80, ": "Recipe(steps=3, ",
    "Recipe(steps=500, ": "Recipe(steps=2, ",
}


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def snippets(name: str, language: str = "python") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page(name), re.S | re.M)


def smaller(code: str, checkpoint: Path) -> str:
    for usual, small in SMALLER.items():
        code = code.replace(usual, small)
    return code.replace("facebook/dino-vits16", checkpoint.as_posix())


@pytest.fixture(scope="module")
def checkpoint():
    return petworld.checkpoint()


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of small images, named photos, in the working folder."""
    petworld.write_world(tmp_path / "photos", sizes={"train": 24, "guide": 60, "validation": 8, "test": 12}, seed=3)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


SHOWS = {
    "README.md": "generated+training",
    "docs/tutorial.md": "generated+training",
    "docs/plugins.md": "",
    "docs/checking.md": "",
    "docs/testing.md": "",
    "docs/causes.md": "backdrop",
    "docs/data.md": "cat",
    "docs/own-model.md": "occlusion",
    "docs/evidence.md": "points, 95 % interval",
    "docs/explanations.md": "of the image was seen",
    "docs/faithfulness.md": "deletion",
    "docs/remix.md": "mask on the backdrop of",
}


def test_every_snippet_runs_in_a_test_or_says_why_not():
    """A page with Python is in SHOWS or run by the test named here; a snippet that cannot run gives its reason."""
    elsewhere = {
        "docs/critics.md": "test_docs_critics",
        "docs/notebooks.md": "test_notebook",
        "docs/slices.md": "test_docs",
        "docs/synthesizers.md": "plugins/test_cats_vs_dogs",
    }
    for name in PAGES:
        marked = re.findall(r"^```python(.*?)\n(.*?)^```", page(name), re.S | re.M)
        for mark, code in marked:
            assert not mark or re.fullmatch(r" not-run: \w.{5,}", mark), f"{name}: ```python{mark}"
            compile(code, name, "exec")
        if any(not mark for mark, _ in marked) and name not in SHOWS:
            assert name in elsewhere, f"no test runs the snippets of {name}: add it to SHOWS, or say why not"
            runner = ROOT / "tests" / f"{elsewhere[name]}.py"
            assert Path(name).name in runner.read_text(encoding="utf-8")


@pytest.mark.ci
@pytest.mark.parametrize("name", SHOWS)
def test_the_snippets_of_a_page_run_one_after_another(name, photos, checkpoint, capsys):
    namespace = {"__name__": "reader"}
    for number, code in enumerate(snippets(name)):
        exec(compile(smaller(code, checkpoint), f"{name}[{number}]", "exec"), namespace)  # noqa: S102
    assert SHOWS[name] in capsys.readouterr().out


@pytest.mark.ci
def test_the_snippet_of_the_page_on_slices_runs_with_images_of_your_own(photos, capsys):
    import numpy as np

    import xaiaug
    from xaiaug.testing import NearestColour

    splits = xaiaug.Splits.from_folder(photos)
    classifier = NearestColour()
    classifier.prepare(xaiaug.Context(labels=splits.labels))
    classifier.fit(splits.train, splits.validation, recipe=xaiaug.Recipe(), seed=0)
    images = [sample.open() for sample in splits.guide]
    namespace = {
        "images": images,
        "labels": [splits.labels[sample.label] for sample in splits.guide],
        "classifier": classifier,
        "probabilities": classifier.predict_proba(images),
        "features": np.array([np.asarray(image).mean((0, 1)) for image in images]),
    }
    (code,) = snippets("docs/slices.md")
    exec(compile(code, "docs/slices.md", "exec"), namespace)  # noqa: S102
    shown = capsys.readouterr().out
    assert namespace["found"].reason in shown and len(shown.splitlines()) == len(namespace["found"]) + 1


@pytest.mark.ci
def test_the_plugins_of_the_page_work_in_a_loop(photos, checkpoint):
    import xaiaug

    namespace = {"__name__": "reader"}
    for code in snippets("docs/plugins.md"):
        exec(smaller(code, checkpoint), namespace)  # noqa: S102
    loop = xaiaug.FeedbackLoop(
        "transformers",
        namespace["Brightness"](),
        namespace["Plain"](),
        namespace["TwoColours"](side=32),
        recipe=xaiaug.Recipe(steps=1, batch_size=4),
        settings={"classifier": {"checkpoint": str(checkpoint)}, "mistakes": {"max": 4}},
    )
    result = loop.run(xaiaug.Splits.from_folder(photos), "runs/plugins")
    assert all(case.method == "brightness" and case.critique.cause.startswith("predicted ") for case in result.mistakes)
    assert result.report.images.kept > 0


@pytest.mark.ci
def test_the_paid_critic_of_the_page_works_in_a_loop(photos, checkpoint):
    import xaiaug

    asked = []

    def ask(request):
        asked.append(request)
        if len(asked) == 2:
            return 429, {"retry-after": "0"}, {"error": "slow down"}
        return 200, {}, {"text": "because of its coat", "in": 50, "out": 10}

    namespace = {"__name__": "reader", "ask": ask}
    for code in snippets("docs/plugins.md"):
        exec(smaller(code, checkpoint), namespace)  # noqa: S102
    loop = xaiaug.FeedbackLoop(
        "transformers",
        critic=namespace["Paid"]("my-model"),
        recipe=xaiaug.Recipe(steps=1, batch_size=4),
        budget_usd=1.0,
        settings={
            "classifier": {"checkpoint": str(checkpoint)},
            "mistakes": {"max": 4},
            "privacy": {"allow_upload": True},
            "budget": {"prices": {"my-model": {"input_usd_per_mtok": 3, "output_usd_per_mtok": 15}}},
        },
    )
    result = loop.run(xaiaug.Splits.from_folder(photos), "runs/paid", until="critique")
    assert len(asked) == len(result.mistakes) + 1
    assert result.report.run.costs.usd == pytest.approx(len(result.mistakes) * (50 * 3e-6 + 10 * 15e-6))
    assert all(case.critique.cause == "because of its coat" for case in result.mistakes)


def test_the_page_on_evidence_names_every_arm_and_its_settings_are_valid():
    page = (ROOT / "docs/evidence.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in arms.ROWS)
    verdict, varied, explanation = (
        config.parse_settings(tomllib.loads(text)) for text in snippets("docs/evidence.md", "toml")
    )
    assert verdict.experiment.primary == ("generated+training", "continued")
    assert varied.experiment.vary == ("critique", "baseline")
    assert explanation.experiment.test_explanation
    assert config.parse_settings({"experiment": {"test_curves": True}})


def test_the_settings_of_the_page_on_running_are_valid():
    tracked, *budgets = (config.parse_settings(tomllib.loads(text)) for text in snippets("docs/running.md", "toml"))
    assert tracked.recipes()[0].trainer == {"report_to": "tensorboard"}
    for settings in budgets:
        assert settings.budget.usd == 5.0
    assert Prices(settings.budget.prices).of("at-home").free
    assert config.parse_settings({"experiment": {"checkpoint_steps": 200}})


def test_the_settings_of_the_page_on_clusters_are_valid():
    local, ray, kinds = (config.parse_settings(tomllib.loads(text)) for text in snippets("docs/cluster.md", "toml")[:3])
    assert (local.engine.name, local.engine.workers) == ("local", 4)
    assert (ray.engine.name, ray.engine.num_gpus, ray.engine.memory_gb) == ("ray", 1, 16)
    assert kinds.engine.synthesizer.given == {"workers": 2, "num_gpus": 1}


def test_the_settings_of_the_page_on_faithfulness_are_valid():
    more, shared = (config.parse_settings(tomllib.loads(text)) for text in snippets("docs/faithfulness.md", "toml"))
    assert more.mistakes.faithfulness == 100
    assert shared.panel.scale == "run"


def test_the_settings_of_the_page_on_causes_are_valid():
    (text,) = snippets("docs/causes.md", "toml")
    settings = config.parse_settings(tomllib.loads(text))
    assert settings.critic.test_causes and "test_causes" not in settings.critic.parameters
    assert settings.arms()[-1].images.causes == "confirmed"


def test_the_settings_of_the_page_on_the_report_are_valid():
    (text,) = snippets("docs/report.md", "toml")
    assert not config.parse_settings(tomllib.loads(text)).report.paths


def test_the_settings_of_the_page_on_data_are_valid():
    for text in [*snippets("docs/data.md", "toml"), *snippets("docs/own-model.md", "toml")]:
        assert config.parse_settings(tomllib.loads(text)).recipes()


def test_the_settings_file_of_the_readme_is_valid():
    (text,) = snippets("README.md", "toml")
    settings = config.parse_settings(tomllib.loads(text))
    assert settings.recipes()[0].steps == 500


def test_the_settings_file_of_the_page_on_remix_is_valid():
    text, *segmenters = snippets("docs/remix.md", "toml")
    for table in segmenters:
        setting = tomllib.loads(table)["synthesizer"]["segmenter"]
        assert create_segmenter(setting, "remix").identity()["content"] is None  # checked, and not there
    settings = config.parse_settings(tomllib.loads(text))
    plugin = load("synthesizer", settings.synthesizer.name, **settings.synthesizer.parameters)
    assert plugin.size == 224
    assert "colour" not in plugin.invariances


@pytest.mark.ci
@pytest.mark.parametrize(("script", "shown"), [("loop.py", "generated+training"), ("custom_explainer.py", "occlusion")])
def test_an_example_runs_from_the_command_line(script, shown, photos, checkpoint, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [script, str(photos), "--checkpoint", str(checkpoint), "--steps", "2"])
    runpy.run_path(str(ROOT / "examples" / script), run_name="__main__")
    out = capsys.readouterr().out
    assert shown in out
    assert Path(out.rsplit("report: ", 1)[1].strip()).exists()


def test_the_first_eleven_lines_of_the_page_on_plugins_are_a_plugin_package(tmp_path, monkeypatch):
    from xaiaug.registry import Registry
    from xaiaug.testing import run_checks

    first = snippets("docs/plugins.md")[0]
    assert len(first.splitlines()) == 11
    (tmp_path / "my_critics.py").write_text(first)
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry()
    registry.add(importlib.import_module("my_critics"), "my_critics")
    plugin = registry.create("critic", "plain", {})
    assert [outcome for outcome in run_checks(type(plugin)) if not outcome.ok] == []


@pytest.mark.parametrize("name", ["Plain", "PlannedCritic", "Brightness", "TwoColours", "NearestGrey"])
def test_the_plugins_of_the_page_keep_the_rules(name, photos, checkpoint):
    from xaiaug.testing import run_checks

    namespace = {"__name__": "reader"}
    for code in snippets("docs/plugins.md"):
        exec(smaller(code, checkpoint), namespace)  # noqa: S102
    bad = {outcome.check for outcome in run_checks(namespace[name]) if not outcome.ok}
    assert bad <= {"survives-pickling"}  # a class of a snippet is in no module that a worker could import


def signature_text(function):
    """The signature as the page writes it: names, defaults, and the star before keyword-only parameters."""
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name not in ("self", "cls")]
    shown, starred = [], False
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            shown, starred = [*shown, "*"], True
        plain = parameter.default is parameter.empty
        shown.append(parameter.name if plain else f"{parameter.name}={parameter.default!r}")
    return ", ".join(shown)


def test_the_page_has_every_hook_and_every_argument_and_no_other():
    from xaiaug import hookspecs

    page = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
    hooks = {name: value for name, value in vars(hookspecs).items() if hasattr(value, "xaiaug_spec")}
    assert len(hooks) == 4
    documented = set(re.findall(r"^\| `(register_\w+\(.*?\))` \|", page, re.M))
    assert documented == {f"{name}({signature_text(hook)})" for name, hook in hooks.items()}
    assert f"`register({signature_text(hookspecs.Register.__call__)})`" in page


def test_the_page_has_every_method_and_every_argument_and_no_other():
    from xaiaug.interfaces import Plugin
    from xaiaug.registry import KINDS

    page = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
    rows = re.search(r"## Methods\n(.*?)\n## ", page, re.S).group(1)
    documented = {
        (name, signature): needed == "yes"
        for name, signature, needed in re.findall(r"`(\w+)\((.*?)\)` \| ?(\w*)", rows)
    }
    inner = {
        "parameter_names",
        "parameters",
        "identity",
        "fit_options",
    }  # called by the library, not written by authors
    methods = {name: getattr(Plugin, name) for name in vars(Plugin) if name[0] != "_"}
    for kind in KINDS.values():
        methods |= {name: getattr(kind, name) for name in vars(kind) if name[0] != "_"}
    public = {name: value for name, value in methods.items() if callable(value) and name not in inner}
    assert documented == {
        (name, signature_text(value)): getattr(value, "__isabstractmethod__", False) for name, value in public.items()
    }


def test_the_page_on_checks_has_every_check_with_its_law_and_no_other():
    from xaiaug.testing.checks import check_registry
    from xaiaug.testing.conformance import SECONDS

    page = (ROOT / "docs/checking.md").read_text(encoding="utf-8")
    table = re.search(r"<!-- checks -->(.*)<!-- /checks -->", page, re.S).group(1)
    assert dict(re.findall(r"\| `(.*?)` \| (.*?) \|", table)) == {
        check.name: check.law for check in check_registry.CHECKS
    }
    assert SECONDS == 120 and "two minutes" in page


def test_the_page_on_testing_names_every_fake():
    from xaiaug import testing

    page = (ROOT / "docs/testing.md").read_text(encoding="utf-8") + (ROOT / "docs/checking.md").read_text("utf-8")
    page += (ROOT / "docs/plugins.md").read_text(encoding="utf-8").replace("plugins new", "new_plugin")
    names = set(testing.__all__) - {"Bill", "Picture", "Request", "Step", "Violation", "CheckOutcome", "checks_for"}
    assert all(name in page for name in names)


def test_the_settings_of_the_page_on_plugins_are_valid():
    limits = [text for text in snippets("docs/plugins.md", "toml") if "[limits]" in text]
    assert config.parse_settings(tomllib.loads(limits[0])).limits.chunk_seconds == 600


def anchors(text: str) -> set[str]:
    """The anchors of the headings of a page, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", [*PAGES, "CONTRIBUTING.md", "SECURITY.md"])
def test_links_between_pages_resolve(name):
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", page(name)):
        if target.startswith(("reference/", "http")):  # written by the build of the site, which checks links to them
            continue
        file = (ROOT / name).parent / target if target else ROOT / name
        assert file.exists(), f"{name}: {target}"
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), f"{name}: {target}#{anchor}"


SOUGHT = {
    "export": "Export the new images",
    "compare": "Compare two runs",
    "cost": "Planning: what a run will cost",
    "masks": "Masks of your own",
    "torchvision": "A network: torchvision, timm, Lightning, your own",
    "metric": "Metrics",
    "resume": "Stop and resume",
    "arm isolates": "Arms",
    "exit code": "Exit codes",
    "Ollama": "A server of your own as critic",
    "TensorBoard": "Trackers: TensorBoard and others",
    "plugin": "Versions and deprecation",
}


@pytest.mark.parametrize("sought", SOUGHT)
def test_the_index_leads_to_a_heading_that_says_it(sought):
    """One click from the index: a row that names what is sought, and a link to the heading on it."""
    rows = [row for row in page("docs/index.md").splitlines() if row.startswith("| ") and sought in row]
    targets = [target for row in rows for target in re.findall(r"\]\(([^)]+)\)", row)]
    headings = []
    for target in targets:
        file, _, anchor = target.partition("#")
        lines = re.findall(r"^#+ (.*)$", page(f"docs/{file}"), re.M) if (ROOT / "docs" / file).exists() else []
        headings += [line for line in lines if anchor in anchors(f"# {line}")] if anchor else lines[:1]
    assert SOUGHT[sought] in headings


def test_the_settings_of_the_page_on_curation_are_valid():
    blocks = [textwrap.dedent(block) for block in re.findall(r"```toml\n(.*?)```", page("docs/curation.md"), re.S)]
    assert len(blocks) == 4
    for block in blocks:
        config.parse_settings(tomllib.loads(block))
    assert tuple(tomllib.loads(blocks[0])["curation"]["checks"]) == DEFAULT == config.CurationTable().checks
