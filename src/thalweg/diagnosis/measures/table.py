"""The table of all measures: each has a name, a unit, words in the catalogue, and a source.

Every measure is used: by a rule, by a comparison, by a fix, or in the printed verdict. Comparing a measure with a
number makes a condition: `FALLING < 0.006`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Mapping

Unit = Literal["", "share", "times", "flag"]
Source = Literal["history", "layers", "validation", "wiring", "batch", "gradients", "gains", "replicas", "derived"]


@dataclass(frozen=True, slots=True)
class Measure:
    """A number that a diagnosis measures.

    Attributes:
        name: its key in `Verdict.measures`. If it is printed, the catalogue has `evidence_<name>`.
        source: what it is measured from; `replicas`: several processes that train one model; `derived`: `judging`
            derives it from other measures.
        unit: `share` (printed in percent), `times` (a multiple), `flag` (1 is yes), or empty (a plain number).
    """

    name: str
    source: Source
    unit: Unit = ""

    @property
    def words(self) -> str:
        """Its name for people, in the current language."""
        return t(f"diagnosis.evidence_{self.name}")

    def text(self, value: float) -> str:
        """Format a value with its unit.

        Example:
            >>> FALLING.text(0.22), PEAK.text(3.0), UPDATE_RATIO.text(2e-4)
            ('22%', '3×', '0.0002')
        """
        if self.unit == "share":
            return f"{100 * value:.3g}%"
        plain = f"{value:,.0f}" if 1000 <= value < 1e6 and self.unit == "times" else f"{value:.3g}"
        return f"{plain}×" if self.unit == "times" else plain

    def __lt__(self, threshold: float) -> Condition:
        return Condition(self, "<", threshold)

    def __gt__(self, threshold: float) -> Condition:
        return Condition(self, ">", threshold)


@dataclass(frozen=True, slots=True)
class Condition:
    """A measure that must lie on one side of a threshold.

    Attributes:
        measure: the measure.
        relation: `<` or `>`, strict.
        threshold: the limit.
        optional: whether a rule may hold although the number is unknown.
    """

    measure: Measure
    relation: str
    threshold: float
    optional: bool = False

    @property
    def name(self) -> str:
        """Name of the measure."""
        return self.measure.name

    @property
    def if_known(self) -> Condition:
        """The same condition, skipped if the number is unknown."""
        return replace(self, optional=True)

    def holds(self, measures: Mapping[str, float]) -> bool | None:
        """Whether it holds; None if the number is unknown."""
        value = measures.get(self.name)
        if value is None or value != value:  # noqa: PLR0124 - NaN
            return None
        return value < self.threshold if self.relation == "<" else value > self.threshold


ABOVE_LOWEST = Measure("above_lowest", "history", "share")
ACCURACY_GAP = Measure("accuracy_gap", "validation", "share")
AFFINE = Measure("affine", "batch", "flag")
AMONG_OTHERS = Measure("among_others", "batch", "flag")
AT_HAND = Measure("at_hand", "history", "flag")
AVOIDABLE = Measure("avoidable", "gains", "share")
BATCHES_SEEN = Measure("batches_seen", "history")
BATCH_AS_TIME = Measure("batch_as_time", "batch", "flag")
BATCH_SIZE = Measure("batch_size", "history")
BENDS = Measure("bends", "batch", "share")
BLANK_IN_TARGETS = Measure("blank_in_targets", "batch", "share")
CEILING_LEFT = Measure("ceiling_left", "batch", "share")
CLASS_IN_COLUMN = Measure("class_in_column", "batch", "flag")
CLEARED_EARLY = Measure("cleared_early", "history", "share")
CLIPPED = Measure("clipped", "history", "share")
CLIPPED_VALUES = Measure("clipped_values", "history", "share")
COMES_AGAIN = Measure("comes_again", "history", "share")
CONSTANT_FITTED = Measure("constant_fitted", "batch", "flag")
COSINE = Measure("cosine", "history")
CROSSED = Measure("crossed", "batch", "share")
DATA_SHARED = Measure("data_shared", "replicas", "share")
DEAD_UNITS = Measure("dead_units", "history", "share")
DEAD_UNITS_FIRST = Measure("dead_units_first", "history", "share")
DECAY_TO_GRADIENT = Measure("decay_to_gradient", "wiring", "times")
DECREASE_POSSIBLE = Measure("decrease_possible", "gradients", "share")
DIFFER_SINCE = Measure("differ_since", "replicas")
DIRECTIONS_APART = Measure("directions_apart", "batch", "share")
DIRECTIONS_LEFT = Measure("directions_left", "batch", "share")
DRAWS_SHARED = Measure("draws_shared", "replicas", "share")
DRIVEN_PASSES = Measure("driven_passes", "history", "share")
DROPPED = Measure("dropped", "history", "share")
DROPOUT_LEFT_ON = Measure("dropout_left_on", "batch", "share")
DROWNED_TERM = Measure("drowned_term", "gradients", "share")
DROWNING_TARGETS = Measure("drowning_targets", "gradients")
ERASED_AT = Measure("erased_at", "batch")
EVALUATING = Measure("evaluating", "history", "share")
FALLING = Measure("falling", "history", "share")
FELL_BEFORE = Measure("fell_before", "history", "share")
FIT_GAIN = Measure("fit_gain", "derived", "share")
FIT_LEFT = Measure("fit_left", "gains", "share")
FIRST_SIGHT = Measure("first_sight", "gains", "share")
FLOOR_LEFT = Measure("floor_left", "batch", "share")
FOREIGN = Measure("foreign", "wiring", "share")
FORETOLD = Measure("foretold", "gains")
FORGOTTEN = Measure("forgotten", "batch", "share")
FORGOTTEN_IN_PADDING = Measure("forgotten_in_padding", "batch", "flag")
FROZEN = Measure("frozen", "wiring", "share")
FROZEN_AT_RANDOM = Measure("frozen_at_random", "wiring", "share")
FULL_RATE_SHARE = Measure("full_rate_share", "derived", "share")
GAIN_HUNDREDFOLD = Measure("gain_hundredfold", "gains")
GAIN_LESS_THAN_SAME = Measure("gain_less_than_same", "derived", "share")
GAIN_LOWER_RATE_MORE = Measure("gain_lower_rate_more", "gains", "share")
GAIN_LR_MOST = Measure("gain_lr_most", "gains", "share")
LR_RISING = Measure("lr_rising", "history", "share")
GAIN_LR_MOST_RATIO = Measure("gain_lr_most_ratio", "derived", "times")
GAIN_MORE = Measure("gain_more", "derived", "share")
GAIN_NO_DECAY = Measure("gain_no_decay", "gains")
GAIN_NO_DECAY_MORE = Measure("gain_no_decay_more", "derived", "share")
GAIN_NO_DROPOUT_MORE = Measure("gain_no_dropout_more", "gains", "share")
GAIN_RATIO = Measure("gain_ratio", "derived", "times")
GAIN_SAME = Measure("gain_same", "gains")
GAIN_SAME_LONG = Measure("gain_same_long", "gains")
GAIN_TENFOLD = Measure("gain_tenfold", "gains")
GAIN_TENTH = Measure("gain_tenth", "gains")
GAIN_THOUSANDFOLD = Measure("gain_thousandfold", "gains")
GRADIENTS_DIFFER = Measure("gradients_differ", "replicas", "share")
GRADIENT_BURST = Measure("gradient_burst", "history", "times")
GRADIENT_FIRST = Measure("gradient_first", "history")
GRADIENT_FIRST_TO_LAST = Measure("gradient_first_to_last", "layers", "share")
GRADIENT_FIRST_TO_LAST_START = Measure("gradient_first_to_last_start", "layers", "share")
GRADIENT_LAST = Measure("gradient_last", "history")
GRADIENT_VALUE = Measure("gradient_value", "history")
GRADLESS = Measure("gradless", "wiring", "share")
GUESSED_CLASSES = Measure("guessed_classes", "history")
GUESSED_VARIANCE = Measure("guessed_variance", "history")
IDS_AS_NUMBERS = Measure("ids_as_numbers", "batch", "flag")
IGNORED_TELLS = Measure("ignored_tells", "batch")
IMPROPER = Measure("improper", "batch", "flag")
INITIAL_SCALE = Measure("initial_scale", "wiring", "times")
INPUTS_ALIKE = Measure("inputs_alike", "batch", "flag")
INPUTS_COLUMNS = Measure("inputs_columns", "batch", "times")
INPUTS_COLUMNS_LEAST = Measure("inputs_columns_least", "batch", "times")
INPUTS_CONDITION = Measure("inputs_condition", "batch", "times")
INPUTS_MARK = Measure("inputs_mark", "history")
INPUTS_NONFINITE = Measure("inputs_nonfinite", "batch", "share")
INPUTS_REPEATED = Measure("inputs_repeated", "batch", "share")
INPUTS_SCALE = Measure("inputs_scale", "batch")
INPUTS_SEEN = Measure("inputs_seen", "batch", "share")
INPUTS_SPREAD = Measure("inputs_spread", "batch", "share")
KINDS_CARRIED = Measure("kinds_carried", "batch")
KINDS_TOGETHER = Measure("kinds_together", "batch", "share")
LACKING_PROCESS = Measure("lacking_process", "replicas")
LARGEST_CLASS = Measure("largest_class", "batch", "share")
LARGEST_EIGENVALUE = Measure("largest_eigenvalue", "gradients")
LATE_NOISE = Measure("late_noise", "history", "share")
LEARNS = Measure("learns", "derived", "flag")
LEFT = Measure("left", "history", "share")
LOG_MISSING = Measure("log_missing", "batch", "flag")
LOG_OF_EACH = Measure("log_of_each", "batch", "flag")
LOSS_APART = Measure("loss_apart", "batch", "share")
LOSS_AT_ENDS = Measure("loss_at_ends", "batch", "flag")
LOSS_BATCH = Measure("loss_batch", "batch")
LOSS_BLIND = Measure("loss_blind", "batch", "flag")
LOSS_CONSTANT = Measure("loss_constant", "batch")
LOSS_FIRST = Measure("loss_first", "history")
LOSS_FIRST_SIGHT = Measure("loss_first_sight", "history")
LOSS_FIRST_TO_ZERO = Measure("loss_first_to_zero", "derived", "times")
LOSS_FLOOR = Measure("loss_floor", "batch")
LOSS_UNDEFINED = Measure("loss_undefined", "batch", "flag")
LOSS_IN_STEPS = Measure("loss_in_steps", "batch", "flag")
LOSS_IS_SQUARED = Measure("loss_is_squared", "batch", "flag")
LOSS_LAST = Measure("loss_last", "history")
LOSS_OTHER = Measure("loss_other", "derived", "share")
LOSS_ZERO = Measure("loss_zero", "batch")
LR_GONE = Measure("lr_gone", "history", "share")
LR_LAST = Measure("lr_last", "history")
LR_LEFT = Measure("lr_left", "history", "share")
LR_MOST = Measure("lr_most", "history")
MATRIX_GRADIENT = Measure("matrix_gradient", "gradients", "share")
MATRIX_GRADIENT_FIRST = Measure("matrix_gradient_first", "gradients", "share")
MIRRORED = Measure("mirrored", "batch", "share")
MISPAIRED = Measure("mispaired", "batch", "share")
MISREAD = Measure("misread", "batch", "times")
MISSING = Measure("missing", "wiring", "share")
MIXED_WITHIN = Measure("mixed_within", "batch", "flag")
MODE_MATTERS = Measure("mode_matters", "wiring", "flag")
NEGATIVE_CURVATURE = Measure("negative_curvature", "gradients", "flag")
NEGATIVE_SHARE = Measure("negative_share", "gradients", "share")
NEGATIVES_CUT = Measure("negatives_cut", "batch", "share")
NEXT_SEEN = Measure("next_seen", "batch", "share")
NOISE_SCALE = Measure("noise_scale", "gradients")
NOISE_SHARE = Measure("noise_share", "batch", "share")
NONFINITE_INPUTS = Measure("nonfinite_inputs", "history", "share")
NONFINITE_STEP = Measure("nonfinite_step", "history")
NORM_GAP = Measure("norm_gap", "batch", "share")
NORM_MOMENTUM = Measure("norm_momentum", "batch")
NORM_NOISE = Measure("norm_noise", "batch", "share")
NORM_VALUES = Measure("norm_values", "batch")
NAMES_TELL = Measure("names_tell", "batch")
NUMBERED_CLASSES = Measure("numbered_classes", "gains", "share")
ODD_PROCESS = Measure("odd_process", "replicas")
ONLY_CLASSIFIER = Measure("only_classifier", "wiring", "flag")
ORDER_TELLS = Measure("order_tells", "batch", "share")
ONE_KIND_BY_CHANCE = Measure("one_kind_by_chance", "batch", "share")
ONE_KIND_SEEN = Measure("one_kind_seen", "batch", "share")
ONE_LAYER = Measure("one_layer", "batch", "flag")
OTHER_BATCH = Measure("other_batch", "batch", "flag")
OUTPUTS_DEAD = Measure("outputs_dead", "batch", "flag")
OUTPUTS_FIXED = Measure("outputs_fixed", "batch", "flag")
OUTPUTS_NONFINITE = Measure("outputs_nonfinite", "batch", "share")
OUTPUTS_UNMOVED = Measure("outputs_unmoved", "batch", "share")
OUT_OF_REACH = Measure("out_of_reach", "batch", "share")
OWN_SEEN = Measure("own_seen", "batch", "share")
OWN_TO_OTHERS = Measure("own_to_others", "batch", "times")
PADDING_COUNTED = Measure("padding_counted", "batch", "share")
PART_UNREAD = Measure("part_unread", "batch", "flag")
PASSES = Measure("passes", "history")
PEAK = Measure("peak", "history", "times")
PENALTY_TO_GRADIENT = Measure("penalty_to_gradient", "gradients", "times")
PICTURES_FORETOLD = Measure("pictures_foretold", "gains")
PLAIN_TENSORS = Measure("plain_tensors", "wiring", "share")
PROBABILITY_OF_GUESS = Measure("probability_of_guess", "batch", "share")
PROBABILITY_OF_TRUTH = Measure("probability_of_truth", "batch", "share")
PROCESSES_LACKING = Measure("processes_lacking", "replicas")
QUANTILES_CARRIED = Measure("quantiles_carried", "batch")
QUANTILES_TOGETHER = Measure("quantiles_together", "batch", "share")
RARE_FOUND = Measure("rare_found", "batch", "share")
RARE_RANKED = Measure("rare_ranked", "batch", "share")
RARE_SAID = Measure("rare_said", "batch", "times")
REDRAWN = Measure("redrawn", "batch", "times")
REOPENED = Measure("reopened", "wiring", "flag")
RESEEDED = Measure("reseeded", "wiring", "flag")
RESTATED = Measure("restated", "batch", "share")
REWARDED_RARER = Measure("rewarded_rarer", "batch", "flag")
RISE = Measure("rise", "history", "times")
RIVAL = Measure("rival", "batch", "flag")
RIVAL_SEEN = Measure("rival_seen", "history", "flag")
ROUNDED_AWAY = Measure("rounded_away", "gradients", "share")
SAMPLES_AS_TIMES = Measure("samples_as_times", "batch", "flag")
SAMPLES_MIXED = Measure("samples_mixed", "batch", "share")
SATURATED_UNITS = Measure("saturated_units", "history", "share")
SATURATED_UNITS_FIRST = Measure("saturated_units_first", "history", "share")
SCALE = Measure("scale", "batch")
SCORES_CUT = Measure("scores_cut", "batch", "share")
SEQUENCE_GRADIENT = Measure("sequence_gradient", "gradients", "share")
SEVERAL_LABELS = Measure("several_labels", "batch", "share")
SHARPNESS_RATIO = Measure("sharpness_ratio", "gradients", "times")
SLOWEST_PROCESS = Measure("slowest_process", "replicas")
SLOWEST_TIMES = Measure("slowest_times", "replicas", "times")
SMALLEST_EIGENVALUE = Measure("smallest_eigenvalue", "gradients")
SOFTMAX_MISPLACED = Measure("softmax_misplaced", "batch", "flag")
SQUASHED_TWICE = Measure("squashed_twice", "batch", "flag")
STANDSTILL = Measure("standstill", "history", "share")
STEPPED = Measure("stepped", "history", "share")
STEPS = Measure("steps", "history")
STEPS_CUT = Measure("steps_cut", "batch", "share")
STOPPED = Measure("stopped", "wiring", "share")
SUMMED_PASSES = Measure("summed_passes", "gradients", "share")
SUNK = Measure("sunk", "derived", "times")
TARGETS_ABOVE_ONE = Measure("targets_above_one", "batch", "share")
TARGETS_BELOW_ZERO = Measure("targets_below_zero", "batch", "share")
TARGETS_BROADCAST = Measure("targets_broadcast", "batch", "flag")
TARGETS_COUNT = Measure("targets_count", "batch")
TARGETS_FILLED = Measure("targets_filled", "batch", "share")
TARGETS_AT_END = Measure("targets_at_end", "batch", "flag")
TARGETS_IN_COLUMN = Measure("targets_in_column", "batch", "flag")
TARGETS_KINDS = Measure("targets_kinds", "batch")
TARGETS_LARGEST = Measure("targets_largest", "batch")
TARGETS_MULTI_HOT = Measure("targets_multi_hot", "batch", "flag")
TARGETS_NONFINITE = Measure("targets_nonfinite", "batch", "share")
TARGETS_OUTSIDE = Measure("targets_outside", "batch", "share")
TARGETS_SCALE = Measure("targets_scale", "batch")
TARGETS_TOO_LONG = Measure("targets_too_long", "batch", "share")
TARGETS_UNREAD = Measure("targets_unread", "batch", "share")
TO_CONSTANT = Measure("to_constant", "derived", "share")
TRAIN_ACCURACY = Measure("train_accuracy", "validation", "share")
TRIED_ANEW = Measure("tried_anew", "gains", "share")
TRIED_BEST = Measure("tried_best", "gains", "share")
TRIED_DECORRELATED = Measure("tried_decorrelated", "gains", "share")
TRIED_DIVIDED = Measure("tried_divided", "gains", "share")
TRIED_FULL_RATE = Measure("tried_full_rate", "gains", "share")
TRIED_GROUP_NORM = Measure("tried_group_norm", "gains", "share")
TRIED_HIGHER_RATE = Measure("tried_higher_rate", "gains", "share")
TRIED_LARGER = Measure("tried_larger", "gains", "share")
TRIED_LONGER = Measure("tried_longer", "gains", "share")
TRIED_LOWER_RATE = Measure("tried_lower_rate", "gains", "share")
TRIED_NO_DECAY = Measure("tried_no_decay", "gains", "share")
TRIED_NO_DROPOUT = Measure("tried_no_dropout", "gains", "share")
TRIED_OTHER_START = Measure("tried_other_start", "gains", "share")
TRIED_STANDARDIZED = Measure("tried_standardized", "gains", "share")
TRIED_STANDARDIZED_ANEW = Measure("tried_standardized_anew", "gains", "share")
TRIED_STANDARDIZED_TARGETS = Measure("tried_standardized_targets", "gains", "share")
TRIED_UNCLIPPED = Measure("tried_unclipped", "gains", "share")
TRIED_UNFROZEN = Measure("tried_unfrozen", "gains", "share")
TRIED_UNPADDED = Measure("tried_unpadded", "gains", "share")
TRUTHS_CUT = Measure("truths_cut", "batch", "share")
TWIN_UNITS = Measure("twin_units", "wiring", "share")
TWIN_UNITS_FIRST = Measure("twin_units_first", "wiring", "share")
UNCLEARED = Measure("uncleared", "history", "share")
UNPAIRED = Measure("unpaired", "batch", "flag")
UNREGISTERED = Measure("unregistered", "wiring", "share")
UNUSED_PASSES = Measure("unused_passes", "history", "share")
UPDATE_RATIO = Measure("update_ratio", "history")
UPDATE_RATIO_FIRST = Measure("update_ratio_first", "history")
USUAL_SIZE = Measure("usual_size", "derived", "flag")
VALID_GAP = Measure("valid_gap", "validation", "share")
VALID_LAST = Measure("valid_last", "validation")
VALID_LEFT = Measure("valid_left", "derived", "share")
VALID_LOST = Measure("valid_lost", "derived", "share")
VALID_RISE = Measure("valid_rise", "validation", "share")
VALIDATED_IN_TRAINING = Measure("validated_in_training", "validation", "share")
WAITING = Measure("waiting", "replicas", "share")
WEIGHTS_DIFFER = Measure("weights_differ", "replicas", "share")
WEIGHT_NORM = Measure("weight_norm", "history")
WEIGHT_NORM_FIRST = Measure("weight_norm_first", "history")
WEIGHT_NORM_LEFT = Measure("weight_norm_left", "derived", "share")
WRAPPED = Measure("wrapped", "replicas", "flag")
WRONG_IS_BEST = Measure("wrong_is_best", "batch", "flag")

MEASURES: dict[str, Measure] = {value.name: value for value in tuple(globals().values()) if isinstance(value, Measure)}
"""Name to measure."""

SHOWN = (LARGEST_EIGENVALUE, SMALLEST_EIGENVALUE, NOISE_SCALE)
"""Measures that decide nothing; the verdict prints them for information."""

TOLD = (GUESSED_CLASSES, GUESSED_VARIANCE)
"""Measures that choose the sentence of an undecided verdict."""

COMPARED = (
    *(CONSTANT_FITTED, DRIVEN_PASSES),
    *(GAIN_HUNDREDFOLD, GAIN_NO_DECAY, GAIN_SAME, GAIN_SAME_LONG, GAIN_TENFOLD, GAIN_TENTH, GAIN_THOUSANDFOLD),
    *(LEARNS, LOSS_BATCH, LOSS_CONSTANT, LOSS_FIRST, LOSS_LAST, LOSS_ZERO),
    *(RIVAL, RIVAL_SEEN),
    *(SCALE, STEPS, UNUSED_PASSES),
    *(WEIGHT_NORM, WEIGHT_NORM_FIRST),
)
"""Measures from which `judging` derives others."""

USED_BY_TRIALS = (
    *(BATCH_SIZE, COMES_AGAIN, GRADIENT_FIRST, GRADIENT_VALUE, LOSS_FIRST_SIGHT),
    *(INPUTS_COLUMNS, INPUTS_COLUMNS_LEAST, INPUTS_CONDITION, INPUTS_MARK),
)
"""Measures that decide which trials and comparisons are made, and how."""

USED_BY_FIXES = (
    *(GAIN_HUNDREDFOLD, GAIN_TENFOLD, GAIN_THOUSANDFOLD),
    *(GRADIENT_LAST, LR_LAST, LR_MOST, ONLY_CLASSIFIER, PASSES),
    *(DIFFER_SINCE, LACKING_PROCESS, ODD_PROCESS, SLOWEST_PROCESS),
)
"""Measures that give a fix its numbers, or decide whether it applies."""

USED_BY_EDITS = (ERASED_AT,)
"""Measures that say where in the program a fix belongs."""

CHECKED_BY = {
    "gradient": GRADIENT_LAST,
    "layers": GRADIENT_FIRST_TO_LAST,
    "batch": LOSS_BATCH,
    "curvature": LARGEST_EIGENVALUE,
    "short_runs": FIT_LEFT,
    "validation": VALID_LAST,
}
"""What a diagnosis may check, to a measure that exists only if it did. Texts: `unchecked_<key>`."""

OLD_NAMES = {"curvature_most": LARGEST_EIGENVALUE.name, "curvature_least": SMALLEST_EIGENVALUE.name}
"""Old to new names, for folders that older versions of `watch.save` wrote."""
