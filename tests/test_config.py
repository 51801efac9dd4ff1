from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from mddnet import config
from mddnet.config import DataConfig, LossConfig, MixtureConfig, ModelConfig, OptimConfig, Recipe, load_recipe
from mddnet.errors import RecipeError

RECIPES = Path(__file__).parents[1] / "recipes"
SMALL = RECIPES / "small.toml"
SECTIONS = (Recipe, ModelConfig, DataConfig, MixtureConfig, LossConfig, OptimConfig, config.TrainConfig)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


# --- shipped recipes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda p: p.name)
def test_every_shipped_recipe_loads_and_is_named_after_its_file(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem and recipe.description


def test_the_small_recipe_has_every_setting() -> None:
    said: set[str] = set()

    def collect(table: dict[str, Any], prefix: str = "") -> None:
        for name, value in table.items():
            said.add(prefix + name)
            if isinstance(value, dict):
                collect(value, f"{prefix}{name}.")

    collect(tomllib.loads(SMALL.read_text(encoding="utf-8")))
    assert said == set(config._KEYS) - {"train.start_from"}  # TOML has no word for "none"


@pytest.mark.parametrize("section", SECTIONS, ids=lambda s: s.__name__)
def test_every_field_has_a_description(section: type[BaseModel]) -> None:
    for name, info in section.model_fields.items():
        assert info.description and info.description[0].isupper() and info.description.endswith("."), name


# --- what is refused, and how it is said -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nam = 'x'", "unknown key nam; did you mean name?"),
        ("[model]\nencodr = 'x'", "unknown key model.encodr; did you mean model.encoder?"),
        ("[optim]\nbatch_size = 8", "unknown key optim.batch_size; did you mean data.batch_size?"),
        ("[data.mixture]\nphoto = 1", "unknown key data.mixture.photo; did you mean data.mixture.photos?"),
        ("[optimiser]\nlr = 1", "unknown key optimiser; did you mean optim?"),
        ("zzz = 1", "unknown key zzz; expected one of the keys of model, data, loss, optim, train"),
        ("model = 3", "model is 3; expected a table, with model.encoder in it"),
        (
            "name = 'x'\n[data]\nmixture = 3",
            "data.mixture is 3; expected a table, with data.mixture.focal_stacks in it",
        ),
        ("[model]\ncontext = true", "name is missing"),
        ("name = '../x'", "name is '../x'"),
        ("name = 'x'\n[data]\nbatch_size = '8'", "data.batch_size is '8'"),
        ("name = 'x'\n[data]\nbatch_size = 8.5", "data.batch_size is 8.5"),
        ("name = 'x'\n[data]\nmirror = 1", "data.mirror is 1"),
        ("name = 'x'\n[data]\ncrop = [256]", "data.crop"),
        ("name = 'x'\n[data]\ncrop = [256, 255]", "data.crop is [256, 255]; expected multiples of 32"),
        ("name = 'x'\n[data]\nwindow = [0.9, 0.3]", "data.window is [0.9, 0.3]; expected the smaller share"),
        ("name = 'x'\n[data.mixture]\nrgbd = 0", "data.mixture: every share is 0"),
        ("name = 'x'\n[optim]\nlr = 0", "optim.lr is 0; input should be greater than 0"),
        ("name = 'x'\n[optim]\nlr = nan", "optim.lr is nan"),
        ("name = 'x'\n[optim]\nlr = inf", "optim.lr is inf"),
        ("name = 'x'\n[optim]\nema = 1.0", "optim.ema is 1.0"),
        ("name = 'x'\n[optim]\nsteps = 200", "optim.warmup_steps is 200 of 200 steps"),
        ("name = 'x'\n[optim]\nlr = 2026-01-01", "date"),
        ("name = 'x'\n[train]\nprecision = '16'", "train.precision is '16'"),
        ("name = 'x'\n[model]\ntasks = 'all'", "model.tasks is 'all'"),
        ("name =", "not valid TOML"),
    ],
)
def test_a_wrong_recipe_is_refused_by_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(str(path)) and said in str(caught.value)


def test_a_missing_and_a_binary_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"absent\.toml: not readable"):
        load_recipe(tmp_path / "absent.toml")
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match=r"a\.toml: not readable"):
        load_recipe(tmp_path / "a.toml")


@pytest.mark.parametrize(
    "switch", ["model.tasks=depth", "model.tasks=defocus", "model.sign=false"], ids=lambda s: s.partition("=")[2]
)
def test_contradiction_names_the_fix(switch: str) -> None:
    with pytest.raises(RecipeError, match=r"; add --set ") as caught:
        load_recipe(SMALL, [switch])
    fixes = str(caught.value).partition("add --set ")[2].partition(", or change")[0].split(" --set ")
    fixed = load_recipe(SMALL, [switch, *fixes])
    key, _, value = switch.partition("=")
    assert str(getattr(fixed.model, key.partition(".")[2])).lower() == value


def test_contradictions_are_refused_at_construction_too() -> None:
    with pytest.raises(ValidationError, match=r"loss\.lens_law=0"):
        Recipe(name="x", model=ModelConfig(tasks="depth"))
    with pytest.raises(ValidationError, match="every weight is 0"):
        LossConfig(**dict.fromkeys(LossConfig.model_fields, 0.0))


# --- overrides -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "read", "value"),
    [
        ("model.encoder=mobilenetv2_100", lambda r: r.model.encoder, "mobilenetv2_100"),
        ('model.encoder="mobilenetv2_100"', lambda r: r.model.encoder, "mobilenetv2_100"),
        ("data.scenes=/data/my scenes", lambda r: r.data.scenes, Path("/data/my scenes")),
        ("data.crop=[192, 256]", lambda r: r.data.crop, (192, 256)),
        (" optim.lr = 2e-4 ", lambda r: r.optim.lr, 2e-4),
        ("optim.clip_norm=1", lambda r: r.optim.clip_norm, 1.0),
        ("data.mirror=false", lambda r: r.data.mirror, False),
        ("data.mixture={photos = 1}", lambda r: r.data.mixture.normalised["photos"], 1.0),
        ("data.mixture.photos=0", lambda r: r.data.mixture.photos, 0.0),
        ("name=ablation", lambda r: r.name, "ablation"),
        ("description=a = b", lambda r: r.description, "a = b"),
        ("description=1\nname = 'x'", lambda r: r.name, "small"),  # one setting sets one key
    ],
)
def test_an_override_replaces_one_setting(override: str, read: Any, value: Any) -> None:
    assert read(load_recipe(SMALL, [override])) == value


def test_later_override_wins() -> None:
    changed = load_recipe(SMALL, ["train.seed=1", "train.seed=2"])
    assert changed.train.seed == 2
    assert changed.model_copy(update={"train": load_recipe(SMALL).train}) == load_recipe(SMALL)


def test_override_in_a_missing_table_starts_from_defaults(tmp_path: Path) -> None:
    recipe = load_recipe(written(tmp_path, "name = 'x'"), ["data.mixture.photos=0"])
    assert recipe.data.mixture == Recipe(name="x").data.mixture.model_copy(update={"photos": 0.0})


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("optim.step=3", "--set optim.step=3: unknown key optim.step; did you mean optim.steps?"),
        ("steps=3", "did you mean optim.steps?"),
        ("optim.steps", "--set optim.steps: expected section.key=value"),
        ("=3", "expected section.key=value"),
        ("optim.steps=many", "optim.steps is 'many'"),
        ("model=3", "model is 3; expected a table"),
        ("model={encodr='x'}", "unknown key model.encodr"),
    ],
)
def test_a_wrong_override_is_refused(override: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(SMALL, [override])
    assert said in str(caught.value)


def test_override_below_a_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"data is 3; .*table"):
        load_recipe(written(tmp_path, "name = 'x'\ndata = 3"), ["data.mixture.photos=0"])


# --- values ----------------------------------------------------------------------------------------------------------


KINDS = len(MixtureConfig.model_fields)


@given(st.lists(st.floats(0, 1e6), min_size=KINDS, max_size=KINDS).filter(lambda s: sum(s) > 1e-3))
def test_shares_add_up_to_one_in_the_same_ratios(shares: list[float]) -> None:
    mixture = MixtureConfig(**dict(zip(MixtureConfig.model_fields, shares, strict=True)))
    normalised = list(mixture.normalised.values())
    assert sum(normalised) == pytest.approx(1)
    assert [share * sum(shares) for share in normalised] == pytest.approx(shares)


def test_recipe_is_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_recipe(SMALL).model.encoder = "other"  # type: ignore[misc]


def test_hash_covers_only_what_determines_the_result() -> None:
    small = load_recipe(SMALL).config_hash
    assert len(small) == 12 and int(small, 16) >= 0
    for same in ("data.scenes=a", "data.split=b", "data.workers=3", "train.out=c", "train.threads=8", "description=d"):
        assert load_recipe(SMALL, [same]).config_hash == small, same
    for other in (
        "optim.lr=2e-3",
        "train.seed=1",
        "model.context=false",
        "data.mixture.photos=0.29",
        "optim.steps=6001",
    ):
        assert load_recipe(SMALL, [other]).config_hash != small, other


def test_every_setting_is_used() -> None:
    package = Path(config.__file__).parent
    code = "\n".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py") if path.name != "config.py")
    # those are read by the names of KINDS and of the terms of the loss; tests/loss/test_registry.py checks the latter
    keys = [key for key in config._KEYS if not key.startswith(("data.mixture.", "loss."))]
    unread = [key for key in keys if not re.search(rf"""[."']{key.rpartition(".")[2]}\b""", code)]
    assert set(unread) <= {"description"}  # for readers of the file
