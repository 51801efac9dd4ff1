"""Recipes: whole training runs as data, read from TOML, refused where they say something that nobody reads.

A relative path in a recipe counts from the current directory, like a path on the command line.
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

Share = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]

NOT_TOML = (ValueError, RecursionError)
"""What tomllib raises: a whole number of thousands of digits and nesting beyond the stack are errors of Python's."""
CROP_MULTIPLE = 32
"""The encoder halves its input five times, so height and width of a crop are multiples of 2**5."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelConfig(_Section):
    """The network: one encoder, one or two decoders, and every constant that shapes its output."""

    encoder: str = Field("tf_efficientnet_lite0", min_length=1, description="Name of the timm encoder.")
    pretrained: bool = Field(True, description="Whether the encoder starts from weights pretrained on ImageNet.")
    decoder_channels: tuple[Count, ...] = Field(
        (128, 80, 48, 32),
        min_length=2,
        max_length=5,
        description="Channels of the decoders' levels, coarsest first; those that the encoder has no level for are "
        "left out.",
    )
    context_channels: Count = Field(
        192, multiple_of=4, description="Channels of the coarsest features, where the decoders begin."
    )
    tasks: Literal["both", "depth", "defocus"] = Field("both", description="Which of the maps the network estimates.")
    soft_connection: bool = Field(
        True, description="Whether the two decoders exchange features at every level (needs both tasks)."
    )
    context: bool = Field(True, description="Whether the coarsest level sees the whole picture by attention.")
    sign: bool = Field(True, description="Whether an output of its own tells the sign of the defocus.")
    context_sign_limit: Positive = Field(
        3.0,
        description="Largest sign logit that the decoders add to the chromatic cue's: they overfit to scenes and are "
        "over-confident.",
    )
    chromatic_cue: bool = Field(
        True, description="Whether the sharpness of the colour channels is compared, which tells the sign of defocus."
    )
    cue_sign_gain: Positive = Field(
        1.5, description="Factor of the chromatic cue's sign logit in the sum: it is under-confident."
    )
    law_path: bool = Field(
        True, description="Whether the signed defocus enters the depth by the lens law (needs both tasks and the sign)."
    )
    law_unit_px: Positive = Field(
        4.0,
        description="Signed CoC in pixels that moves the logit of inverse depth by 1. It is not learned: no loss minds "
        "the scale of inverse depth, so a learned one would only trade the law for the decoder's residual.",
    )
    residual_limit: Positive = Field(
        0.125,
        description="Largest logit that the depth decoder adds to the law's: where the blur is clear it decides, "
        "elsewhere the decoder.",
    )
    residual_slope: Positive = Field(0.25, description="Factor of the depth decoder's logit while it is small.")
    defocus_cap_px: Positive = Field(
        40.0, description="Largest defocus that one pass of the network can state, in pixels of its own input."
    )
    curve_knots_px: tuple[float, ...] = Field(
        (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0),
        min_length=2,
        description="CoC diameters at which the defocus curve has its knots, rising from 0.",
    )
    half_size_pass: bool = Field(
        True, description="Whether inference adds a pass over the photo at half the size, and merges both."
    )
    half_size_weight: Fraction = Field(0.5, description="Weight of the pass at half the size in the logits.")
    half_size_coc_weight: Fraction = Field(0.3, description="Weight of the pass at half the size in the CoC.")
    half_size_coc_px: tuple[Positive, Positive] = Field(
        (12.0, 24.0),
        description="Between these CoC diameters, by the pass at half the size, its weight in the CoC rises to 1: such "
        "blur is half as large there, and well within what training shows.",
    )

    @property
    def largest_defocus_px(self) -> float:
        """Largest defocus that inference can state, in pixels of the network's input."""
        return self.defocus_cap_px * (2.0 if self.half_size_pass else 1.0)

    @model_validator(mode="after")
    def _rising(self) -> Self:
        knots = self.curve_knots_px
        if knots[0] != 0 or any(low >= high for low, high in pairwise(knots)):
            raise ValueError(f"curve_knots_px is {list(knots)}; expected numbers that rise from 0")
        low, high = self.half_size_coc_px
        if low >= high:
            raise ValueError(f"half_size_coc_px is [{low}, {high}]; expected the smaller diameter first")
        return self


DISCS = "discs"
"""Name in the mixture of sharp photos that are blurred whole by one disc of known size."""
DISC_SHARE = 0.14


class _Mixture(_Section):
    @property
    def normalised(self) -> dict[str, float]:
        """The shares by kind, scaled to a sum of 1."""
        shares: dict[str, float] = self.model_dump()
        total = sum(shares.values())
        return {kind: share / total for kind, share in shares.items()}

    @model_validator(mode="after")
    def _some_share(self) -> Self:
        if not sum(self.model_dump().values()) > 0:
            raise ValueError("every share is 0; expected at least one above 0")
        return self


_SHARES: dict[str, Any] = {
    **{kind.name: (Share, Field(0.0, description=f"Share of: {kind.title}.")) for kind in KINDS.values()},
    DISCS: (Share, Field(0.0, description="Share of photos blurred whole by a disc, with a lens's colour error.")),
}
MixtureConfig = create_model("MixtureConfig", __base__=_Mixture, **_SHARES)
MixtureConfig.__doc__ = "Shares of the kinds of scenes in a batch: only ratios count; a kind left out has none."
DEFAULT_MIXTURE = MixtureConfig.model_validate({kind.name: kind.share for kind in KINDS.values()} | {DISCS: DISC_SHARE})


class DataConfig(_Section):
    """What the network is trained on, and how a training crop is made of it."""

    scenes: Path = Field(Path("work/scenes"), description="Folder of the scenes that mddnet build wrote.")
    shards: tuple[str, ...] = Field(
        (),
        description="Shards of mddnet shards to stream instead of scenes: paths or http(s) addresses, with braces such "
        "as train-{000000..000011}.tar. Scenes are then used to measure on, if they are named.",
    )
    shuffle: Count = Field(64, description="Samples of a stream that each worker reads ahead to shuffle them.")
    split: Path = Field(
        Path("../shared/data/split.csv"),
        description="Table place,split: the locations to train on (train) and those to keep out (dev, calib).",
    )
    crop: tuple[Count, Count] = Field(
        (256, 256), description="Height and width of a training crop in pixels, multiples of 32."
    )
    batch_size: Count = Field(8, description="Crops per step.")
    workers: int = Field(
        1,
        ge=0,
        description="What prepares crops: 1 is a thread (of shards a process), more are so many processes; 0 prepares "
        "each batch when it is asked for.",
    )
    mixture: MixtureConfig = Field(
        DEFAULT_MIXTURE, description="Shares of the kinds of scenes; by default those of mddnet.kinds."
    )
    scale_range: tuple[Positive, Positive] = Field(
        (0.3, 0.9), description="Smallest and largest factor by which an image is resized before it is cropped."
    )
    quarter_turns: bool = Field(
        True, description="Whether crops are turned by multiples of 90 degrees, so that depth is read off the blur."
    )
    mirror: bool = Field(True, description="Whether crops are mirrored at random.")
    photometric: Fraction = Field(0.2, description="Strength of the random changes of exposure, contrast and colour.")
    pair_share: Fraction = Field(
        0.5, description="Share of the crops of a batch that come in pairs: two frames of one scene in the same view."
    )
    cache_mb: Count = Field(4000, description="Megabytes of decoded images that each worker may keep in memory.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(side % CROP_MULTIPLE for side in self.crop):
            raise ValueError(f"crop is {list(self.crop)}; expected multiples of {CROP_MULTIPLE}")
        low, high = self.scale_range
        if low > high:
            raise ValueError(f"scale_range is [{low}, {high}]; expected the smaller factor first")
        if self.shards and "mixture" in self.model_fields_set:
            raise ValueError(
                "shards are named, and a mixture too; from shards every sample comes once per epoch: leave the mixture "
                "out, and write shards of the kinds that are wanted (mddnet shards --only)"
            )
        if self.shards and self.pair_share > 0:
            raise ValueError(
                f"pair_share is {self.pair_share} with shards; there the frames of a scene are apart: set pair_share "
                "to 0"
            )
        if self.pair_share > 0 and self.batch_size < 2:
            raise ValueError(
                f"pair_share is {self.pair_share} with batch_size {self.batch_size}; a pair needs at least 2 crops: "
                "set pair_share to 0 or batch_size to 2 or more"
            )
        return self


def _loss(default: float, description: str, *needs: str) -> Any:
    """A field of a loss's weight.

    Args:
        default: of the weight.
        description: one sentence.
        needs: the maps of the network that the loss compares; without one of them it has no term.
    """
    return Field(default, description=description, json_schema_extra={"needs": list(needs)})


class LossConfig(_Section):
    """Weights of the terms of the loss; 0 leaves a term out.

    A new loss is a field here, and a function of the same name that :func:`mddnet.loss.registry.loss_term` registers.
    """

    depth: Weight = _loss(1.0, "Weight of the scale-and-shift-free L1 of inverse depth.", "inv_depth")
    depth_gradient: Weight = _loss(0.5, "Weight of the L1 of the gradients of inverse depth.", "inv_depth")
    ranking: Weight = _loss(1.0, "Weight of the ranking loss on random pairs of clearly different depth.", "inv_depth")
    defocus: Weight = _loss(5.0, "Weight of the L1 of the circle of confusion.", "defocus_px")
    defocus_gradient: Weight = _loss(2.5, "Weight of the L1 of the gradients of the circle of confusion.", "defocus_px")
    sign: Weight = _loss(1.5, "Weight of the cross-entropy of the sign of the defocus.", "sign_logit")
    cue_sign: Weight = _loss(
        2.0, "Weight of the cross-entropy of the sign by the chromatic cue alone.", "cue_sign_logit"
    )
    lens_law: Weight = _loss(
        2.0, "Weight of the departure of the two predicted maps from the lens law.", "inv_depth", "defocus_px"
    )
    synthetic_depth: Fraction = Field(
        0.25, description="Factor of the depth terms on photos with a synthetic depth, where only the blur tells it."
    )

    @classmethod
    def needs(cls) -> dict[str, tuple[str, ...]]:
        """Name of each term -> the maps that it needs."""
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

    lr: Positive = Field(1e-3, description="Peak learning rate of all but the encoder.")
    encoder_lr: float = Field(3e-4, ge=0, description="Peak learning rate of the encoder; 0 freezes it.")
    weight_decay: float = Field(0.01, ge=0, description="Decoupled weight decay.")
    warmup_steps: int = Field(200, ge=0, description="Steps over which the learning rate rises from 0 to its peak.")
    steps: Count = Field(6000, description="Steps of the whole run.")
    schedule: Literal["cosine", "constant"] = Field(
        "cosine", description="Course of the learning rate after the warm-up: a half cosine down to 0, or constant."
    )
    ema: float = Field(0.998, ge=0, lt=1, description="Decay of the moving average of the weights; 0 keeps none.")
    clip_norm: Positive = Field(1.0, description="Largest norm of the gradient; longer ones are scaled down to it.")

    @model_validator(mode="after")
    def _warmup_ends(self) -> Self:
        if self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps is {self.warmup_steps} of {self.steps} steps; expected fewer than steps")
        return self


class TrainConfig(_Section):
    """Where and how the run is carried out."""

    seed: int = Field(0, ge=0, description="Seed of every random choice.")
    start_from: Path | None = Field(
        None, description="Model folder whose weights the run starts from, such as the folder model of another run."
    )
    out: Path = Field(Path("work/run"), description="Folder for checkpoints, logs and the record of the run.")
    log_every: Count = Field(20, description="Steps between two lines of the log.")
    save_every: Count = Field(200, description="Steps between two checkpoints, from which an interrupted run goes on.")
    validate_every: int = Field(
        500, ge=0, description="Steps between two measurements on held-out locations; 0: only at the end."
    )
    patience: int = Field(
        0,
        ge=0,
        description="Measurements in a row without a better one after which the run stops; the best weights are kept. "
        "0: the run goes to its end and its last weights are kept.",
    )
    weight_interpolation: float = Field(
        0.0, ge=0, lt=1, description="Weight of the weights of start_from in their mean with the trained ones."
    )
    keep_curve: bool = Field(
        False,
        description="Whether the defocus curve stays that of start_from, or none without a start; otherwise it is "
        "fitted anew to the defocus response on photos and captured stacks.",
    )
    threads: Count = Field(2, description="Threads that the training process computes with on a CPU.")
    channels_last: bool = Field(
        True, description="Whether the channels of a pixel lie side by side in memory, faster on a CPU."
    )
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = Field(
        "32-true", description="Number format of the computation, as Lightning Fabric names it."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.patience and not self.validate_every:
            raise ValueError(
                f"patience is {self.patience} and validate_every is 0; a run that is to stop early is measured on its "
                "way: set validate_every"
            )
        if self.weight_interpolation and self.start_from is None:
            raise ValueError(f"weight_interpolation is {self.weight_interpolation}, but there is no start_from")
        return self


class Recipe(_Section):
    """A whole training run as data."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Name of the recipe and of its model.")
    description: str = Field("", description="One sentence on what the recipe is for.")
    model: ModelConfig = Field(ModelConfig(), description="The network.")
    data: DataConfig = Field(DataConfig(), description="The training data.")
    loss: LossConfig = Field(LossConfig(), description="The loss.")
    optim: OptimConfig = Field(OptimConfig(), description="The optimiser.")
    train: TrainConfig = Field(TrainConfig(), description="The run.")

    @model_validator(mode="after")
    def _model_can_do_what_the_loss_needs(self) -> Self:
        model, loss = self.model, self.loss
        maps = {"both": ("inv_depth", "defocus_px"), "depth": ("inv_depth",), "defocus": ("defocus_px",)}[model.tasks]
        if model.sign and model.tasks != "depth":
            # without the cue its logit has no term, and no complaint: the sign alone is worth training
            maps = (*maps, "sign_logit", "cue_sign_logit")
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
                f"what that leaves out; add --set {' --set '.join(changes)}, or write it into the recipe"
            )
        return self

    @property
    def config_hash(self) -> str:
        """Twelve hexadecimal digits over all that decides the result; paths, logging and process counts stay out.

        What a stream gives depends on the number of processes, too: the checkpoint remembers it.
        """
        data = self.model_dump(mode="json")
        del data["description"]
        if self.train.patience:
            data["train"]["measured_every"] = self.train.validate_every
        for section, keys in _NOT_DECIDING.items():
            for key in keys:
                del data[section][key]
        del data["data"]["mixture" if self.data.shards else "shuffle"]
        data["data"]["streamed"] = bool(self.data.shards)
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:12]


_NOT_DECIDING = {
    "data": ("scenes", "shards", "split", "workers", "cache_mb"),
    "train": ("out", "log_every", "save_every", "validate_every", "threads", "channels_last"),
}


def _known_keys(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel] | None]]:
    """Every key below a section by its full dotted name, with the model of those that are tables."""
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
            raise RecipeError(f"{origin}: {key} is {value!r}; expected a table, with {_first_key_of(key)} in it")
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


def _first_key_of(table: str) -> str:
    return next(key for key in _KEYS if key.startswith(f"{table}."))


def _parse_value(text: str) -> Any:
    """A TOML value; what is none (a bare word, a path) is a string."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except NOT_TOML:
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _apply_override(data: dict[str, Any], override: str) -> None:
    """Set one ``section.key=value``; a table that the recipe leaves out starts from its defaults."""
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
    """The first complaint of pydantic as: key, value received, what was expected."""
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
        overrides: settings that replace those of the file, each ``section.key=value`` with a TOML value; a value that
            is no TOML, such as a bare word, is taken as a string.

    Raises:
        RecipeError: naming the file, the key by its full dotted name, the value and what was expected; for an unknown
            key with the nearest known one.

    Example:
        >>> load_recipe("recipes/small.toml", ["optim.steps=8000"]).optim.steps  # doctest: +SKIP
        8000
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not readable ({error}); expected a recipe such as recipes/small.toml") from error
    try:
        data = tomllib.loads(text)
    except NOT_TOML as error:
        raise RecipeError(f"{path}: not valid TOML ({error}); expected a recipe such as recipes/small.toml") from error
    return recipe_from_table(data, str(path), overrides)


def recipe_from_table(data: dict[str, Any], origin: str, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe from what a TOML file holds.

    Args:
        data: the tables; the overrides are written into them.
        origin: what messages say that it comes from.
        overrides: as for :func:`load_recipe`.

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
        # Strict, by way of JSON: "8" is no number and 1 is no switch, while an array may still become a tuple.
        return Recipe.model_validate_json(json.dumps(data), strict=True)
    except TypeError as error:
        raise RecipeError(f"{origin}: {error}; expected numbers, strings, true, false, arrays, tables") from error
    except ValidationError as error:
        raise RecipeError(f"{origin}: {_first_problem(error)}") from error


def recipe_toml(recipe: Recipe) -> str:
    """A recipe as the text of a TOML file that :func:`load_recipe` reads as the same recipe."""
    import tomli_w  # of the extra train

    tables = recipe.model_dump(mode="json", exclude_none=True)
    if recipe.data.shards:
        del tables["data"]["mixture"]
        if "scenes" not in recipe.data.model_fields_set:
            del tables["data"]["scenes"]
    return tomli_w.dumps(tables)
