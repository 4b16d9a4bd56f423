"""Settings are checked; what is wrong is named with the nearest right name."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaiaug import Arm, config
from xaiaug.errors import ConfigError
from xaiaug.records.pipeline import WorkKind


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"mistake": {}}, r"there is no table \[mistake\]. Did you mean 'mistakes'"),
        ({"mistakes": {"mx": 2}}, r"\[mistakes\] has no key 'mx'. Did you mean 'max'"),
        ({"mistakes": {"max": 0}}, r"\[mistakes\] max.*got 0"),
        ({"recipe": {"stepz": 2}}, r"\[recipe\] has no key 'stepz'. Did you mean 'steps'"),
        ({"recipe": {"augment": "cutmix"}}, r"\[recipe\] has no key 'augment'. it is set by the arm"),
        ({"recipe": {"steps": 0}}, r"\[recipe\]: Recipe: steps must be at least 1, got 0"),
        ({"baseline": {"schedule": "sine"}}, r"\[baseline\]: Recipe: schedule must be one of"),
        ({"experiment": {"seeds": []}}, r"\[experiment\] seeds"),
        ({"experiment": {"seeds": [0, 1, 0]}}, r"\[experiment\] seeds: .*each seed may be there once"),
        ({"experiment": {"primary": ["dfr", "dfr"]}}, r"\[experiment\] primary: .*two different arms"),
        ({"recipe": {"learning_rate": "fast"}}, r"\[recipe\]: Recipe: learning_rate must be a number, got 'fast'"),
        ({"experiment": {"until": "never"}}, r"\[experiment\] until"),
        ({"experiment": {"arms": [{"name": "a", "reel": "train"}]}}, r"an arm has no key 'reel'. Did you mean 'real'"),
        ({"experiment": {"arms": [{"name": "a", "real": "fake"}]}}, r"real must be one of"),
        ({"data": {"guide": 1.5}}, r"\[data\] guide"),
        ({"data": {"guide": "test"}}, r"\[data\] guide"),
        ({"privacy": {"offline": "perhaps"}}, r"\[privacy\] offline"),
        ({"budget": {"usd": -1}}, r"\[budget\] usd"),
        ({"classifier": {"name": 3}}, r"\[classifier\] name"),
        ({"engine": {"synthesiser": {}}}, r"\[engine\] has no key 'synthesiser'. Did you mean 'synthesizer'"),
        ({"engine": {"critic": {"gpus": 1}}}, r"\[engine.critic\] has no key 'gpus'. Did you mean 'num_gpus'"),
        ({"engine": {"critic": {"num_gpus": -1}}}, r"\[engine.critic\] num_gpus: .* equal to 0, got -1"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(tables, message):
    with pytest.raises(ConfigError, match=message):
        config.parse_settings(tables)


def test_settings_survive_being_written_and_read_again():
    settings = config.parse_settings(
        {
            "classifier": {"name": "transformers", "checkpoint": 'a "b"\\c', "flags": [1, 2.5, True]},
            "experiment": {"arms": ["baseline", {"name": "mine", "images": {"curated": False}}], "seeds": [3, 4]},
            "recipe": {"steps": 7, "trainer": {"max_grad_norm": 0.5}},
            "engine": {"name": "ray", "synthesizer": {"workers": 2, "num_gpus": 0.5}},
        }
    )
    assert config.parse_settings(tomllib.loads(settings.to_toml())) == settings


def test_every_kind_of_work_may_have_workers_of_its_own():
    tables = {str(kind): {"workers": 2} for kind in WorkKind}
    settings = config.parse_settings({"engine": tables})
    assert {kind: table.given for kind, table in settings.engine.kinds.items()} == tables


@given(st.dictionaries(st.text(), st.none() | st.text() | st.booleans() | st.integers(-(2**60), 2**60)))
def test_any_table_of_plain_values_is_written_as_toml_that_reads_back(table):
    kept = {key: value for key, value in table.items() if value is not None}
    # A lone surrogate cannot stand in a file at all.
    if any("\ud800" <= c <= "\udfff" for text in (*kept, *map(str, kept.values())) for c in text):
        return
    text = config.to_toml({"table": table})
    assert tomllib.loads(text).get("table", {}) == kept


def test_a_table_makes_a_row_of_arms():
    settings = config.parse_settings({"experiment": {"arms": ["continued", {"name": "mine", "real": "train+guide"}]}})
    assert settings.arms() == ("continued", Arm("mine", "", real="train+guide"))


def test_the_baseline_recipe_takes_what_it_does_not_say_from_the_arms():
    recipe, baseline = config.parse_settings({"recipe": {"steps": 9}, "baseline": {"learning_rate": 0.5}}).recipes()
    assert (recipe.steps, baseline.steps, baseline.learning_rate) == (9, 9, 0.5)


def test_a_file_names_itself_in_its_errors(tmp_path: Path):
    path = tmp_path / "mine.toml"
    with pytest.raises(ConfigError, match=r"there is no settings file .*mine.toml"):
        config.read_settings(path)
    path.write_text("[data\n")
    with pytest.raises(ConfigError, match=r"mine.toml is not TOML"):
        config.read_settings(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"mine.toml cannot be read"):
        config.read_settings(path)
    path.write_text("")
    with pytest.raises(ConfigError, match=r"mine.toml has no data folder"):
        config.read_settings(path)
    with pytest.raises(ConfigError, match=r"cannot be read"):
        config.read_settings(tmp_path)


def test_a_relative_data_folder_is_relative_to_the_file(tmp_path: Path):
    (tmp_path / "a.toml").write_text(
        '[data]\nfolder = "photos"\n[classifier]\nname = "transformers"\ncheckpoint = "x"\n'
    )
    assert config.read_settings(tmp_path / "a.toml").data.folder == tmp_path / "photos"


def test_a_plugin_table_without_a_name_means_the_default_plugin():
    settings = config.parse_settings({"classifier": {"checkpoint": "x"}, "synthesizer": {"size": 64}})
    assert (settings.classifier.name, settings.synthesizer.name) == ("transformers", "remix")
    assert settings.synthesizer.parameters == {"size": 64}


@pytest.mark.parametrize(
    "tables",
    [
        {"critic": {"name": "claude", "api_key": "SECRET"}},
        {"critic": {"name": "openai", "openai-api-key": "SECRET"}},
        {"critic": {"name": "claude", "token": "SECRET"}},
        {"critic": {"name": "claude", "domain": "sk-ant-api03-SECRET"}},
        {"critic": {"second": {"name": "openai", "password": "SECRET"}}},
        {"critic": {"templates": {"system": "use Bearer SECRETSECRETSECRET"}}},
        {"data": {"folder": "sk-proj-SECRETSECRET"}},
        {"experiment": {"arms": ["sk-0123456789SECRET"]}},
        {"secret": "SECRET"},
    ],
)
def test_a_key_in_the_settings_is_refused_and_not_repeated(tables):
    with pytest.raises(ConfigError, match="looks like a key.*from the environment") as caught:
        config.parse_settings(tables)
    assert "SECRET" not in str(caught.value) and caught.value.__cause__ is None


def test_a_key_in_a_settings_file_is_refused(tmp_path):
    (tmp_path / "x.toml").write_text('[data]\nfolder = "p"\n[critic]\nname = "claude"\napi_key = "SECRET"\n')
    with pytest.raises(ConfigError, match=r"x\.toml: critic\.api_key looks like a key"):
        config.read_settings(tmp_path / "x.toml")


def test_what_only_sounds_like_a_key_is_allowed():
    parameters = {"name": "claude", "max_tokens": 500, "mask_token": "[MASK]", "sort_key": "id", "api_key": ""}
    found = config.parse_settings({"critic": parameters, "data": {"folder": "sk-learn-photographs-of-cats"}})
    assert found.critic.parameters == {key: parameters[key] for key in parameters if key != "name"}


def write(folder, text, name="a.toml", encoding="utf-8"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding=encoding)
    return folder / name


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("start", [".", "conf", "elsewhere"])
def test_every_path_is_relative_to_the_settings_file_wherever_the_shell_is(home, monkeypatch, start):
    text = """
        [data]
        folder = "~/photos"
        [classifier]
        checkpoint = "ck"
        [critic]
        name = "replay"
        run = "../runs/one"
        [synthesizer]
        name = "sdxl"
        weights = "~/sd"
        loras = ["lora", {weights = "lora", scale = 0.5}]
        [curation.judge]
        name = "transformers"
        checkpoint = "judge"
    """
    path = write(home / "conf", text)
    for folder in ("conf/ck", "conf/judge", "conf/lora", "elsewhere"):
        (home / folder).mkdir()
    monkeypatch.chdir(home / start)
    found = config.read_settings(path)
    assert found.data.folder == home / "photos"
    assert found.classifier.parameters["checkpoint"] == str(home / "conf/ck")
    assert found.critic.parameters["run"] == str(home / "conf/../runs/one")
    assert found.synthesizer.parameters["weights"] == str(home / "sd")
    assert found.synthesizer.parameters["loras"][0] == str(home / "conf/lora")
    assert found.synthesizer.parameters["loras"][1] == {"weights": str(home / "conf/lora"), "scale": 0.5}
    assert found.curation.judge.parameters["checkpoint"] == str(home / "conf/judge")


def test_a_path_that_is_right_from_the_shell_alone_is_refused_and_a_name_on_the_hub_stays(home, monkeypatch):
    text = '[data]\nfolder = "photos"\n[classifier]\ncheckpoint = "{}"'
    (home / "ck").mkdir()
    monkeypatch.chdir(home)
    with pytest.raises(ConfigError, match="checkpoint = 'ck': relative paths are relative to the settings file"):
        config.read_settings(write(home / "conf", text.format("ck")))
    found = config.read_settings(write(home / "conf", text.format("google/vit-base-patch16-224")))
    assert found.classifier.parameters["checkpoint"] == "google/vit-base-patch16-224"


def test_a_home_folder_is_meant_in_settings_from_python_too(home):
    found = config.parse_settings({"data": {"manifest": "~/a.csv"}, "classifier": {"checkpoint": "~/ck"}})
    assert (found.data.manifest, found.classifier.parameters["checkpoint"]) == (home / "a.csv", str(home / "ck"))


def test_a_file_saved_by_notepad_is_read(tmp_path):
    path = write(tmp_path, "[data]\nfolder = 'photos'\n", encoding="utf-8-sig")
    assert config.read_settings(path).data.folder == tmp_path / "photos"


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ({"images": {}}, "an arm needs a name"),
        ({"name": "a", "images": "all"}, "images must be a table, got 'all'"),
        ({"name": "a", "images": {"promts": "x"}}, "images has no key 'promts'"),
    ],
)
def test_an_arm_that_is_none_is_told_in_words(arm, message):
    with pytest.raises(ConfigError, match=message) as caught:
        config.parse_settings({"experiment": {"arms": [arm]}})
    assert "__init__" not in str(caught.value)


def test_a_message_does_not_repeat_what_is_long():
    with pytest.raises(ConfigError) as caught:
        config.parse_settings({"data": {"guide": "x" * 10_000}})
    assert len(str(caught.value)) < 2000
