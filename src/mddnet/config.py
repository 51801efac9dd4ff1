"""Recipes: training runs as TOML files. Unknown keys and contradictory settings are refused.

A relative path in a recipe is relative to the current directory, like a path on the command line.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator

from mddnet.errors import RecipeError
from mddnet.kinds import KINDS

Fraction = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]

NOT_TOML = (ValueError, RecursionError)
"""Errors of tomllib; huge integers and deep nesting raise Python's own."""
CROP_MULTIPLE = 32
"""The encoder halves its input five times, so height and width of a crop must be multiples of 2**5."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelConfig(_Section):
    """The network and every constant that shapes its output."""

    encoder: str = Field("tf_efficientnet_lite0", min_length=1, description="Name of the timm encoder.")
    pretrained: bool = Field(True, description="Whether the encoder starts from weights pretrained on ImageNet.")
    decoder_channels: tuple[Count, ...] = Field(
        (128, 80, 48, 32),
        min_length=2,
        max_length=5,
        description="Channels of the decoders' levels, coarsest first; those without an encoder level are ignored.",
    )
    context_channels: Count = Field(
        192, multiple_of=4, description="Channels of the coarsest features, the input of the decoders."
    )
    tasks: Literal["both", "depth", "defocus"] = Field("both", description="Maps that the network estimates.")
    soft_connection: bool = Field(
        True, description="Whether the two decoders exchange features at every level (needs both tasks)."
    )
    context: bool = Field(True, description="Whether the coarsest level has an attention block over the whole image.")
    sign: bool = Field(True, description="Whether the network also estimates the sign of the defocus.")
    context_sign_limit: Positive = Field(
        3.0,
        description="Largest sign logit of the decoders, which overfit and are over-confident; it is added to that of "
        "the chromatic-aberration branch.",
    )
    chromatic_cue: bool = Field(
        True, description="Whether a branch compares the sharpness of colour channels to find the sign of the defocus."
    )
    cue_sign_gain: Positive = Field(
        1.5, description="Factor of the sign logit of the chromatic-aberration branch, which is under-confident."
    )
    law_path: bool = Field(
        True,
        description="Whether depth follows from the signed defocus by the lens law (needs both tasks and the sign).",
    )
    law_unit_px: Positive = Field(
        4.0,
        description="Signed CoC in pixels that changes the logit of inverse depth by 1. It is not learned: the losses "
        "do not depend on the scale of inverse depth, so learning would only shift weight from the law to the "
        "residual.",
    )
    residual_limit: Positive = Field(
        0.125,
        description="Largest logit that the depth decoder adds to that of the law, so that the law dominates where "
        "blur is clear.",
    )
    residual_slope: Positive = Field(0.25, description="Factor of a small logit of the depth decoder.")
    defocus_cap_px: Positive = Field(
        40.0, description="Largest defocus that one pass of the network can predict, in pixels of its input."
    )
    curve_knots_px: tuple[float, ...] = Field(
        (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0),
        min_length=2,
        description="Knots of the defocus curve: CoC diameters, increasing from 0.",
    )
    half_size_pass: bool = Field(True, description="Whether inference adds a pass at half the size and merges both.")
    half_size_weight: Fraction = Field(0.5, description="Weight of the pass at half the size in the logits.")
    half_size_coc_weight: Fraction = Field(0.3, description="Weight of the pass at half the size in the CoC.")
    half_size_coc_px: tuple[Positive, Positive] = Field(
        (12.0, 24.0),
        description="Between these CoC diameters the weight of the pass at half the size in the CoC rises to 1, "
        "because such blur is half as large there and within the range of training.",
    )

    @property
    def largest_defocus_px(self) -> float:
        """Largest defocus that inference can predict, in pixels of the network's input."""
        return self.defocus_cap_px * (2.0 if self.half_size_pass else 1.0)

    @model_validator(mode="after")
    def _increasing(self) -> Self:
        knots = self.curve_knots_px
        if knots[0] != 0 or any(low >= high for low, high in pairwise(knots)):
            raise ValueError(f"curve_knots_px is {list(knots)}; expected numbers that increase from 0")
        low, high = self.half_size_coc_px
        if low >= high:
            raise ValueError(f"half_size_coc_px is [{low}, {high}]; expected the smaller diameter first")
        return self


DISCS = "discs"
"""Name in the mixture of sharp photos blurred by one disc of known size."""
DISC_SHARE = 0.14


class _Mixture(_Section):
    @property
    def normalised(self) -> dict[str, float]:
        """Shares by kind, scaled to a sum of 1."""
        shares: dict[str, float] = self.model_dump()
        total = sum(shares.values())
        return {kind: share / total for kind, share in shares.items()}

    @model_validator(mode="after")
    def _some_share(self) -> Self:
        if not sum(self.model_dump().values()) > 0:
            raise ValueError("every share is 0; expected at least one above 0")
        return self


_SHARES: dict[str, Any] = {
    **{kind.name: (Weight, Field(0.0, description=f"Share of: {kind.title}.")) for kind in KINDS.values()},
    DISCS: (Weight, Field(0.0, description="Share of: photos blurred by one disc, with the colour error of a lens.")),
}
MixtureConfig = create_model("MixtureConfig", __base__=_Mixture, **_SHARES)
MixtureConfig.__doc__ = "Shares of the kinds of scenes in a batch. Only ratios count; a missing kind has none."
DEFAULT_MIXTURE = MixtureConfig.model_validate({kind.name: kind.share for kind in KINDS.values()} | {DISCS: DISC_SHARE})


class DataConfig(_Section):
    """The training data and how crops are made from it."""

    scenes: Path = Field(Path("work/scenes"), description="Folder of scenes that mddnet build wrote.")
    shards: tuple[str, ...] = Field(
        (),
        description="Shards of mddnet shards to stream instead of scenes: paths or http(s) addresses, with braces such "
        "as train-{000000..000011}.tar. Scenes, if given, are then used for validation only.",
    )
    shuffle: Count = Field(64, description="Samples that each worker buffers to shuffle a stream.")
    split: Path = Field(
        Path("../shared/data/split.csv"),
        description="CSV file place,split: locations to train on (train) and held-out ones (dev, calib).",
    )
    crop: tuple[Count, Count] = Field(
        (256, 256), description="Height and width of a training crop in pixels, multiples of 32."
    )
    batch_size: Count = Field(8, description="Crops per step.")
    workers: int = Field(
        1,
        ge=0,
        description="Workers that prepare batches: 1 is a thread (with shards a process), more are processes; with 0 "
        "batches are prepared in the training loop.",
    )
    mixture: MixtureConfig = Field(
        DEFAULT_MIXTURE, description="Shares of the kinds of scenes; by default those of mddnet.kinds."
    )
    scale_range: tuple[Positive, Positive] = Field(
        (0.3, 0.9), description="Smallest and largest factor of resizing before cropping."
    )
    quarter_turns: bool = Field(
        True, description="Whether crops are rotated by multiples of 90 degrees, so that the network relies on blur."
    )
    mirror: bool = Field(True, description="Whether crops are mirrored at random.")
    photometric: Fraction = Field(0.2, description="Strength of the random changes of exposure, contrast and colour.")
    pair_share: Fraction = Field(
        0.5, description="Share of crops in a batch that are pairs: two frames of one scene with the same view."
    )
    cache_mb: Count = Field(4000, description="Memory for decoded images per worker, in megabytes.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(size % CROP_MULTIPLE for size in self.crop):
            raise ValueError(f"crop is {list(self.crop)}; expected multiples of {CROP_MULTIPLE}")
        low, high = self.scale_range
        if low > high:
            raise ValueError(f"scale_range is [{low}, {high}]; expected the smaller factor first")
        if self.shards and "mixture" in self.model_fields_set:
            raise ValueError(
                "shards and a mixture are both given, but every sample of a shard is used once per epoch: remove the "
                "mixture, and write shards of the wanted kinds only (mddnet shards --only)"
            )
        if self.shards and self.pair_share > 0:
            raise ValueError(
                f"pair_share is {self.pair_share} with shards, where the frames of a scene are not adjacent: set "
                "pair_share to 0"
            )
        if self.pair_share > 0 and self.batch_size < 2:
            raise ValueError(
                f"pair_share is {self.pair_share} with batch_size {self.batch_size}; a pair needs at least 2 crops: "
                "set pair_share to 0 or batch_size to 2 or more"
            )
        return self


def _loss(default: float, description: str, *needs: str) -> Any:
    """Field of the weight of a loss that compares the maps ``needs``; without one of them it has no term."""
    return Field(default, description=description, json_schema_extra={"needs": list(needs)})


class LossConfig(_Section):
    """Weights of the terms of the loss; 0 disables a term.

    A new loss is a field here and a function of the same name, registered by :func:`mddnet.loss.registry.loss_term`.
    """

    depth: Weight = _loss(1.0, "Weight of the scale-and-shift-invariant L1 of inverse depth.", "inv_depth")
    depth_gradient: Weight = _loss(0.5, "Weight of the L1 of the gradients of inverse depth.", "inv_depth")
    ranking: Weight = _loss(1.0, "Weight of the ranking loss on random pairs of clearly different depth.", "inv_depth")
    defocus: Weight = _loss(5.0, "Weight of the L1 of the circle of confusion.", "defocus_px")
    defocus_gradient: Weight = _loss(2.5, "Weight of the L1 of the gradients of the circle of confusion.", "defocus_px")
    sign: Weight = _loss(1.5, "Weight of the cross-entropy of the sign of the defocus.", "sign_logit")
    cue_sign: Weight = _loss(
        2.0, "Weight of the cross-entropy of the sign from chromatic aberration alone.", "chromatic_sign_logit"
    )
    lens_law: Weight = _loss(
        2.0, "Weight of the deviation of the two predicted maps from the lens law.", "inv_depth", "defocus_px"
    )
    synthetic_depth: Fraction = Field(
        0.25, description="Factor of the depth terms on photos with synthetic depth, where only blur indicates depth."
    )

    @classmethod
    def needs(cls) -> dict[str, tuple[str, ...]]:
        """Maps that each term needs, by the name of the term."""
        extras = {name: info.json_schema_extra for name, info in cls.model_fields.items()}
        return {
            name: tuple(str(need) for need in extra["needs"])  # type: ignore[union-attr]
            for name, extra in extras.items()
            if isinstance(extra, dict)
        }

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        if not any(getattr(self, name) for name in self.needs()):
            raise ValueError("every weight is 0; expected at least one above 0")
        return self


class OptimConfig(_Section):
    """The optimiser (AdamW) and its schedule."""

    lr: Positive = Field(1e-3, description="Peak learning rate of all parameters but the encoder's.")
    encoder_lr: float = Field(3e-4, ge=0, description="Peak learning rate of the encoder; 0 freezes it.")
    weight_decay: float = Field(0.01, ge=0, description="Decoupled weight decay.")
    warmup_steps: int = Field(200, ge=0, description="Steps over which the learning rate rises from 0 to its peak.")
    steps: Count = Field(6000, description="Training steps.")
    schedule: Literal["cosine", "constant"] = Field(
        "cosine", description="Learning rate after the warm-up: half a cosine down to 0, or constant."
    )
    ema: float = Field(0.998, ge=0, lt=1, description="Decay of the moving average of the weights; 0 disables it.")
    clip_norm: Positive = Field(1.0, description="Largest norm of the gradient (clipping).")

    @model_validator(mode="after")
    def _warmup_ends(self) -> Self:
        if self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps is {self.warmup_steps} of {self.steps} steps; expected fewer than steps")
        return self


class TrainConfig(_Section):
    """The run: output, validation, computation."""

    seed: int = Field(0, ge=0, description="Seed of every random choice.")
    start_from: Path | None = Field(
        None, description="Model folder with the initial weights, such as the folder model of another run."
    )
    out: Path = Field(Path("work/run"), description="Folder for checkpoints and logs of the run.")
    log_every: Count = Field(20, description="Steps between two lines of the log.")
    save_every: Count = Field(200, description="Steps between two checkpoints, from which an interrupted run resumes.")
    validate_every: int = Field(
        500, ge=0, description="Steps between two validations on held-out locations; 0: only at the end."
    )
    patience: int = Field(
        0,
        ge=0,
        description="Validations without improvement after which the run stops and keeps the best weights (early "
        "stopping). 0: all steps are done and the last weights kept.",
    )
    weight_interpolation: float = Field(
        0.0, ge=0, lt=1, description="Share of the weights of start_from in the average with the trained ones."
    )
    keep_curve: bool = Field(
        False,
        description="Whether the defocus curve of start_from (the identity without one) is kept; otherwise it is "
        "fitted to the defocus response on photos and captured stacks.",
    )
    threads: Count = Field(2, description="CPU threads of the training process.")
    channels_last: bool = Field(
        True, description="Whether tensors have the memory format channels_last, which is faster on a CPU."
    )
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = Field(
        "32-true", description="Number format of the computation, as Lightning Fabric names it."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.patience and not self.validate_every:
            raise ValueError(
                f"patience is {self.patience} and validate_every is 0; early stopping needs validation during the run: "
                "set validate_every"
            )
        if self.weight_interpolation and self.start_from is None:
            raise ValueError(f"weight_interpolation is {self.weight_interpolation}, but there is no start_from")
        return self


class Recipe(_Section):
    """A training run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Name of the recipe and of its model.")
    description: str = Field("", description="One sentence on what the recipe is for.")
    model: ModelConfig = Field(ModelConfig(), description="The network.")
    data: DataConfig = Field(DataConfig(), description="The training data.")
    loss: LossConfig = Field(LossConfig(), description="The loss.")
    optim: OptimConfig = Field(OptimConfig(), description="The optimiser.")
    train: TrainConfig = Field(TrainConfig(), description="The run.")

    @model_validator(mode="after")
    def _model_has_what_the_loss_needs(self) -> Self:
        model, loss = self.model, self.loss
        maps = {"both": ("inv_depth", "defocus_px"), "depth": ("inv_depth",), "defocus": ("defocus_px",)}[model.tasks]
        if model.sign and model.tasks != "depth":
            # without the chromatic branch its loss is skipped: that is not an error
            maps = (*maps, "sign_logit", "chromatic_sign_logit")
        changes = [
            f"loss.{term}=0"
            for term, needs in loss.needs().items()
            if getattr(loss, term) > 0 and term != "cue_sign" and not set(needs) <= set(maps)
        ]
        if model.tasks != "both" and model.soft_connection:
            changes.append("model.soft_connection=false")
        if model.tasks == "depth" and model.sign:
            changes.append("model.sign=false")
        if model.law_path and (model.tasks != "both" or not model.sign):
            changes.append("model.law_path=false")
        if changes:
            raise ValueError(
                f'model.tasks is "{model.tasks}" and model.sign is {str(model.sign).lower()}, but other settings need '
                f"more outputs; add --set {' --set '.join(changes)}, or change the recipe"
            )
        return self

    @property
    def config_hash(self) -> str:
        """Hash, twelve hexadecimal digits, of everything that determines the result: not paths, logging or processes.

        The content of a stream also depends on the number of processes, which the checkpoint stores.
        """
        data = self.model_dump(mode="json")
        del data["description"]
        if self.train.patience:
            data["train"]["measured_every"] = self.train.validate_every
        for section, keys in _NOT_HASHED.items():
            for key in keys:
                del data[section][key]
        del data["data"]["mixture" if self.data.shards else "shuffle"]
        data["data"]["streamed"] = bool(self.data.shards)
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:12]


_NOT_HASHED = {
    "data": ("scenes", "shards", "split", "workers", "cache_mb"),
    "train": ("out", "log_every", "save_every", "validate_every", "threads", "channels_last"),
}


def _known_keys(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel] | None]]:
    """All keys of a section by their full dotted name, with the model of those that are tables."""
    for name, info in section.model_fields.items():
        kind = info.annotation
        table = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
        yield prefix + name, table
        if table is not None:
            yield from _known_keys(table, f"{prefix}{name}.")


_KEYS: dict[str, type[BaseModel] | None] = dict(_known_keys(Recipe))


def _refuse_unknown(data: dict[str, Any], origin: str, prefix: str = "") -> None:
    for name, value in data.items():
        key = prefix + name
        if key not in _KEYS:
            raise RecipeError(f"{origin}: unknown key {key}; {_suggestion(key)}")
        if _KEYS[key] is None:
            continue
        if not isinstance(value, dict):
            example = next(known for known in _KEYS if known.startswith(f"{key}."))
            raise RecipeError(f"{origin}: {key} is {value!r}; expected a table, with {example} in it")
        _refuse_unknown(value, origin, f"{key}.")


def _suggestion(key: str) -> str:
    """The nearest known key: the same last name elsewhere, else the most similar spelling."""
    last = key.rpartition(".")[2]
    same_name = [known for known in _KEYS if known.rpartition(".")[2] == last]
    near = same_name or difflib.get_close_matches(key, _KEYS, n=1, cutoff=0.5)
    if not near:
        by_last = {known.rpartition(".")[2]: known for known in _KEYS}
        near = [by_last[match] for match in difflib.get_close_matches(last, by_last, n=1, cutoff=0.5)]
    if near:
        return f"did you mean {near[0]}?"
    return f"expected one of the keys of {', '.join(k for k, table in _KEYS.items() if table and '.' not in k)}"


def _parse_value(text: str) -> Any:
    """Parse a TOML value; anything else, such as a bare word or a path, is a string."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except NOT_TOML:
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _apply_override(data: dict[str, Any], override: str) -> None:
    """Set one ``section.key=value``; a missing table starts from its defaults."""
    key, equals, text = (part.strip() for part in override.partition("="))
    if not equals or not key:
        raise RecipeError(f"--set {override}: expected section.key=value, such as model.encoder=tf_efficientnet_lite0")
    if key not in _KEYS:
        raise RecipeError(f"--set {override}: unknown key {key}; {_suggestion(key)}")
    *tables, last = key.split(".")
    here = data
    defaults: Any = Recipe(name="defaults")
    for table in tables:
        defaults = getattr(defaults, table)
        here = here.setdefault(table, defaults.model_dump(mode="json"))
    here[last] = _parse_value(text)


def _first_problem(error: ValidationError) -> str:
    """The first error of pydantic as: key, value, expectation."""
    problem = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{key} is missing; {message.lower()}"
    if problem["type"] == "value_error":
        if f"{key}.{message.partition(' ')[0]}" in _KEYS:
            return f"{key}.{message}"
        return f"{key}: {message}" if key else message
    return f"{key} is {problem['input']!r}; {message[0].lower()}{message[1:]}"


def load_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe from a TOML file.

    Args:
        path: the TOML file.
        overrides: settings that replace those of the file, each ``section.key=value`` with a TOML value; a bare word is
            a string.

    Raises:
        RecipeError: with the file, the full dotted key, the value and the expectation; for an unknown key with the
            nearest known one.

    Example:
        >>> load_recipe("recipes/small.toml", ["optim.steps=8000"]).optim.steps  # doctest: +SKIP
        8000
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not readable ({error}); expected a recipe such as recipes/small.toml") from error
    try:
        data = tomllib.loads(text)
    except NOT_TOML as error:
        raise RecipeError(f"{path}: not valid TOML ({error}); expected a recipe such as recipes/small.toml") from error
    return recipe_from_table(data, str(path), overrides)


def recipe_from_table(data: dict[str, Any], origin: str, overrides: Sequence[str] = ()) -> Recipe:
    """Make a recipe from the tables of a TOML file; ``origin`` is its name in messages.

    The overrides, as for :func:`load_recipe`, are written into ``data``.

    Raises:
        RecipeError: as for :func:`load_recipe`.
    """
    _refuse_unknown(data, origin)
    for override in overrides:
        _apply_override(data, override)
    if overrides:
        origin = f"{origin} with --set {' --set '.join(overrides)}"
    _refuse_unknown(data, origin)
    try:
        # Strict mode of JSON: "8" is not a number and 1 is not a switch, but an array may become a tuple.
        return Recipe.model_validate_json(json.dumps(data), strict=True)
    except TypeError as error:
        raise RecipeError(f"{origin}: {error}; expected numbers, strings, true, false, arrays, tables") from error
    except ValidationError as error:
        raise RecipeError(f"{origin}: {_first_problem(error)}") from error


def recipe_toml(recipe: Recipe) -> str:
    """A recipe as TOML; :func:`load_recipe` reads it as the same recipe."""
    import tomli_w  # of the extra train

    tables = recipe.model_dump(mode="json", exclude_none=True)
    if recipe.data.shards:
        del tables["data"]["mixture"]
        if "scenes" not in recipe.data.model_fields_set:
            del tables["data"]["scenes"]
    return tomli_w.dumps(tables)
