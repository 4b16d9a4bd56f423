"""Every built-in plugin, and every fake, keeps the rules of its kind."""

import pytest

import xaiaug
from xaiaug.registry import registry
from xaiaug.testing import NearestColour, PlainColour, Ramp, ScriptedCritic, checks_for, parametrize_checks
from xaiaug.testing._bench import Bench, checkpoint
from xaiaug.testing._check import NotApplicableError
from xaiaug.testing.conformance import perform

# Parameters of the plugins that need some, and what plays their service: tiny weights, or a fixture that makes them.
PARAMETERS = {("classifier", "transformers"): {"checkpoint": str(checkpoint())}}
SERVICES: dict[tuple[str, str], object] = {}
EXPECTED: dict[tuple[str, str, str], str] = {}

BUILT_IN = [(info.kind, info.name) for info in xaiaug.available() if info.origin == "xaiaug.plugins"]
CASES = [(kind, name, check) for kind, name in BUILT_IN for check in checks_for(registry().plugin_class(kind, name))]


@pytest.fixture(scope="module")
def benches():
    made = {}

    def bench(kind, name):
        if (kind, name) not in made:
            parameters = PARAMETERS.get((kind, name), {})
            plugin = registry().plugin_class(kind, name)
            factory = (lambda: plugin(**parameters)) if parameters else plugin
            made[kind, name] = Bench(factory, service=SERVICES.get((kind, name)))
        return made[kind, name]

    return bench


@pytest.mark.parametrize(("kind", "name", "check"), CASES, ids=[f"{kind}/{name}-{c.name}" for kind, name, c in CASES])
def test_a_built_in_plugin_keeps_the_rules(kind, name, check, benches, request):
    if reason := EXPECTED.get((kind, name, check.name)):
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    try:
        perform(check, benches(kind, name))
    except NotApplicableError as reason:
        pytest.skip(str(reason))


@parametrize_checks(NearestColour)
def test_the_classifier_for_tests_keeps_the_rules(check):
    check()


@parametrize_checks(Ramp)
def test_the_explainer_for_tests_keeps_the_rules(check):
    check()


@parametrize_checks(lambda: ScriptedCritic({"cat": {"guidance": {"size": 0.5}}, "dog": {"failure": "no dogs"}}))
def test_the_critic_for_tests_keeps_the_rules(check):
    check()


@parametrize_checks(PlainColour)
def test_the_synthesizer_for_tests_keeps_the_rules(check):
    check()
