"""Any torch module: keyed by its weights, live in its process, imported by name elsewhere."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from torch import nn

from xaiaug import FeedbackLoop, Splits
from xaiaug.errors import ConfigError, DataError, PluginError, UnsupportedRecipeError
from xaiaug.interfaces import Context, Prepared, TorchModel
from xaiaug.plugins.classifiers.torch_module import TorchClassifier
from xaiaug.plugins.explainers.attention_rollout import AttentionRollout
from xaiaug.records import History, Recipe, Sample
from xaiaug.stages import Fitted

SOURCE = """
import numpy as np
import torch
from xaiaug.records import History

def make():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        first, last = torch.nn.Linear(3 * 8 * 8, 6), torch.nn.Linear(6, 3)
    return torch.nn.Sequential(torch.nn.Flatten(), first, torch.nn.ReLU(), last)

def see(images):
    arrays = [np.asarray(image.convert("RGB").resize((8, 8)), np.float32) / 255 for image in images]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)

def train(module, samples, validation, *, recipe, seed):
    module.train()
    optimizer = torch.optim.SGD(module.parameters(), recipe.learning_rate)
    pixels, labels = see([s.open() for s in samples]), torch.tensor([s.label for s in samples])
    losses = []
    for _ in range(recipe.steps):
        loss = torch.nn.functional.cross_entropy(module(pixels + 0.01 * torch.randn_like(pixels)), labels)
        optimizer.zero_grad(); loss.backward(); optimizer.step()
        losses.append(loss.item())
    nothing = (float("nan"),) * recipe.steps
    return History(tuple(range(recipe.steps)), tuple(losses), nothing, nothing, nothing)

not_a_network = 3
"""
LABELS = ("a", "b", "c")
NAMES = ("own_network:make", "own_network:see", LABELS, "own_network:train")


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> object:
    """A module of the user's own, importable in this test."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_network.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "own_network", raising=False)
    import own_network

    return own_network


@pytest.fixture
def named(own: object) -> TorchClassifier:
    classifier = TorchClassifier(*NAMES)
    classifier.prepare(Context(device="cpu"))
    return classifier


@pytest.fixture
def live(own: object) -> TorchClassifier:
    classifier = TorchClassifier(own.make(), own.see, LABELS, own.train)
    classifier.prepare(Context(device="cpu"))
    return classifier


def images(count: int = 3) -> list[Image.Image]:
    generator = np.random.default_rng(0)
    return [Image.fromarray(generator.integers(0, 256, (9, 12, 3), dtype=np.uint8)) for _ in range(count)]


def samples(count: int = 12) -> list[Sample]:
    return [Sample(id=str(i), label=i % 3, opener=image.copy) for i, image in enumerate(images(count))]


def elsewhere(own: object, code: str) -> subprocess.CompletedProcess:
    """Runs code in another process that can import the user's module."""
    code = f"import sys; sys.path.insert(0, {str(Path(own.__file__).parent)!r})\n{textwrap.dedent(code)}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_it_predicts_the_softmax_of_the_logits(live: TorchClassifier, own: object) -> None:
    with torch.inference_mode():
        expected = own.make()(own.see(images(40))).softmax(-1).numpy()
    found = live.predict_proba(images(40))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert live.predict_proba([]).shape == (0, 3)
    assert isinstance(live, TorchModel)


def test_boxes_are_whole_images_unless_preprocess_returns_them(live: TorchClassifier, own: object) -> None:
    assert live.preprocess(images(1)).boxes.tolist() == [[0, 0, 12, 9]]
    cropped = TorchClassifier(own.make(), lambda im: Prepared(own.see(im), torch.tensor([[1.0, 2, 3, 4]])), LABELS)
    assert cropped.preprocess(images(1)).boxes.tolist() == [[1, 2, 3, 4]]


def test_features_are_what_the_last_layer_reads(live: TorchClassifier) -> None:
    features = torch.from_numpy(live.embed(images()))
    assert features.shape == (3, 6)
    expected = live.module[-1](features).softmax(-1).detach().numpy()
    np.testing.assert_allclose(live.predict_proba(images()), expected, atol=1e-6)
    assert TorchClassifier(torch.nn.Flatten(), lambda im: torch.zeros(len(im), 3, 1, 1), LABELS).embed(images()) is None


def test_labels_in_another_order_reorder_the_logits_and_leave_the_users_module(own: object) -> None:
    module = own.make()
    first = TorchClassifier(module, own.see, LABELS)
    expected = first.predict_proba(images())
    second = TorchClassifier(module, own.see, LABELS)
    second.prepare(Context(labels=("c", "a", "b"), device="cpu"))
    np.testing.assert_allclose(second.predict_proba(images()), expected[:, [2, 0, 1]], atol=1e-7)
    assert second.labels == ("c", "a", "b")
    second.prepare(Context(labels=LABELS, device="cpu"))
    np.testing.assert_allclose(second.predict_proba(images()), expected, atol=1e-7)
    assert not module._forward_hooks


def test_other_labels_are_refused(live: TorchClassifier) -> None:
    with pytest.raises(ConfigError, match="has the labels a, b, c, the data x, y"):
        live.prepare(Context(labels=("x", "y")))


def test_it_trains_by_the_given_function(live: TorchClassifier) -> None:
    before = torch.get_rng_state()
    history = live.fit(samples(), [], recipe=Recipe(steps=60, learning_rate=0.5), seed=0)
    assert isinstance(history, History)
    assert history.train_loss[-1] < history.train_loss[0]
    assert not live.module.training
    assert torch.equal(torch.get_rng_state(), before)


def test_the_seed_decides_what_its_training_draws(named: TorchClassifier) -> None:
    first, again, other = named.fork(), named.fork(), named.fork()
    for classifier, seed in ((first, 1), (again, 1), (other, 2)):
        classifier.fit(samples(), [], recipe=Recipe(steps=3), seed=seed)
    np.testing.assert_array_equal(first.predict_proba(images()), again.predict_proba(images()))
    assert not np.array_equal(first.predict_proba(images()), other.predict_proba(images()))


def test_without_a_function_it_cannot_be_trained(own: object) -> None:
    with pytest.raises(UnsupportedRecipeError, match="give fit="):
        TorchClassifier(own.make(), own.see, LABELS).fit(samples(), [], recipe=Recipe(), seed=0)


@pytest.mark.parametrize("asked", [{"adapter": "lora"}, {"augment": "cutmix"}])
def test_adapters_and_augmentations_are_refused(named: TorchClassifier, asked: dict) -> None:
    with pytest.raises(UnsupportedRecipeError, match="does not handle adapters"):
        named.fork().fit(samples(), [], recipe=Recipe(steps=1, **asked), seed=0)


def test_training_a_fork_leaves_the_original(live: TorchClassifier) -> None:
    before = live.predict_proba(images())
    fork = live.fork()
    fork.fit(samples(), [], recipe=Recipe(steps=5, learning_rate=0.5), seed=0)
    np.testing.assert_array_equal(live.predict_proba(images()), before)
    assert not np.array_equal(fork.predict_proba(images()), before)


# -- what it is known by


def test_it_is_keyed_by_its_weights(own: object) -> None:
    module = own.make()
    first = TorchClassifier(module, own.see, LABELS).identity()
    assert TorchClassifier(own.make(), own.see, LABELS).identity() == first
    with torch.no_grad():
        module[1].bias += 1
    assert TorchClassifier(module, own.see, LABELS).identity() != first
    assert TorchClassifier(own.make(), own.see, ("a", "b", "d")).identity() != first


def test_it_is_keyed_by_the_source_and_values_of_its_functions(own: object) -> None:
    def scaled(factor: float) -> object:
        return lambda im: own.see(im) * factor

    keys = [TorchClassifier(own.make(), scaled(factor), LABELS).identity() for factor in (1.0, 2.0, 2.0)]
    assert keys[0] != keys[1]
    assert keys[1] == keys[2]


def test_training_does_not_change_its_key(live: TorchClassifier) -> None:
    before = live.identity()
    live.fit(samples(), [], recipe=Recipe(steps=3, learning_rate=0.5), seed=0)
    assert live.identity() == before == live.fork().identity()


# -- other processes


def test_one_given_by_names_is_saved_and_loads(named: TorchClassifier, tmp_path: Path) -> None:
    named.prepare(Context(labels=("b", "a", "c"), device="cpu"))
    named.fit(samples(), [], recipe=Recipe(steps=5, learning_rate=0.5), seed=0)
    named.save(tmp_path)
    assert not list(tmp_path.glob("*.pt")) + list(tmp_path.glob("*.bin")) + list(tmp_path.glob("*.pkl"))
    loaded = TorchClassifier.load(tmp_path)
    assert loaded.labels == ("b", "a", "c")
    assert loaded.identity() == named.identity()
    np.testing.assert_array_equal(loaded.predict_proba(images()), named.predict_proba(images()))


def test_in_another_process_names_are_found_and_live_objects_are_not(
    named: TorchClassifier, live: TorchClassifier, own: object, tmp_path: Path
) -> None:
    named.fit(samples(), [], recipe=Recipe(steps=5, learning_rate=0.5), seed=0)
    named.save(tmp_path / "named")
    live.save(tmp_path / "live")
    found = elsewhere(
        own,
        f"""
        import json
        import numpy as np
        from PIL import Image
        from xaiaug.plugins.classifiers.torch_module import TorchClassifier
        TorchClassifier(*{NAMES!r})
        classifier = TorchClassifier.load({str(tmp_path / "named")!r})
        grey = Image.fromarray(np.full((9, 12, 3), 90, np.uint8))
        weights = TorchClassifier(*{NAMES!r}).identity()["weights"]
        print(json.dumps([classifier.predict_proba([grey]).tolist(), weights]))
        TorchClassifier.load({str(tmp_path / "live")!r})
        """,
    )
    assert "ConfigError: TorchClassifier: module, preprocess, fit are live objects" in found.stderr
    probabilities, weights = json.loads(found.stdout)
    assert weights == named.identity()["weights"]
    grey = Image.fromarray(np.full((9, 12, 3), 90, np.uint8))
    np.testing.assert_allclose(probabilities, named.predict_proba([grey]), atol=1e-6)


def test_a_name_that_only_a_file_gives_is_not_imported(named: TorchClassifier, own: object, tmp_path: Path) -> None:
    named.save(tmp_path)
    found = elsewhere(
        own,
        f"""
        import sys
        from xaiaug.errors import ConfigError
        from xaiaug.plugins.classifiers.torch_module import TorchClassifier
        try:
            TorchClassifier.load({str(tmp_path)!r})
        except ConfigError as error:
            print(error, "own_network" in sys.modules)
        """,
    )
    assert "names 'own_network:make' as its module, but no name was given in this process" in found.stdout, found.stderr
    assert found.stdout.strip().endswith("False")


@pytest.mark.parametrize("role", ["module", "preprocess", "fit"])
@pytest.mark.parametrize("name", ["os:abort", "own_network:not_a_network", "live os:abort 0", "x" * 5000])
def test_a_name_swapped_in_a_file_is_refused(named: TorchClassifier, role: str, name: str, tmp_path: Path) -> None:
    named.save(tmp_path)
    path = tmp_path / "xaiaug.json"
    state = json.loads(path.read_text())
    state["parameters"][role] = name
    path.write_text(json.dumps(state))
    with pytest.raises(ConfigError, match=f"as its {role}, but no name was given") as caught:
        TorchClassifier.load(tmp_path)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "damage",
    [
        {"parameters": None},
        {"alive": ["os:abort"]},
        {"alive": None},
        {"start": 3},
        {"labels": ["a", "b"]},
        {"parameters": {"module": ["os:abort"], "preprocess": "a:b", "fit": None, "labels": ["a", "b", "c"]}},
    ],
)
def test_a_damaged_state_is_one_error(named: TorchClassifier, damage: dict, tmp_path: Path) -> None:
    named.save(tmp_path)
    path = tmp_path / "xaiaug.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **damage}))
    with pytest.raises(DataError, match="is damaged"):
        TorchClassifier.load(tmp_path)


def test_a_run_opens_where_its_network_is_unknown_and_a_worker_is_told_of_it(own: object, tmp_path: Path) -> None:
    from fakes import ColourCritic, Painter, Ramp

    splits = Splits(labels=LABELS, guide=samples())
    classifier = TorchClassifier(*NAMES)
    loop = FeedbackLoop(classifier, Ramp(), ColourCritic(), Painter(), settings={"experiment": {"fit_baseline": False}})
    result = loop.run(splits, tmp_path / "run", until="mistakes")
    (saved,) = (tmp_path / "run").rglob("xaiaug.json")
    fitted = pickle.dumps(Fitted(TorchClassifier, saved.parent, "key", classifier))
    alone = pickle.dumps(Fitted(TorchClassifier, saved.parent, "key"))
    found = elsewhere(
        own,
        f"""
        import pickle, sys
        import xaiaug
        from xaiaug.errors import ConfigError
        from xaiaug.results.maintenance import verify
        result = xaiaug.open_run({str(result.run_dir)!r})
        result.write_report(), result.table()
        print(verify(result.run_dir), "own_network" in sys.modules)
        try:
            pickle.loads({alone!r}).load()
        except ConfigError as error:
            print("refused" if "own_network" not in sys.modules else "imported")
        print(pickle.loads({fitted!r}).load().labels)
        """,
    )
    assert found.stdout.splitlines() == ["[] False", "refused", str(LABELS)], found.stderr


def test_one_given_by_names_travels(named: TorchClassifier) -> None:
    other = pickle.loads(pickle.dumps(named))  # noqa: S301  (our own bytes)
    assert other.parameters() == named.parameters()
    np.testing.assert_array_equal(other.predict_proba(images()), named.predict_proba(images()))


def test_a_live_one_cannot_be_pickled(live: TorchClassifier) -> None:
    with pytest.raises(ConfigError, match=r"module, preprocess, fit are live objects .*package\.module:function"):
        pickle.dumps(live)


def test_a_live_one_loads_in_its_own_process(live: TorchClassifier, tmp_path: Path) -> None:
    fork = live.fork()
    fork.fit(samples(), [], recipe=Recipe(steps=5, learning_rate=0.5), seed=0)
    before = live.predict_proba(images())
    fork.save(tmp_path)
    np.testing.assert_array_equal(TorchClassifier.load(tmp_path).predict_proba(images()), fork.predict_proba(images()))
    np.testing.assert_array_equal(live.predict_proba(images()), before)


def test_live_objects_are_not_held_beyond_their_classifiers(own: object, tmp_path: Path) -> None:
    classifier = TorchClassifier(own.make(), own.see, LABELS)
    classifier.save(tmp_path)
    del classifier
    with pytest.raises(ConfigError, match="live objects"):
        TorchClassifier.load(tmp_path)
    again = TorchClassifier(own.make(), own.see, LABELS)
    again.prepare(Context(device="cpu"))
    np.testing.assert_array_equal(TorchClassifier.load(tmp_path).predict_proba(images()), again.predict_proba(images()))


def test_a_folder_that_save_did_not_write_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no xaiaug"):
        TorchClassifier.load(tmp_path)


# -- what it refuses


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("own_network", "of the form"),
        ("no_such_package:make", "cannot import"),
        ("own_network:no_such", "cannot import"),
        ("own_network:not_a_network", "must give a torch.nn.Module, got int"),
    ],
)
def test_names_that_lead_nowhere_are_refused(own: object, module: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace(".", r"\.")):
        TorchClassifier(module, own.see, LABELS).prepare(Context())


@pytest.mark.parametrize("wrong", [torch.zeros(3, 8, 8), torch.zeros(1, 3, 8, 8), [1, 2, 3], None])
def test_what_is_no_batch_of_pixels_is_refused(own: object, wrong: object) -> None:
    classifier = TorchClassifier(own.make(), lambda _: wrong, LABELS)
    with pytest.raises(PluginError, match=r"3 images into a Tensor n c h w or Prepared"):
        classifier.predict_proba(images())


def test_logits_that_do_not_fit_the_labels_are_refused(own: object) -> None:
    classifier = TorchClassifier(own.make(), own.see, ("a", "b"))
    with pytest.raises(PluginError, match=r"logits of shape \(3, 2\) for the labels a, b, got \(3, 3\)"):
        classifier.predict_proba(images())


def test_a_training_that_returns_something_else_is_refused(own: object) -> None:
    def fit(module: object, train: Sequence, validation: Sequence, *, recipe: Recipe, seed: int) -> int:
        return 1

    with pytest.raises(PluginError, match="History or None, got int"):
        TorchClassifier(own.make(), own.see, LABELS, fit).fit(samples(), [], recipe=Recipe(), seed=0)


# -- with explainers


def test_a_transformer_of_ones_own_is_explained(tiny_vit: Path) -> None:
    model = transformers.ViTForImageClassification.from_pretrained(tiny_vit)
    processor = transformers.AutoImageProcessor.from_pretrained(tiny_vit)
    classifier = TorchClassifier(model, lambda im: processor(im, return_tensors="pt")["pixel_values"], ("cat", "dog"))
    (found,) = AttentionRollout().explain(classifier, images(1), [1])
    assert (found.grid.shape, found.heatmap.shape) == ((4, 4), (9, 12))
    assert classifier.predict_proba(images(2)).shape == (2, 2)


class OneLogit(nn.Module):
    """One logit: for the second label where an image is bright."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.head(pixels.mean((2, 3)))


def see_floats(images: Sequence[Image.Image]) -> torch.Tensor:
    return torch.stack([torch.from_numpy(np.asarray(image, np.float32) / 255).permute(2, 0, 1) for image in images])


def test_one_logit_is_the_sigmoid_of_the_second_label_in_any_order(tmp_path: Path) -> None:
    network, image = OneLogit(), Image.new("RGB", (8, 8), (200, 90, 10))
    expected = network(see_floats([image])).sigmoid().item()
    classifier = TorchClassifier(network, see_floats, ("dark", "bright"))
    np.testing.assert_allclose(classifier.predict_proba([image]), [[1 - expected, expected]], atol=1e-6)
    assert network(see_floats([image])).shape == (1, 1)  # the user's own network stays as it was
    classifier.prepare(Context(labels=("bright", "dark"), device="cpu"))
    np.testing.assert_allclose(classifier.predict_proba([image]), [[expected, 1 - expected]], atol=1e-6)
    classifier.save(tmp_path)
    for other in (classifier.fork(), TorchClassifier.load(tmp_path)):
        np.testing.assert_allclose(other.predict_proba([image]), [[expected, 1 - expected]], atol=1e-6)


@pytest.mark.parametrize("labels", [("dark", "bright"), ("bright", "dark")])
def test_a_network_with_one_logit_is_trained_with_it(labels: tuple[str, str]) -> None:
    seen = []

    def fit(module: nn.Module, *_: object, **__: object) -> None:
        seen.append(module(torch.full((1, 3, 8, 8), 0.5)))

    network = OneLogit()
    classifier = TorchClassifier(network, see_floats, ("dark", "bright"), fit)
    classifier.prepare(Context(labels=labels, device="cpu"))
    classifier.fit([], [], recipe=Recipe(steps=1), seed=0)
    plain = network(torch.full((1, 3, 8, 8), 0.5))
    torch.testing.assert_close(seen[0], plain if labels == ("dark", "bright") else -plain)
    assert classifier.predict_proba([Image.new("RGB", (8, 8))]).shape == (1, 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda network: network.train(), "training mode"),
        (lambda network: network.bfloat16(), r"float32 of shape \(1, 3, 8, 8\).*\.float\(\)"),
        (lambda network: nn.init.constant_(network.head.bias, float("nan")), "not finite"),
    ],
)
def test_a_network_that_cannot_predict_is_told_by_its_name(change: Callable, words: str) -> None:
    classifier = TorchClassifier(OneLogit(), see_floats, ("a", "b"))
    change(classifier.module)
    with pytest.raises(PluginError, match=words) as caught:
        classifier.predict_proba([Image.new("RGB", (8, 8))])
    assert "OneLogit" in str(caught.value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_traced_network_predicts_in_any_order() -> None:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)).eval()
    traced, image = torch.jit.trace(network, torch.zeros(1, 3, 8, 8)), Image.new("RGB", (8, 8), (9, 90, 200))
    classifier = TorchClassifier(traced, see_floats, ("a", "b"))
    expected = TorchClassifier(network, see_floats, ("a", "b")).predict_proba([image])
    np.testing.assert_allclose(classifier.predict_proba([image]), expected, atol=1e-6)
    classifier.prepare(Context(labels=("b", "a"), device="cpu"))
    np.testing.assert_allclose(classifier.predict_proba([image]), expected[:, ::-1], atol=1e-6)


def test_the_classes_of_the_data_come_first() -> None:
    classifier = TorchClassifier(OneLogit(), see_floats, ("a", "b", "c"))
    assert classifier.complete_labels(("c", "a")) == ("c", "a", "b")
    assert classifier.complete_labels(("c", "x")) == ("c", "x")
