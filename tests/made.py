"""What tests of runs share: a training of a second, and the facts of runs that no training made."""

from thalweg.runs import TrainingConfig


SMALL = TrainingConfig(
    model="resnet-small",
    size=32,
    epochs=2,
    batch_size=16,
    augment="flip",
    precision="fp32",
    layout="channels-last",
    threads=1,
)

ENVIRONMENT = {"device": "cpu", "threads": 1, "precision": "fp32", "layout": "channels-last"}


def facts(classes, path="/photos", **others):
    """The [data] table of a run over some classes."""
    return {
        "path": str(path),
        "layout": "flat",
        "classes": list(classes),
        "fingerprint": "ab12",
        "stored": 16,
        "mean": [0.5] * 3,
        "std": [0.25] * 3,
        "class_shares": [1 / len(classes)] * len(classes),
        "train": 600,
        "valid": 120,
        "test": 0,
        **others,
    }
