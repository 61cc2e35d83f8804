"""What a training is asked to do: every field is a flag of `thalweg train`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, Self, get_args

from thalweg.errors import RunError, UnknownNameError, UsageError


ClassWeights = Literal["none", "balanced"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Layout = Literal["auto", "channels-first", "channels-last"]
Loss = Literal["cross-entropy", "mse"]
OnBadImage = Literal["skip", "stop"]
Precision = Literal["auto", "fp32", "bf16"]
Resize = Literal["stretch", "center-crop"]
Select = Literal["best", "last"]
_CHOICES = {
    "class_weights": ClassWeights,
    "device": Device,
    "layout": Layout,
    "loss": Loss,
    "on_bad_image": OnBadImage,
    "precision": Precision,
    "resize": Resize,
    "select": Select,
}
_OPTIONAL = ("size", "epochs", "budget", "weight_decay", "momentum", "classes", "clip", "threads", "folds", "fold")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """All that is needed, beside the photos, to do a training again.

    The defaults are plain: AdamW, photos of one size. What the command line takes is `recipe("standard")`.

    Attributes:
        model: a name of `thalweg models`, or `timm:NAME`.
        size: side of the pictures that the network sees, in pixels; None: the photos' own, and `max_size` at most.
        max_size: in pixels, where `size` is None: photos are shrunk to it, and never enlarged.
        smaller_sizes: sides, in pixels, that it sees before: of `64>96>128` the first two. Each has an equal part of
            the training; evaluation is always at `size`. Where `size` is None, those that are not below it fall away.
        epochs: passes over the training split; None when `budget` ends the training.
        budget: seconds from start to the last evaluation; the schedule anneals to end with it. None: no limit.
        batch_size: photos a step.
        optimizer: a name of torch.optim, in lower case; `muon`; `schedule-free`, for a schedule that does not fall; or
            `pytorch_optimizer:NAME`, of that library (extra `optimizers`).
        lr: learning rate that the schedule multiplies.
        find_lr: look for `lr` before the training (`thalweg.find_lr`); where nothing is found the `lr` given stays.
        weight_decay: torch.optim's; where the optimizer decouples it (adamw) not applied to biases and norms. None:
            0.05 where it is decoupled, else 0.
        momentum: for the optimizers that have it (sgd, rmsprop, muon); None: torch's default.
        schedule: the factor over the training, in the language of `thalweg schedule`.
        augment: a name of `AUGMENTATIONS`.
        mixup: share of the photos that are blended with another of their batch, in [0, 1]; the target is blended, too.
        cutmix: share of the photos in which a rectangle is another's, in [0, 1]; with `mixup` 1 at most. Both rest in
            the last tenth of the training.
        drop_path: share of the photos for which the last residual block is left out of a step, in [0, 1); less for
            earlier blocks (stochastic depth). 0: none.
        normalize: subtract the training split's mean and divide by its standard deviation, a channel.
        classes: names of the classes: `food11`, or a text file with one name a line; None: from the folders.
        valid_fraction: share of the training split that is set aside where there is no validation split, in (0, 1).
        folds: trainings that each validate on another part of the training and validation photos taken together, at
            least 2; None: the splits are as they are.
        fold: which of the folds this training validates on, in 0 to `folds` - 1; None: all, one after the other.
        resize: how a photo becomes a square: `stretch` (all of it) or `center-crop` (its middle).
        loss: `cross-entropy`, or `mse` (mean squared error between softmax and one-hot target).
        label_smoothing: share of the target spread over all classes, in [0, 1).
        class_weights: `balanced` weighs every photo by photos / (classes · photos of its class), so that rare classes
            count as much as frequent ones.
        clip: largest gradient norm, longer gradients are shortened to it; None: no clipping.
        ema: of the weights an average is kept that forgets 1 - `ema` of itself a step, in [0, 1), and it is what is
            evaluated and kept. 0: none.
        select: which weights are kept to predict with: those of the `last` epoch, or of the `best` on validation.
        evaluate_every: epochs from one evaluation to the next; the last epoch always has one.
        patience: epochs without a better validation accuracy after which the training stops, at an evaluation; 0:
            never.
        checkpoint_every: seconds from one checkpoint to the next within an epoch; one is also kept at an epoch's end,
            unless that would take more than a twentieth of the time.
        keep_epochs: keep the weights of every epoch, and the initial ones, for `thalweg landscape --plane trajectory`.
        seed: of weights, order, views, and the split when the photos have none.
        device: `auto` takes a GPU when there is one.
        threads: of the processor for one step; None: what `OMP_NUM_THREADS` says, else one a usable core.
        precision: `auto` measures; else `fp32` or `bf16`.
        layout: `auto` measures; else `channels-first` or `channels-last`.
        on_bad_image: `skip` (named, counted, reported) or `stop`.
    """

    model: str = "resnet18-half"
    size: int | None = None
    max_size: int = 128
    smaller_sizes: tuple[int, ...] = ()
    epochs: int | None = 40
    budget: float | None = None
    batch_size: int = 64
    optimizer: str = "adamw"
    lr: float = 2e-3
    find_lr: bool = False
    weight_decay: float | None = None
    momentum: float | None = None
    schedule: str = "warmup(5%) > cosine"
    augment: str = "standard"
    mixup: float = 0.0
    cutmix: float = 0.0
    drop_path: float = 0.0
    normalize: bool = True
    classes: str | None = None
    valid_fraction: float = 0.2
    folds: int | None = None
    fold: int | None = None
    resize: Resize = "stretch"
    loss: Loss = "cross-entropy"
    label_smoothing: float = 0.1
    class_weights: ClassWeights = "none"
    clip: float | None = None
    ema: float = 0.0
    select: Select = "last"
    evaluate_every: int = 1
    patience: int = 0
    checkpoint_every: float = 120.0
    keep_epochs: bool = False
    seed: int = 0
    device: Device = "auto"
    threads: int | None = None
    precision: Precision = "auto"
    layout: Layout = "auto"
    on_bad_image: OnBadImage = "skip"

    def __post_init__(self) -> None:
        self._check_ranges()
        for field, choices in _CHOICES.items():
            allowed = get_args(choices)
            if getattr(self, field) not in allowed:
                raise UnknownNameError(field, getattr(self, field), allowed)

    def _check_ranges(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            UsageError: which option, what was got, what it must be.
        """
        ranges = {
            "size": (1, 4096),
            "max_size": (1, 4096),
            "epochs": (1, 1_000_000),
            "batch_size": (1, 65_536),
            "weight_decay": (0, 1e6),
            "momentum": (0, 1),
            "folds": (2, 1000),
            "mixup": (0, 1),
            "cutmix": (0, 1),
            "evaluate_every": (1, 1_000_000),
            "patience": (0, 1_000_000),
            "seed": (0, 2**32 - 1),
            "threads": (1, 1024),
        }
        for field, (least, most) in ranges.items():
            value = getattr(self, field)
            if value is not None and not least <= value <= most:
                raise UsageError(
                    "training.out_of_range", option=option_name(field), value=value, least=least, most=most
                )
        for field in ("budget", "lr", "clip", "checkpoint_every"):
            value = getattr(self, field)
            if value is not None and not 0 < value < float("inf"):
                raise UsageError("training.not_positive", option=option_name(field), value=value)
        self._check_shares()
        if any(not 1 <= size <= 4096 for size in self.smaller_sizes):
            raise UsageError("training.bad_sizes", value=">".join(map(str, self.smaller_sizes)))
        if self.epochs is None and self.budget is None:
            raise UsageError("training.no_end")

    def _check_shares(self) -> None:
        """The same for shares, whose ranges are half open, or which depend on each other."""
        if not 0 <= self.label_smoothing < 1:
            raise UsageError("training.bad_smoothing", value=self.label_smoothing)
        for field in ("drop_path", "ema"):
            if not 0 <= getattr(self, field) < 1:
                raise UsageError("training.not_a_share", option=option_name(field), value=getattr(self, field))
        if self.ema and self.optimizer == "schedule-free":
            raise UsageError("training.averaged_twice")
        if self.fold is not None and not 0 <= self.fold < (self.folds or 0):
            raise UsageError("training.bad_fold", value=self.fold, most=max((self.folds or 0) - 1, 0))
        if self.mixup + self.cutmix > 1:
            raise UsageError("training.mixed_twice", mixup=self.mixup, cutmix=self.cutmix)
        if not 0 < self.valid_fraction < 1:
            raise UsageError("training.bad_fraction", value=self.valid_fraction)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sides in pixels, one for each equal part of the training, when `size` is settled."""
        assert self.size is not None, "sizes are settled first"  # noqa: S101 - for the type checker
        return (*self.smaller_sizes, self.size)

    def to_dict(self) -> dict[str, Any]:
        """The fields that are set, for `config.toml`, which has no null."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Back from `to_dict`; a field that is missing was None.

        Raises:
            RunError: a field of another version.
        """
        names = {field.name for field in fields(cls)}
        unknown = values.keys() - names
        if unknown:
            raise RunError("training.unknown_fields", names=", ".join(sorted(unknown)))
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**{**dict.fromkeys(_OPTIONAL), **values, **lists})


def option_name(field: str) -> str:
    """How a field is written on the command line (`batch_size` is `--batch-size`)."""
    return "--" + field.replace("_", "-")
