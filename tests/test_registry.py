"""The registry finds plugins, names what is wrong with them, and lets a broken one stop nobody."""

import types
from importlib.metadata import EntryPoint

import pytest
from fakes import NearestColour, Painter, Ramp

import xaiaug
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
    points = [EntryPoint("bad", "no_such_package.plugin", "xaiaug"), EntryPoint("xaiaug", "xaiaug.plugins", "xaiaug")]
    registry.add_entry_points(points)
    infos = {info.name: info for info in registry.available()}
    assert "no_such_package" in infos["bad"].error
    assert infos["attention-rollout"].error is None
    with pytest.raises(UnknownPluginError, match="no_such_package"):
        registry.create("critic", "mine", {})


def test_a_missing_extra_says_what_to_install():
    registry = Registry()
    registry.add(explainers("deep", factory="no_such_module:Thing", extra="captum"), "stranger")
    with pytest.raises(MissingExtraError, match=r"pip install 'xaiaug\[captum\]'"):
        registry.create("explainer", "deep", {})


def test_a_class_of_another_kind_is_refused():
    registry = Registry()
    registry.add(explainers("painter", factory=Painter), "stranger")
    with pytest.raises(PluginError, match="is not of the kind Explainer"):
        registry.create("explainer", "painter", {})


def test_the_built_in_plugins_come_through_the_same_entry_point():
    names = {(info.kind, info.name) for info in xaiaug.available() if info.origin == "xaiaug.plugins"}
    assert {("classifier", "transformers"), ("critic", "measured"), ("synthesizer", "remix")} <= names
    assert all(info.error is None for info in xaiaug.available())
