"""Every built-in plugin, and every fake, keeps the rules of its kind."""

from dataclasses import asdict

import pytest
import tiny_clip
import tiny_onnx
import tiny_pipelines
from tiny_llava import save_tiny_llava

import xaiaug
from xaiaug.records import Critique
from xaiaug.registry import registry
from xaiaug.store import Store
from xaiaug.testing import NearestColour, PlainColour, Ramp, ScriptedCritic, checks_for, parametrize_checks
from xaiaug.testing.checks.assertions import NotApplicableError
from xaiaug.testing.checks.bench import Bench, tiny_vit_folder
from xaiaug.testing.checks.items import make_cases
from xaiaug.testing.conformance import run_check

EXPECTED = {
    ("local-vlm", "succeeds-on-an-item"): "random weights do not answer in the form that is asked for",
    ("openai-images", "another-seed-gives-another-image"): "the stand-in gives equal requests equal images",
}
BUILT_IN = [(info.kind, info.name) for info in xaiaug.available() if info.origin == "xaiaug.plugins"]
# Run by `make check`: these share nearly all of their code with `sdxl` or `openai`, and a language model is slow.
EDITORS = {"flux-kontext": "flux_kontext", "instruct-pix2pix": "instruct_pix2pix"}
PROVIDERS = {"gemini", "openrouter", "azure", "ollama", "vllm", "lmstudio"}
MORE = {"diffusers", "local-vlm", "qwen-image-edit", *EDITORS, *PROVIDERS} | {
    f"sdxl-{name}" for name in ("controlnet", "img2img", "inpaint", "lightning", "refiner", "turbo")
}
CASES = [
    pytest.param(kind, name, check, id=f"{kind}/{name}-{check.name}", marks=[pytest.mark.ci] if name in MORE else [])
    for kind, name in BUILT_IN
    for check in checks_for(registry().plugin_class(kind, name))
]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Folder of a run that says something about every case of the checks."""
    folder = tmp_path_factory.mktemp("recorded")
    told = [Critique(cause=f"the {case.predicted}", prompt=f"a photo of a {case.label}") for case in make_cases()]
    rows = [{"id": case.id, "critique": asdict(made)} for case, made in zip(make_cases(), told, strict=True)]
    with Store(folder) as store:
        store.begin("critique", ["whole"], len(rows))
        store.commit("whole", "critique", rows)
    return folder


@pytest.fixture(scope="module")
def parameters(pipelines, families, recorded, tmp_path_factory):
    """Parameters of the plugins that need weights or a run: tiny weights that are made once."""

    def give(kind, name):
        if kind == "synthesizer" and name.startswith(("sdxl", "diffusers")):
            return drawing(name)
        if name in EDITORS:
            return {"weights": str(families(EDITORS[name])), "steps": 2, "size": 64}
        if name == "qwen-image-edit":
            pytest.skip("the processor of its pipeline needs torchvision")
        made = {
            "transformers": lambda: {"checkpoint": str(tiny_vit_folder())},
            "onnx": colours,
            "zero-shot": lambda: {"checkpoint": clip()},
            "local-vlm": lambda: {"model": str(save_tiny_llava(tmp_path_factory.mktemp("llava"))), "max_tokens": 100},
            "replay": lambda: {"run": str(recorded)},
            "openai-images": lambda: {"size": "64x64", "output_tokens": 100},
        }
        if name in PROVIDERS:
            return {"model": "a-model"}
        return made[name]() if name in made else {}

    def colours():
        file = tiny_onnx.save_model(tmp_path_factory.mktemp("onnx") / "colours.onnx")
        return {"file": str(file), "labels": ["cat", "dog"], "mean": [0, 0, 0], "std": [1, 1, 1]}

    def clip():
        folder = tmp_path_factory.mktemp("clip")
        tiny_clip.make("clip", folder)
        return str(folder)

    def another_unet():
        file = tmp_path_factory.mktemp("unet") / "unet.safetensors"
        return tiny_pipelines.swapped_unet(file, pipelines("sdxl"))

    def drawing(name):
        weights = {"weights": str(pipelines("sdxl")), "steps": 2}
        more = {
            "diffusers": lambda: {"weights": str(pipelines("stable_diffusion"))},
            "sdxl-lightning": lambda: {"unet": str(another_unet())},
            "sdxl-refiner": lambda: {"refiner": str(pipelines("refiner")), "steps": 5},
            "sdxl-controlnet": lambda: {"controlnet": str(pipelines("controlnet", pipeline=pipelines("sdxl")))},
            "sdxl-img2img": lambda: {"steps": 4},
            "sdxl-inpaint": lambda: {"weights": str(pipelines("sdxl", channels=9)), "steps": 4},
        }
        return weights | (more[name]() if name in more else {})

    return give


@pytest.fixture(scope="module")
def benches(parameters):
    made = {}

    def bench(kind, name):
        if (kind, name) not in made:
            given = parameters(kind, name)
            plugin = registry().plugin_class(kind, name)
            made[kind, name] = Bench((lambda: plugin(**given)) if given else plugin)
        return made[kind, name]

    return bench


@pytest.mark.parametrize(("kind", "name", "check"), CASES)
def test_a_built_in_plugin_keeps_the_rules(kind, name, check, benches, request):
    if reason := EXPECTED.get((name, check.name)):
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    try:
        run_check(check, benches(kind, name))
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
