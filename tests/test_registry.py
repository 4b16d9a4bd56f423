"""The registry finds plugins, names what is wrong with them, and lets a broken one stop nobody."""

import inspect
import signal
import sys
import types
from dataclasses import dataclass
from importlib.metadata import EntryPoint

import pytest
from fakes import NearestColour, Painter, Ramp

import xaiaug
from xaiaug import hookspecs
from xaiaug.errors import ConfigError, DuplicatePluginError, MissingExtraError, PluginError, UnknownPluginError
from xaiaug.registry import Registry


def package(**hooks):
    module = types.ModuleType("stranger")
    for name, function in hooks.items():
        setattr(module, name, xaiaug.hookimpl(function))
    return module


def explainers(*names, factory=Ramp, extra=None):
    def register_explainers(register):
        for name in names:
            register(name, factory, extra=extra)

    return package(register_explainers=register_explainers)


def test_a_registered_class_is_made_by_name_with_its_parameters():
    registry = Registry()

    def register_classifiers(register):
        register("nearest", NearestColour)

    registry.add(package(register_classifiers=register_classifiers), "stranger")
    made = registry.create("classifier", "nearest", {"sharpness": 3.0})
    assert isinstance(made, NearestColour)
    assert made.parameters() == {"sharpness": 3.0}


def test_a_string_is_imported_only_when_it_is_used():
    registry = Registry()
    registry.add(explainers("ramp", factory="fakes:Ramp"), "stranger")
    assert registry.plugin_class("explainer", "ramp") is Ramp


def test_a_listing_says_which_module_is_not_there():
    registry = Registry()
    registry.add(explainers("gone", factory="no_such_module:Thing"), "stranger")
    (info,) = registry.available("explainer")
    assert info.error == "there is no module no_such_module"


def test_an_unknown_name_lists_the_known_ones_and_the_nearest():
    registry = Registry()
    registry.add(explainers("attention-rollout", "grad-cam"), "stranger")
    with pytest.raises(UnknownPluginError, match=r"Did you mean 'grad-cam'\? Known: attention-rollout, grad-cam"):
        registry.create("explainer", "gradcam", {})
    with pytest.raises(UnknownPluginError, match="no kind of plugin 'explaner'. Did you mean 'explainer'"):
        registry.create("explaner", "grad-cam", {})


def test_an_unknown_parameter_names_the_nearest_and_a_missing_one_is_named():
    with pytest.raises(ConfigError, match="has no parameter 'sharpnes'. Did you mean 'sharpness'"):
        xaiaug.registry.check_parameters("classifier 'nearest'", NearestColour, {"sharpnes": 1})

    class Needs(Ramp):
        def __init__(self, layer):
            self.layer = layer

    with pytest.raises(ConfigError, match="needs the parameter 'layer'"):
        xaiaug.registry.check_parameters("explainer 'needs'", Needs, {})


def test_a_misspelt_hook_leaves_out_that_package_alone():
    registry = Registry()
    broken = package(register_explainer=lambda register: None)
    with pytest.raises(PluginError, match="register_explainer"):
        registry.add(broken, "broken")
    registry.add(explainers("ramp"), "sound")
    assert [info.name for info in registry.available()] == ["ramp"]


def test_a_hook_that_raises_leaves_out_that_package_alone():
    def register_explainers(register):
        register("half", Ramp)
        raise ValueError("no licence")

    registry = Registry()
    with pytest.raises(PluginError, match="no licence"):
        registry.add(package(register_explainers=register_explainers), "broken")
    registry.add(explainers("ramp"), "sound")
    assert [info.name for info in registry.available()] == ["ramp"]


def test_a_taken_name_raises_and_names_both_packages():
    registry = Registry()
    registry.add(explainers("ramp"), "first")
    with pytest.raises(DuplicatePluginError, match=r"second registers the explainer 'ramp', which first"):
        registry.add(explainers("ramp", "other"), "second")
    assert [info.origin for info in registry.available()] == ["first"]


def test_a_package_that_fails_to_import_is_told_in_the_listing_and_stops_nobody():
    registry = Registry()
    registry.add_entry_points([EntryPoint("bad", "no_such_package.plugin", "xaiaug")])
    infos = {info.name: info for info in registry.available()}
    assert "no_such_package" in infos["bad"].error
    assert infos["attention-rollout"].error is None
    with pytest.raises(UnknownPluginError, match="no_such_package"):
        registry.create("critic", "mine", {})


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import sys; sys.exit(0)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("raise type('Halt', (BaseException,), {})('now')", "Halt: now"),
        ("import xaiaug, sys\n@xaiaug.hookimpl\ndef register_critics(register): sys.exit(3)", "SystemExit: 3"),
    ],
)
def test_a_package_that_ends_the_process_stops_nobody(source, reason, tmp_path, monkeypatch):
    (tmp_path / "quitter.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "quitter", raising=False)
    registry = Registry()
    registry.add_entry_points([EntryPoint("quitter", "quitter", "xaiaug")])
    infos = {info.name: info for info in registry.available()}
    assert reason in infos["quitter"].error
    assert infos["measured"].error is None


def test_a_plugin_that_ends_the_process_when_it_is_imported_or_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "quitter").mkdir()
    (tmp_path / "quitter" / "__init__.py").write_text("import sys; sys.exit(0)")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "quitter", raising=False)

    class Quitting(Ramp):
        def __init__(self):
            sys.exit(0)

    registry = Registry()
    registry.add(explainers("imported", factory="quitter.inner:Thing"), "stranger")
    registry.add(explainers("made", factory=Quitting), "other")
    assert "SystemExit" in registry.available("explainer")[0].error
    with pytest.raises(PluginError, match=r"'imported' cannot be imported: .*SystemExit"):
        registry.create("explainer", "imported", {})
    with pytest.raises(PluginError, match=r"'made' cannot be created: .*SystemExit"):
        registry.create("explainer", "made", {})


def test_the_users_own_interrupt_passes_through_an_import(tmp_path, monkeypatch):
    (tmp_path / "interrupted.py").write_text("import signal; signal.raise_signal(signal.SIGINT)")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "interrupted", raising=False)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore interrupts
    try:
        with pytest.raises(KeyboardInterrupt):
            Registry().add_entry_points([EntryPoint("interrupted", "interrupted", "xaiaug")])
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("name", ["xaiaug", "aaa"])
def test_no_package_replaces_a_built_in_plugin(name, tmp_path, monkeypatch):
    (tmp_path / "impostor.py").write_text(
        "import xaiaug\nclass Mine(xaiaug.Critic):\n    def critique(self, cases): return []\n"
        "@xaiaug.hookimpl\ndef register_critics(register):\n    register('measured', Mine); register('mine', Mine)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "impostor", raising=False)
    registry = Registry()
    registry.add_entry_points([EntryPoint(name, "impostor", "xaiaug"), EntryPoint("old", "xaiaug.plugins", "xaiaug")])
    assert registry.plugin_class("critic", "measured").__module__ == "xaiaug.plugins.critics.measured"
    (broken,) = [info for info in registry.available() if info.kind == "plugin"]
    assert broken.name == name and ("reserved" if name == "xaiaug" else "already registered") in broken.error
    assert "mine" not in {info.name for info in registry.available()}


def test_a_missing_extra_says_what_to_install():
    registry = Registry()
    registry.add(explainers("deep", factory="no_such_module:Thing", extra="deep"), "stranger")
    with pytest.raises(MissingExtraError, match=r"pip install 'xaiaug\[deep\]'"):
        registry.create("explainer", "deep", {})


def test_a_class_of_another_kind_is_refused():
    registry = Registry()
    registry.add(explainers("painter", factory=Painter), "stranger")
    with pytest.raises(PluginError, match="is not an xaiaug Explainer"):
        registry.create("explainer", "painter", {})


def test_the_built_in_plugins_are_there():
    names = {(info.kind, info.name) for info in xaiaug.available() if info.origin == "xaiaug.plugins"}
    assert {("classifier", "transformers"), ("critic", "measured"), ("synthesizer", "remix")} <= names
    assert all(info.error is None for info in xaiaug.available())


def test_a_misspelt_hook_names_the_one_that_was_meant():
    with pytest.raises(PluginError, match=r"Did you mean 'register_explainers'\?"):
        Registry().add(package(register_explainer=lambda register: None), "broken")


def test_a_package_that_registers_nothing_is_told_what_it_needs():
    with pytest.raises(PluginError, match="stranger registers nothing: it needs .* @xaiaug.hookimpl"):
        Registry().add(types.ModuleType("stranger"), "stranger")


def test_a_misspelt_method_is_named_before_the_plugin_is_made():
    class Misspelt(xaiaug.Explainer):
        def explian(self, classifier, images, targets):
            return []

    registry = Registry()
    registry.add(explainers("misspelt", factory=Misspelt), "stranger")
    with pytest.raises(PluginError, match="Misspelt has no method 'explain'. Is 'explian' misspelt?"):
        registry.create("explainer", "misspelt", {})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_package", "cannot be imported: ModuleNotFoundError.*no_such_package"),
        ("def broken(:", "cannot be imported: SyntaxError"),
        ("1 / 0", "cannot be imported: ZeroDivisionError"),
        ("class Thnig: pass", "has no 'Thing'. Did you mean 'Thnig'"),
    ],
)
def test_a_plugin_whose_module_is_broken_is_named_with_the_reason(source, message, tmp_path, monkeypatch):
    (tmp_path / "stranger_module.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "stranger_module", raising=False)
    registry = Registry()
    registry.add(explainers("thing", factory="stranger_module:Thing"), "stranger")
    with pytest.raises(PluginError, match=f"the explainer 'thing'.*{message}"):
        registry.create("explainer", "thing", {})


def test_a_listing_bears_a_module_in_a_package_that_is_not_there_or_raises(tmp_path, monkeypatch):
    (tmp_path / "raising_package").mkdir()
    (tmp_path / "raising_package" / "__init__.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry()
    registry.add(explainers("gone", factory="no_such_package.inner:Thing"), "first")
    registry.add(explainers("raising", factory="raising_package.inner:Thing"), "second")
    gone, raising = registry.available("explainer")
    assert gone.error == "there is no module no_such_package.inner"
    assert raising.error == "ZeroDivisionError: division by zero"


def test_a_plugin_that_raises_when_it_is_made_is_named():
    class Raising(Ramp):
        def __init__(self, side: int = 3) -> None:
            raise RuntimeError("no licence")

    registry = Registry()
    registry.add(explainers("raising", factory=Raising), "stranger")
    with pytest.raises(PluginError, match="explainer 'raising' cannot be created: RuntimeError: no licence"):
        registry.create("explainer", "raising", {})


class Typed(Ramp):
    def __init__(
        self, cells: int = 7, share: float = 0.5, names: tuple[str, ...] = (), layer: str | None = None, other=None
    ):
        self.cells, self.share, self.names, self.layer, self.other = cells, share, names, layer, other


def test_parameters_passed_on_to_a_parent_fit_its_types():
    class Parent(NearestColour):
        def __init__(self, sharpness: float = 20.0, side: int = 8) -> None:
            super().__init__(sharpness)
            self.side = side

    class Child(Parent):
        def __init__(self, sharpness: "Unknown" = 20.0, **options) -> None:  # noqa: F821
            super().__init__(sharpness, **options)

        __signature__ = inspect.signature(Parent)

    check = xaiaug.registry.check_parameters
    check("the child", Child, {"sharpness": "any", "side": 9})
    with pytest.raises(ConfigError, match="the child: parameter 'side' is invalid: .* got '9'"):
        check("the child", Child, {"side": "9"})


def test_parameters_fit_the_types_of_the_signature():
    check = xaiaug.registry.check_parameters
    check("it", Typed, {"cells": 3, "share": 1, "names": ["a", "b"], "layer": None, "other": object()})
    for name, value in [("cells", "7"), ("cells", 7.5), ("share", True), ("names", "ab"), ("layer", 3)]:
        with pytest.raises(ConfigError, match=f"it: parameter '{name}' is invalid: .* got {value!r}"):
            check("it", Typed, {name: value})


class Later:
    """The hooks as they might be one day: one with an argument more, and a new one."""

    @staticmethod
    @hookspecs.hookspec
    def register_critics(register, profile): ...

    @staticmethod
    @hookspecs.hookspec
    def register_explainers(register, profile): ...

    @staticmethod
    @hookspecs.hookspec
    def register_classifiers(register): ...

    @staticmethod
    @hookspecs.hookspec
    def register_synthesizers(register): ...

    @staticmethod
    @hookspecs.hookspec
    def register_engines(register): ...


class LaterRegistry(Registry):
    def __init__(self):
        super().__init__(Later)

    def _hook_arguments(self, kind, origin, entries):
        handed = super()._hook_arguments(kind, origin, entries)
        return {**handed, "profile": "small"} if kind in ("critic", "explainer") else handed


def test_a_plugin_written_against_todays_hooks_works_when_a_hook_gains_an_argument():
    registry = LaterRegistry()
    registry.add(explainers("today"), "written today")
    assert isinstance(registry.create("explainer", "today", {}), Ramp)
    told = []

    def register_explainers(register, profile):
        told.append(profile)
        register("tomorrow", Ramp)

    registry.add(package(register_explainers=register_explainers), "written tomorrow")
    assert told == ["small"]
    assert [info.name for info in registry.available("explainer")] == ["today", "tomorrow"]


def test_a_plugin_written_against_todays_records_works_when_they_gain_a_field():
    @dataclass(frozen=True)
    class LaterContext(xaiaug.Context):
        budget_s: float | None = None

    plugin = NearestColour()
    plugin.prepare(LaterContext(labels=("a", "b"), budget_s=3.0))
    assert plugin.labels == ("a", "b")


def test_a_hook_that_is_on_its_way_out_warns_and_still_works():
    class Leaving(Later):
        @staticmethod
        @hookspecs.hookspec(warn_on_impl=DeprecationWarning("register_explainers goes in 0.4: use register_maps"))
        def register_explainers(register): ...

    class LeavingRegistry(Registry):
        def _hook_arguments(self, kind, origin, entries):
            handed = super()._hook_arguments(kind, origin, entries)
            return {**handed, "profile": "small"} if kind == "critic" else handed

    registry = LeavingRegistry(Leaving)
    with pytest.warns(DeprecationWarning, match="use register_maps"):
        registry.add(explainers("ramp"), "old")
    assert [info.name for info in registry.available()] == ["ramp"]


def test_version_source_and_parameters_are_in_what_results_are_keyed_by():
    class First(Ramp):
        version = "1"

    class Second(Ramp):
        version = "2"

    one, two = First().identity(), Second().identity()
    assert one["version"] == "1" and one["source"] != two["source"]
    assert NearestColour(1.0).identity()["parameters"] != NearestColour(2.0).identity()["parameters"]
