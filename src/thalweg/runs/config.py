"""The configuration of a training run; every field is a flag of `thalweg train`."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from thalweg._notebook import shown_as
from thalweg.data.label_sets import Labels  # noqa: TC001 - the options are read from the annotations
from thalweg.errors import RunError, UsageError
from thalweg.runs.options import Option, check_all, options_of, shown, within


if TYPE_CHECKING:
    from collections.abc import Mapping

ClassWeights = Literal["none", "balanced"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Keep = Literal["best", "last"]
Layout = Literal["auto", "channels-first", "channels-last"]
Loss = Literal["cross-entropy", "mse", "binary-cross-entropy"]
Norms = Literal["train", "frozen"]
OnBadImage = Literal["skip", "stop"]
Precision = Literal["auto", "fp32", "bf16"]
Resize = Literal["stretch", "center-crop"]
Sampling = Literal["shuffled", "balanced"]

ALL_STAGES: Final = "all"  # of `freeze`: all but the classifier
_MOST_STAGES: Final = 9999

# Runs of format 1 (0.1.0) use other names for these fields and values.
FIELDS_OF_FORMAT_1: Final = {
    "clip": "clip_grad_norm",
    "fit": "resize",
    "keep_epochs": "save_every_epoch",
    "select": "keep",
}
RESIZE_OF_FORMAT_1: Final = {"squash": "stretch", "crop": "center-crop"}


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """Everything needed, besides the photos, to repeat a training run.

    The defaults are simple: AdamW, photos of one size. `thalweg train` starts from `recipe("standard")`.

    Attributes:
        model: a name from `thalweg models`, or `timm:NAME`.
        weights: where the network's first weights come from: a run's folder, a `.safetensors` or `.pth` file,
            `efficientnet-lite0`, `timm:NAME` or `hf-hub:NAME`. The last layer starts new, and photos are prepared as
            the weights expect. None: random weights.
        size: side of the network's input, in pixels; None: the size of the photos, at most `max_size`.
        max_size: in pixels, used if `size` is None. Larger photos are shrunk to it; smaller ones are never enlarged.
        smaller_sizes: sides, in pixels, used before `size`: the first two of `64>96>128`. Each gets an equal part of
            the run; evaluation always uses `size`. If `size` is None, only those below the photos' size are used.
        epochs: passes over the training split; None when `budget` ends the training.
        budget: seconds from the start to the last evaluation; the schedule is fitted to it. None: no limit.
        batch_size: photos per step.
        shards: virtual shards of a batch, for trainings on many processes: each has its own batch-norm statistics and
            random draws, and their gradients are summed in a fixed order, so the weights do not depend on the number of
            processes or threads. None: the batch stays whole; a training on several processes chooses a number.
        optimizer: a name from torch.optim, in lower case; `muon`; `schedule-free`, for a schedule that does not decay;
            or `pytorch_optimizer:NAME`, from that library (extra `optimizers`).
        lr: base learning rate; the schedule multiplies it.
        layer_decay: learning rate of each stage relative to the next one nearer to the classifier, in (0, 1]; the
            classifier has `lr` itself.
        find_lr: search for `lr` before training (`thalweg.find_lr`); if the search finds none, `lr` stays.
        weight_decay: as in torch.optim; if the optimizer decouples it (adamw), biases and norms are exempt. None:
            0.05 if decoupled, else 0.
        momentum: for optimizers that have it (sgd, rmsprop, muon); None: torch's default.
        schedule: the factor of the learning rate over the run, in the language of `thalweg schedule`.
        augment: a name from `AUGMENTATIONS`.
        mixup: fraction of the photos that are blended with another photo of their batch, target included, in [0, 1].
        cutmix: fraction of the photos in which a rectangle is replaced with another photo's, target included, in
            [0, 1]; the sum with `mixup` is at most 1. Both are off for the last tenth of the run.
        drop_path: probability of skipping the last residual block in a step, lower for earlier blocks (stochastic
            depth), in [0, 1).
        freeze: number of leading stages that keep their weights and batch-norm statistics; `all`: all but the
            classifier; None: none.
        norms: `frozen` keeps the batch-norm statistics of all stages, whose gains and biases still train.
        fit_head: before the first step, fit the classifier to the features of the network as it is: logistic regression
            with an L2 penalty that photos left out of the fit choose. With `freeze="all"` this is the whole training,
            and an epoch is one iteration of the fit.
        normalize: subtract the training split's mean and divide by its standard deviation, per channel.
        classes: names of the classes: `food11`, or a text file with one name per line; None: from the folders.
        photo_layout: `auto`, `flat`, `class-folders`, `names`, `csv`, or `class-folders:N`: the class is the N-th
            folder of a photo's path, from 1; `thalweg.data.LayoutChoice` has the details.
        table: the table that lists the photos, in their folder or elsewhere; None: found beside the photos.
        path_column: the table's column of paths; None: by its usual names.
        label_column: the table's column of labels; None: by its usual names.
        labels: `one` label a photo, or `several`, which a table lists as `cat;dog` or in a column of 0 and 1 for each
            class; `auto`: by the table's own rows.
        corrections: a table that relabels or drops some of the photos, as `thalweg review` leaves it; None: labels as
            they are. The run keeps a copy.
        encoding: of the names in an archive, such as `gb18030`; None: by plausibility.
        valid_fraction: fraction of the training split to set aside if there is no validation split, in (0, 1).
        folds: number of runs that each validate on a different part of the labeled photos, at least 2; None: keep the
            existing splits.
        fold: the fold to validate on, from 0 to `folds` - 1; None: all, one after the other.
        resize: how a photo becomes square: `stretch` (uses all of it) or `center-crop`.
        loss: `cross-entropy`, or `mse` (mean squared error between softmax and one-hot target). Photos with several
            labels have `binary-cross-entropy` (a sigmoid for each class), instead of the first.
        label_smoothing: fraction of the target spread over all classes, in [0, 1); of several labels, over yes and no.
        class_weights: `balanced` weights each photo by photos / (classes · photos of its class), so that rare classes
            count as much as frequent ones.
        sampling: `shuffled` takes each photo once an epoch. `balanced` takes as many photos, but all classes equally
            often: those of rare classes several times, and some of frequent ones in a later epoch. The fit of a
            classifier has no batches; it weights the classes instead.
        clip_grad_norm: largest gradient norm; longer gradients are scaled down to it. None: no clipping.
        ema: decay of the exponential moving average of the weights, in [0, 1); the average is evaluated and kept.
            0: no average.
        keep: the weights to keep for prediction: those of the `last` epoch, or the `best` on validation.
        evaluate_every: epochs between evaluations; the last epoch is always evaluated.
        patience: epochs without a better validation accuracy (of several labels, mean average precision) after which
            training stops, at an evaluation; 0: never.
        checkpoint_every: seconds between checkpoints within an epoch. One is also saved at the end of an epoch, unless
            saving would take more than a twentieth of the time.
        save_every_epoch: keep the initial weights and those of every epoch, for `thalweg landscape --plane
            trajectory`.
        seed: for weights, order, augmentation, and the split if the photos have none.
        device: `auto` uses a GPU if there is one.
        threads: CPU threads for one step; None: the value of `OMP_NUM_THREADS`, else one per usable core.
        precision: `fp32`, `bf16`, or `auto`, which measures both and takes the faster.
        layout: memory layout: `channels-first`, `channels-last`, or `auto`, which measures both and takes the faster.
        cache_limit: space that decoded photos may take on the disk and in memory, in GB. Photos that take more are
            kept as JPEG of the stored size, and decoded ahead of the step. None: what is free on the disk, less a
            reserve, and half of the free memory.
        on_bad_image: `skip` (the photo is named, counted and reported) or `stop`.
    """

    model: str = "resnet18-half"
    weights: str | None = None
    size: int | None = field(default=None, metadata=within(1, 4096, unit="px"))
    max_size: int = field(default=128, metadata=within(1, 4096, unit="px"))
    smaller_sizes: tuple[int, ...] = field(default=(), metadata=within(1, 4096, unit="px"))
    epochs: int | None = field(default=40, metadata=within(1, 1_000_000))
    budget: float | None = field(default=None, metadata=within(0, open_least=True, unit="s"))
    batch_size: int = field(default=64, metadata=within(1, 65_536))
    shards: int | None = field(default=None, metadata=within(1, 65_536))
    optimizer: str = "adamw"
    lr: float = field(default=2e-3, metadata=within(0, open_least=True))
    layer_decay: float = field(default=1.0, metadata=within(0, 1, open_least=True))
    find_lr: bool = False
    weight_decay: float | None = field(default=None, metadata=within(0, 1e6))
    momentum: float | None = field(default=None, metadata=within(0, 1))
    schedule: str = "warmup(5%) > cosine"
    augment: str = "standard"
    mixup: float = field(default=0.0, metadata=within(0, 1))
    cutmix: float = field(default=0.0, metadata=within(0, 1))
    drop_path: float = field(default=0.0, metadata=within(0, 1, open_most=True))
    freeze: str | None = None
    norms: Norms = "train"
    fit_head: bool = False
    normalize: bool = True
    classes: str | None = None
    photo_layout: str = "auto"
    table: str | None = None
    path_column: str | None = None
    label_column: str | None = None
    labels: Labels = "auto"
    corrections: str | None = None
    encoding: str | None = None
    valid_fraction: float = field(default=0.2, metadata=within(0, 1, open_least=True, open_most=True))
    folds: int | None = field(default=None, metadata=within(2, 1000))
    fold: int | None = field(default=None, metadata=within(0, 999))
    resize: Resize = "stretch"
    loss: Loss = "cross-entropy"
    label_smoothing: float = field(default=0.1, metadata=within(0, 1, open_most=True))
    class_weights: ClassWeights = "none"
    sampling: Sampling = "shuffled"
    clip_grad_norm: float | None = field(default=None, metadata=within(0, open_least=True))
    ema: float = field(default=0.0, metadata=within(0, 1, open_most=True))
    keep: Keep = "last"
    evaluate_every: int = field(default=1, metadata=within(1, 1_000_000))
    patience: int = field(default=0, metadata=within(0, 1_000_000))
    checkpoint_every: float = field(default=120.0, metadata=within(0, open_least=True, unit="s"))
    save_every_epoch: bool = False
    seed: int = field(default=0, metadata=within(0, 2**32 - 1))
    device: Device = "auto"
    threads: int | None = field(default=None, metadata=within(1, 1024))
    precision: Precision = "auto"
    layout: Layout = "auto"
    cache_limit: float | None = field(default=None, metadata=within(0, open_least=True, unit="GB"))
    on_bad_image: OnBadImage = "skip"

    _repr_html_ = shown_as("config")

    def __post_init__(self) -> None:
        for name, value in check_all(self, _options(type(self))).items():
            object.__setattr__(self, name, value)
        if self.epochs is None and self.budget is None:
            raise UsageError("training.no_end")
        if self.ema and self.optimizer == "schedule-free":
            raise UsageError("training.averaged_twice")
        if self.layer_decay != 1 and self.optimizer == "muon":
            raise UsageError("training.muon_layer_decay", value=self.layer_decay)
        if self.freeze is not None and self.freeze != ALL_STAGES and not _is_count(self.freeze):
            raise UsageError("training.bad_freeze", value=shown(self.freeze))
        if self.only_head and self.find_lr:
            raise UsageError("training.head_has_no_rate")
        if self.fold is not None and self.fold >= (self.folds or 0):
            raise UsageError("training.bad_fold", value=self.fold, most=max((self.folds or 0) - 1, 0))
        if self.mixup + self.cutmix > 1:
            raise UsageError("training.mixed_twice", mixup=self.mixup, cutmix=self.cutmix)
        if self.sampling == "balanced" and self.class_weights == "balanced":
            raise UsageError("training.balanced_twice")

    @property
    def is_sharded(self) -> bool:
        """Whether a step takes its batch in shards; one shard is the whole batch."""
        return (self.shards or 1) > 1

    @property
    def only_head(self) -> bool:
        """Whether the fit of the classifier is the whole training."""
        return self.fit_head and self.freeze == ALL_STAGES

    def settle(self, size: int) -> SettledConfig:
        """Fix the size; `smaller_sizes` that are not below a size taken from the photos are dropped."""
        smaller = tuple(side for side in self.smaller_sizes if self.size is not None or side < size)
        return SettledConfig(**{**_values(self), "size": size, "smaller_sizes": smaller})

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are not None, for `config.toml`, since TOML has no null."""
        return {name: value for name, value in _values(self).items() if value is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read the configuration that `to_dict` wrote; a missing optional field means None.

        Raises:
            RunError: a field of another version.
            UsageError: a value has the wrong type or is out of range.
        """
        options = training_options()
        unknown = values.keys() - options.keys()
        if unknown:
            raise RunError("runs.unknown_fields", names=", ".join(sorted(unknown)))
        missing = dict.fromkeys(name for name, option in options.items() if option.optional)
        return cls(**{**missing, **values})


_UNUSED_BY_FIT = frozenset(
    (
        *("optimizer", "lr", "layer_decay", "weight_decay", "momentum", "schedule", "clip_grad_norm", "ema"),
        *("batch_size", "augment", "mixup", "cutmix", "drop_path", "label_smoothing"),
    )
)


def without_effect(values: Mapping[str, Any]) -> frozenset[str]:
    """Fields of a configuration that its training does not use: the fit of a classifier alone has no optimizer.

    Args:
        values: as `TrainingConfig.to_dict` writes them.

    Example:
        >>> sorted(without_effect({"fit_head": True, "freeze": "all"}))[:3]
        ['augment', 'batch_size', 'clip_grad_norm']
        >>> without_effect({"optimizer": "sgd"})
        frozenset()
    """
    return _UNUSED_BY_FIT if values.get("fit_head") is True and values.get("freeze") == ALL_STAGES else frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class SettledConfig(TrainingConfig):
    """The configuration of a run, with its size known."""

    size: int = field(default=128, metadata=within(1, 4096, unit="px"))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sides in pixels, one for each equal part of the run."""
        return (*self.smaller_sizes, self.size)


def translated(values: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the fields and values of a configuration of format 1 to the current ones."""
    found = {FIELDS_OF_FORMAT_1.get(name, name): value for name, value in values.items()}
    if isinstance(found.get("resize"), str):
        found["resize"] = RESIZE_OF_FORMAT_1.get(found["resize"], found["resize"])
    return found


def training_options() -> dict[str, Option]:
    """Return every field of `TrainingConfig` by name: its flag, kind and range."""
    return _options(TrainingConfig)


def _is_count(text: str) -> bool:
    """Whether a text is a number of stages."""
    return text.isascii() and text.isdecimal() and int(text[:5]) in range(1, _MOST_STAGES + 1)


@cache
def _options(config: type) -> dict[str, Option]:
    return options_of(config)


def _values(config: TrainingConfig) -> dict[str, Any]:
    return {one.name: getattr(config, one.name) for one in fields(config)}
