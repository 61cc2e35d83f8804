"""Loggers that people already have: TensorBoard, MLflow, Weights & Biases, trackio.

A run is sent to them from its history, live or afterwards, and only if that is asked for.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.loggers.live import Live, log_run
    from thalweg.loggers.sending import Sender, Sent
    from thalweg.loggers.targets import Target, parse_targets

_homes = {
    "Live": ".live",
    "Sender": ".sending",
    "Sent": ".sending",
    "Target": ".targets",
    "log_run": ".live",
    "parse_targets": ".targets",
}

__all__ = ["Live", "Sender", "Sent", "Target", "log_run", "parse_targets"]

__getattr__, __dir__ = lazy_names(__name__, _homes)
