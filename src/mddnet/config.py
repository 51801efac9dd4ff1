"""Recipes: training runs as TOML files. Unknown keys and contradictory settings are refused.

A relative path in a recipe is relative to the current directory, like a path on the command line.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from collections.abc import Iterator, Sequence
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
    decoder_channels: tuple[Count, Count, Count] = Field(
        (128, 80, 48), description="Channels of the decoders at strides 16, 8 and 4."
    )
    context_channels: Count = Field(
        192, multiple_of=4, description="Channels of the coarsest features, the input of the decoders."
    )
    fine_channels: int = Field(
        32,
        ge=0,
        description="Channels of the features of stride 2 that enter the defocus decoder at stride 4; 0: none.",
    )
    tasks: Literal["both", "depth", "defocus"] = Field("both", description="Maps that the network estimates.")
    soft_connection: bool = Field(
        True, description="Whether the two decoders exchange features at strides 16 and 8 (needs both tasks)."
    )
    context: bool = Field(True, description="Whether the coarsest level has an attention block over the whole image.")
    sign: bool = Field(True, description="Whether the network also estimates the sign of the defocus.")
    camera: bool = Field(True, description="Whether it also estimates field of view and median depth.")
    defocus_cap_px: Positive = Field(
        64.0, description="Largest defocus that the network can predict, in pixels of its input."
    )


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
        (192, 256), description="Height and width of a training crop in pixels, multiples of 32; a quarter is upright."
    )
    late_crop: tuple[Count, Count] = Field((384, 512), description="The same for the last share of the steps.")
    late_share: Fraction = Field(0.25, description="Share of the steps with late_crop, at the end.")
    batch_size: Count = Field(16, description="Crops per step.")
    workers: int = Field(
        1,
        ge=0,
        description="Workers that prepare batches: 1 is a thread (with shards a process), more are processes; with 0 "
        "batches are prepared in the training loop.",
    )
    mixture: MixtureConfig = Field(
        DEFAULT_MIXTURE, description="Shares of the kinds of scenes; by default those of mddnet.kinds."
    )
    window: tuple[Positive, Positive] = Field(
        (0.5, 1.0), description="Smallest and largest side of a crop, as a share of the largest that fits the scene."
    )
    sharp_share: Fraction = Field(
        0.33, description="Share of samples that are sharp everywhere, as most photos of the world are."
    )
    rotated_share: Fraction = Field(0.06, description="Share of crops that are rotated by 90, 180 or 270 degrees.")
    mirror: bool = Field(True, description="Whether crops are mirrored at random.")
    photometric: Fraction = Field(
        0.5, description="Strength of the random changes of exposure, contrast, colour, noise and sharpness."
    )
    cache_mb: Count = Field(4000, description="Memory for decoded images per worker, in megabytes.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in ("crop", "late_crop"):
            if any(size % CROP_MULTIPLE for size in getattr(self, name)):
                raise ValueError(f"{name} is {list(getattr(self, name))}; expected multiples of {CROP_MULTIPLE}")
        low, high = self.window
        if not low <= high <= 1:
            raise ValueError(f"window is [{low}, {high}]; expected the smaller share first, both at most 1")
        if self.shards and "mixture" in self.model_fields_set:
            raise ValueError(
                "shards and a mixture are both given, but every sample of a shard is used once per epoch: remove the "
                "mixture, and write shards of the wanted kinds only (mddnet shards --only)"
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
    depth_gradient: Weight = _loss(
        0.5, "Weight of the L1 of the gradients of inverse depth, where it is exact.", "inv_depth"
    )
    ranking: Weight = _loss(1.0, "Weight of the ranking loss on random pairs of clearly different depth.", "inv_depth")
    defocus: Weight = _loss(5.0, "Weight of the Huber loss of the square root of the CoC.", "defocus_px")
    defocus_gradient: Weight = _loss(2.5, "Weight of the L1 of the gradients of that root.", "defocus_px")
    sign: Weight = _loss(1.0, "Weight of the cross-entropy of the sign of the defocus.", "sign_logit")
    lens_law: Weight = _loss(
        0.2, "Weight of the deviation of the depth from the predicted CoC by the lens law.", "inv_depth", "defocus_px"
    )
    depth_uncertainty: Weight = _loss(
        0.1,
        "Weight of the Laplace likelihood of the errors of inverse depth; it trains their scale only.",
        "inv_depth",
        "inv_depth_log_sigma",
    )
    defocus_uncertainty: Weight = _loss(
        0.1,
        "Weight of the Laplace likelihood of the errors of the root of the CoC; it trains their scale only.",
        "defocus_px",
        "defocus_log_sigma",
    )
    camera: Weight = _loss(0.1, "Weight of the Laplace likelihood of field of view and median depth.", "camera")
    synthetic_depth: Fraction = Field(
        0.25, description="Factor of the depth terms on photos with synthetic depth, where only blur indicates depth."
    )
    pseudo_depth: Fraction = Field(0.5, description="Factor of the depth terms on photos with pseudo-labels.")
    uncertainty_from: Fraction = Field(
        0.15, description="Share of the steps before the two terms of uncertainty; earlier errors say little."
    )

    @classmethod
    def needs(cls) -> dict[str, tuple[str, ...]]:
        """Maps that each term needs, by the name of the term."""
        return {
            name: tuple(info.json_schema_extra["needs"])  # type: ignore
            for name, info in cls.model_fields.items()
            if info.json_schema_extra
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
    schedule: Literal["cosine", "constant", "linear_decay"] = Field(
        "cosine",
        description="Learning rate after the warm-up: half a cosine, constant, or constant with a decay at the end.",
    )
    decay_share: Fraction = Field(0.25, description="Share of the steps with linear_decay, at the end.")
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
        maps = set[str]()
        if model.tasks != "defocus":
            maps |= {"inv_depth", "inv_depth_log_sigma"} | ({"camera"} if model.camera else set())
        if model.tasks != "depth":
            maps |= {"defocus_px", "defocus_log_sigma"} | ({"sign_logit"} if model.sign else set())
        changes = [
            f"loss.{term}=0"
            for term, needs in loss.needs().items()
            if getattr(loss, term) > 0 and not set(needs) <= maps
        ]
        if model.tasks != "both" and model.soft_connection:
            changes.append("model.soft_connection=false")
        if model.tasks == "depth" and model.sign:
            changes.append("model.sign=false")
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


def _known_keys(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, bool]]:
    """All keys of a table by their full dotted name, and whether they are tables."""
    for name, value in table.items():
        yield prefix + name, isinstance(value, dict)
        if isinstance(value, dict):
            yield from _known_keys(value, f"{prefix}{name}.")


_KEYS = dict(_known_keys(Recipe(name="defaults").model_dump()))


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
        if not isinstance(here, dict):
            return  # the validation of the recipe refuses it
    here[last] = _parse_value(text)


def _first_problem(error: ValidationError) -> str:
    """The first error of pydantic, unknown keys before others, as: key, value, expectation."""
    structure = ("extra_forbidden", "model_type")
    problem = min(error.errors(include_url=False), key=lambda one: one["type"] not in structure)
    key = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key}; {_suggestion(key)}"
    if problem["type"] == "model_type":
        example = next(known for known in _KEYS if known.startswith(f"{key}."))
        return f"{key} is {problem['input']!r}; expected a table, with {example} in it"
    if problem["type"] == "missing":
        return f"{key} is missing; {message.lower()}"
    if problem["type"] == "value_error":
        if f"{key}.{message.partition(' ')[0]}" in _KEYS:
            return f"{key}.{message}"
        return f"{key}: {message}" if key else message
    return f"{key} is {problem['input']!r}; {message[0].lower()}{message[1:]}"


def load_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe from a TOML file.

    The overrides replace settings of the file; each is ``section.key=value`` with a TOML value, or a bare word as a
    string.

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

    The overrides, as for :func:`load_recipe`, are written into ``data``. RecipeError: as for :func:`load_recipe`.
    """
    for override in overrides:
        _apply_override(data, override)
    if overrides:
        origin = f"{origin} with --set {' --set '.join(overrides)}"
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
