"""The rows of a watched run, from the numbers that were gathered for each tensor.

Shape suffixes: K rows, P numbers per tensor, T numbers of `TAIL`, L layers, C columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thalweg.history import History


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STEP_UNITS = {
    "step": "",
    "loss": "",
    "gradient_norm": "",
    "gradient_largest": "",
    "lr": "",
    "update_ratio": "",
    "weight_norm": "",
    "cosine": "",
    "gradient_weight_cosine": "",
    "dead_units": "",
    "saturated_units": "",
    "uncleared": "",
    "cleared_early": "",
    "unused_passes": "",
    "driven_passes": "",
    "passes": "",
    "inputs_mark": "",
    "nonfinite_inputs": "",
    "stepped": "",
    "training": "",
}
"""Columns of a watched run; NaN for a number that was not due.

`cleared_early` is the share of the values whose gradient of this step was cleared before the optimizer used it;
`driven_passes` is 1 where another network, in training, made the inputs of some passes and not of others, as a GAN's
generator does; `gradient_largest` is the largest of the root mean squares of the tensors' gradients; `passes` counts
the backward passes since the last record; `inputs_mark` is that of `probes.marks`; `nonfinite_inputs` is 1 where the
inputs held NaN or infinity.
"""

UNKNOWN = -1.0
"""What stands for a norm that was not measured, so that NaN can mean NaN."""

TAIL = (
    *("cosine", "dead_units", "saturated_units"),
    *("uncleared", "cleared_early", "unused_passes", "driven_passes", "passes", "inputs_mark", "nonfinite_inputs"),
)
"""What is measured of a due step as a whole."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """The numbers of some steps, as they were gathered.

    Attributes:
        host: step, learning rate, whether the optimizer stepped, and whether the model was in training mode, for each
            row.
        dear: the rows of the due steps.
        losses_K: the loss.
        norms_KP: the gradient norm of each tensor.
        dear_KP: of each due step, three numbers per tensor: norm of the update, norm of the weights, dot product of
            gradient and weights.
        tails_KT: of each due step, the numbers of `TAIL`; NaN: not measured.
        sizes_P: number of values of each tensor.
    """

    host: Sequence[tuple[int, float, bool, bool]]
    dear: Sequence[int]
    losses_K: np.ndarray
    norms_KP: np.ndarray
    dear_KP: np.ndarray
    tails_KT: np.ndarray
    sizes_P: np.ndarray

    def steps(self) -> np.ndarray:
        """Return the rows of `STEP_UNITS`."""
        norms_KP, dear_KP = self.norms_KP, self.dear_KP
        count = norms_KP.shape[1]
        rows_KC = np.full((len(norms_KP), len(STEP_UNITS)), np.nan)
        columns = list(STEP_UNITS)
        step_K, lr_K, stepped_K, training_K = zip(*self.host, strict=True)
        rows_KC[:, columns.index("step")] = step_K
        rows_KC[:, columns.index("lr")] = lr_K
        rows_KC[:, columns.index("stepped")] = stepped_K
        rows_KC[:, columns.index("training")] = training_K
        rows_KC[:, columns.index("loss")] = self.losses_K
        rows_KC[:, columns.index("gradient_norm")] = norm_of(norms_KP)
        rms_KP = norms_KP / np.sqrt(self.sizes_P)
        rows_KC[:, columns.index("gradient_largest")] = rms_KP.max(axis=1, initial=0.0)
        update_K, weight_K = norm_of(dear_KP[:, :count]), norm_of(dear_KP[:, count : 2 * count])
        at_K = np.array(self.dear, dtype=np.int64)
        with np.errstate(divide="ignore", invalid="ignore"):
            rows_KC[at_K, columns.index("update_ratio")] = update_K / weight_K
            dot_KP = dear_KP[:, 2 * count :]
            dot_K = np.where(np.isnan(dot_KP).all(axis=1), np.nan, np.nansum(dot_KP, axis=1))
            lengths_K = weight_K * norm_of(norms_KP[at_K])
            rows_KC[at_K, columns.index("gradient_weight_cosine")] = dot_K / lengths_K
        rows_KC[at_K, columns.index("weight_norm")] = weight_K
        for offset, name in enumerate(TAIL):
            rows_KC[at_K, columns.index(name)] = self.tails_KT[:, offset]
        return rows_KC

    def layers(self, members: Mapping[str, np.ndarray], units: Mapping[str, str]) -> np.ndarray:
        """Return the rows of the layers at the due steps.

        Args:
            members: name of a layer to the positions of its tensors.
            units: the columns to fill; those of other layers are NaN.
        """
        count = self.norms_KP.shape[1]
        rows_KC = np.full((len(self.dear), len(units)), np.nan)
        columns = {name: at for at, name in enumerate(units)}
        rows_KC[:, 0] = [self.host[at][0] for at in self.dear]
        gradients_KP = self.norms_KP[np.array(self.dear, dtype=np.int64)]
        for layer, of_layer in members.items():
            update_K, weight_K = norm_of(self.dear_KP[:, of_layer]), norm_of(self.dear_KP[:, count + of_layer])
            rows_KC[:, columns[f"{layer}.gradient_norm"]] = norm_of(gradients_KP[:, of_layer])
            with np.errstate(divide="ignore", invalid="ignore"):
                rows_KC[:, columns[f"{layer}.update_ratio"]] = update_K / weight_K
            rows_KC[:, columns[f"{layer}.weight_norm"]] = weight_K
        return rows_KC


def norm_of(values_KP: np.ndarray) -> np.ndarray:
    """Return the norm over all tensors from the norm of each; NaN if none was measured or one is NaN."""
    known_KP = values_KP != UNKNOWN
    squares_K = np.square(np.where(known_KP, values_KP, 0.0)).sum(axis=1)
    return np.where(known_KP.any(axis=1), np.sqrt(squares_K), np.nan)


def widened(history: History, units: Mapping[str, str]) -> History:
    """Return a history that also has new columns, which are NaN in the old rows."""
    wide = History({**history.units, **units})
    rows_KC = np.full((len(history), len(wide.units)), np.nan)
    rows_KC[:, : len(history.units)] = history.rows_NC
    wide.extend(rows_KC)
    return wide
