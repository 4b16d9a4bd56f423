"""The public face is pinned, light to import, and quick to answer."""

import json
import subprocess
import sys

import pytest

import xaiaug

HEAVY = (
    "torch",
    "transformers",
    "diffusers",
    "anthropic",
    "openai",
    "ray",
    "numpy",
    "matplotlib",
    "pandas",
    "pydantic",
)


def fresh(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_public_names_are_these_and_each_is_there():
    assert xaiaug.__all__ == [
        "Arm",
        "Case",
        "Cause",
        "Classifier",
        "Context",
        "Critic",
        "Critique",
        "DataError",
        "Explainer",
        "Explanation",
        "Failure",
        "FeedbackLoop",
        "History",
        "ImageSource",
        "MistakeSlice",
        "PredictClassifier",
        "Recipe",
        "Result",
        "Sample",
        "Sheet",
        "Splits",
        "SynthesisRequest",
        "Synthesizer",
        "SyntheticImage",
        "TorchClassifier",
        "XaiaugError",
        "available",
        "compare_predictions",
        "diagnose",
        "examine",
        "faithfulness",
        "find_slices",
        "hookimpl",
        "load",
        "open_run",
        "probe_cause",
    ]
    assert xaiaug.__all__ == sorted(xaiaug.__all__)
    for name in xaiaug.__all__:
        assert getattr(xaiaug, name).__doc__ or name == "hookimpl"
        assert name in dir(xaiaug)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Explainr'"):
        _ = xaiaug.Explainr


def test_importing_the_package_loads_nothing_heavy():
    loaded = fresh(f"import sys, xaiaug; print([name for name in {HEAVY!r} if name in sys.modules])")
    assert loaded == "[]"


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nfrom xaiaug.cli import main\nsys.argv = ['xaiaug', '--help']\n"
        f"try: main()\nexcept SystemExit: pass\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert fresh(code).splitlines()[-1] == "[]"


def test_listing_plugins_loads_no_framework():
    code = (
        "import sys, json, xaiaug\nnames = [info.name for info in xaiaug.available()]\n"
        "print(json.dumps([names, [n for n in ('torch', 'transformers', 'skimage', 'sklearn') if n in sys.modules]]))"
    )
    names, loaded = json.loads(fresh(code))
    assert "transformers" in names and loaded == []


def test_every_error_is_one_of_ours_and_the_built_in_that_fits():
    from xaiaug import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert all(kind.__name__ in errors.__doc__ for kind in kinds)
    kinds.remove(errors.DataWarning)
    assert all(issubclass(kind, xaiaug.XaiaugError) for kind in kinds)
    assert all(len(kind.__mro__) > 4 for kind in kinds if kind is not xaiaug.XaiaugError)
