"""The configuration: what is refused, with which words, and what survives a round trip."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import sparse_s4r
from sparse_s4r.config import Config, load_config, make_config, save_config
from sparse_s4r.structures.errors import ConfigError

ROOT = Path(__file__).parents[1]
SHIPPED = sorted([*(ROOT / "configs").glob("**/*.yaml"), *Path(sparse_s4r.__file__).parent.glob("cli/*.yaml")])


def write(folder: Path, text: str) -> Path:
    path = folder / "given.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_files_load(path: Path) -> None:
    assert isinstance(load_config(path), Config)


def test_files_are_shipped() -> None:
    assert {"sparse.yaml", "dense.yaml"} <= {path.name for path in SHIPPED}


def test_defaults_without_file() -> None:
    assert load_config() == Config()


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "# nothing\n")) == Config()


def test_settings_go_on_top_of_the_file_in_order(tmp_path: Path) -> None:
    path = write(tmp_path, "train: {steps: 7, learning_rate: 1e-4}\nloss:\n  color: {weight: 3}\n")
    config = load_config(path, ["train.steps=8", "train.steps=9", "loss.color.start=5", "model.class_names=[a, b]"])
    # YAML 1.1 takes 1e-4 for a text; it is meant as a number.
    assert config.train.learning_rate == 1e-4
    assert config.train.steps == 9
    assert (config.loss.color.weight, config.loss.color.start) == (3.0, 5)
    assert config.model.class_names == ("a", "b")


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("trian.steps", "trian; did you mean train?"),
        ("train.step", "train.step; did you mean train.steps?"),
        ("loss.color.wieght", "loss.color.wieght; did you mean loss.color.weight?"),
        ("model.netwrok", "model.netwrok; did you mean model.network?"),
    ],
)
def test_unknown_keys_name_the_nearest(tmp_path: Path, key: str, nearest: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, [f"{key}=1"])
    assert str(caught.value) == f"--set: unknown key {nearest}"
    *sections, last = key.split(".")
    nested = "".join("  " * depth + f"{name}:\n" for depth, name in enumerate(sections))
    path = write(tmp_path, nested + "  " * len(sections) + f"{last}: 1\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value) == f"{path}: unknown key {nearest}"


def test_any_key_has_a_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"unknown key qqq; did you mean \w+\?"):
        load_config(None, ["qqq=1"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.steps=many", "train.steps: .*integer.*got 'many'"),
        ("train.steps=0", "train.steps: .*greater than or equal to 1, got 0"),
        ("train.steps=1.5", "train.steps: .*got 1.5"),
        ("train.steps=true", "train.steps: .*got True"),
        ("train.learning_rate=-1", "train.learning_rate: .*greater than 0"),
        ("train.learning_rate=.nan", "train.learning_rate: "),
        ("loss.color.weight=.inf", "loss.color.weight: .*finite"),
        ("render.far=.inf", "render.far: .*finite"),
        ("train.schedule=linear", "train.schedule: "),
        ("model.network=unet", "model.network: .*'sparse' or 'dense'"),
        ("model.widths=[4, 4]", "model.widths: .*5 items"),
        ("model.widths=[4, 4, 4, 4, 0]", "model.widths.4: .*greater than or equal to 1"),
        ("model.color_encoder=perhaps", "model.color_encoder: .*boolean"),
        ("engine=dense-maskd", "engine: .*'builtin'.*got 'dense-maskd'"),
        ("render={near: 5, far: 1}", "render: expected near < far, got 5.0 and 1.0"),
        ("data.crop=0", "data.crop: "),
    ],
)
def test_bad_values_name_key_and_value(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"--set: {message}"):
        load_config(None, [setting])


def test_what_is_not_given_keeps_its_own_default(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "loss: {depth: {weight: 0.5}}\n"), ["loss.semantic_3d.start=3"])
    assert (config.loss.depth.weight, config.loss.depth.start) == (0.5, Config().loss.depth.start)
    assert Config().loss.depth.start > 0
    # Off by default, and not switched on by its start.
    assert (config.loss.semantic_3d.weight, config.loss.semantic_3d.start) == (0.0, 3)


def test_a_file_builds_on_another(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    write(
        tmp_path,
        "seed: 3\ntrain: {steps: 7, warmup: 2}\nmodel: {class_names: [a, b]}\nloss: {color: {weight: 4, start: 9}}\n",
    )
    (tmp_path / "deep" / "middle.yaml").write_text(
        "base: ../given.yaml\nmodel: {class_names: [c]}\ntrain: {steps: 8}\n"
    )
    top = tmp_path / "top.yaml"
    top.write_text("base: deep/middle.yaml\nloss: {color: {weight: 0}}\ndata:\n  crop: null\n")
    config = load_config(top, ["train.warmup=1"])
    assert (config.seed, config.train.steps, config.train.warmup) == (3, 8, 1)
    # Sections are merged, lists are replaced.
    assert (config.loss.color.weight, config.loss.color.start) == (0.0, 9)
    assert config.model.class_names == ("c",)
    save_config(config, tmp_path / "saved.yaml")
    assert "base" not in (tmp_path / "saved.yaml").read_text()
    assert load_config(tmp_path / "saved.yaml") == config


def test_files_in_a_circle_are_refused(tmp_path: Path) -> None:
    for name, base in {"a": "b", "b": "c", "c": "b"}.items():
        (tmp_path / f"{name}.yaml").write_text(f"base: {base}.yaml\n")
    with pytest.raises(ConfigError, match=r"got a circle: a\.yaml -> b\.yaml -> c\.yaml -> b\.yaml; remove one base"):
        load_config(tmp_path / "a.yaml")


def test_faults_of_a_base_name_its_file(tmp_path: Path) -> None:
    top = tmp_path / "top.yaml"
    top.write_text("base: given.yaml\n")
    with pytest.raises(ConfigError, match=r"given\.yaml: expected a configuration file, found none"):
        load_config(top)
    write(tmp_path, "trian: {}\n")
    with pytest.raises(ConfigError, match=r"given\.yaml: unknown key trian; did you mean train\?"):
        load_config(top)
    top.write_text("base: [given.yaml]\n")
    with pytest.raises(ConfigError, match=r"top\.yaml: base: expected the path of a configuration file, got \["):
        load_config(top)
    with pytest.raises(ConfigError, match="unknown key base"):
        load_config(None, ["base=given.yaml"])


@pytest.mark.parametrize("value", ["null", "3", "[]", "text"])
def test_sections_must_have_keys(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"given.yaml: train: expected a section with keys, got"):
        load_config(write(tmp_path, f"train: {value}\n"))
    with pytest.raises(ConfigError, match=r"--set: loss.color: expected a section with keys, got"):
        load_config(None, [f"loss.color={value}"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", "expected sections with keys, got list"),
        ("train: {steps: 1\n", "not valid YAML"),
        ("train: 2026-99-99\n", "not valid YAML"),
        ("train: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ],
)
def test_files_that_are_no_configuration(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(write(tmp_path, text))


def test_files_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "given.yaml").write_bytes(b"\x80\x81")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(tmp_path / "given.yaml")
    with pytest.raises(ConfigError, match="expected a configuration file, found none"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.steps", r"--set train.steps: expected key=value, e\.g\. train\.steps=500"),
        ("seed.x=1", "--set: seed: .*valid integer"),
        ("train.steps=[1", "--set train.steps=.*not valid YAML"),
        ("=3", "unknown key"),
    ],
)
def test_settings_that_are_none(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(None, [setting])


def test_a_setting_below_a_value_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--set seed\.x: seed is a value, not a section"):
        load_config(write(tmp_path, "seed: 3\n"), ["seed.x=1"])


@pytest.mark.parametrize("path", [None, *SHIPPED], ids=lambda path: path.name if path else "defaults")
def test_a_saved_configuration_reads_back(tmp_path: Path, path: Path | None) -> None:
    config = load_config(path, ["model.class_names=[Wand, 'stuhl, groß', '1']", f"train.learning_rate={math.pi}"])
    save_config(config, tmp_path / "saved.yaml")
    assert load_config(tmp_path / "saved.yaml") == config
    assert make_config(config.model_dump(mode="json"), "again") == config


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().train.steps = 3  # type: ignore[misc]
