"""Watch a training whose loop belongs to somebody else: callbacks for Lightning and for the transformers Trainer.

Each is a thin class around `thalweg.watch`, and comes with the extra `callbacks`. Neither library is imported before
its callback is asked for.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.callbacks.lightning import lightning_callback
    from thalweg.callbacks.transformers import transformers_callback

_homes = {
    "lightning_callback": ".lightning",
    "transformers_callback": ".transformers",
}

__all__ = ["lightning_callback", "transformers_callback"]

__getattr__, __dir__ = lazy_names(__name__, _homes)
