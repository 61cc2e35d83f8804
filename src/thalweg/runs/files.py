"""Names of the files in a run's folder, and the columns of its histories."""

from __future__ import annotations

from typing import Final

from thalweg.data.walking import RUN_CONFIG, RUN_SPLIT


FORMAT: Final = 2
FORMAT_OF_0_1: Final = 1  # the same files, other names for some options

CONFIG: Final = RUN_CONFIG  # the request, the photos and the machine; a folder that has it is a run
CLASSES: Final = "classes.csv"  # the classes and their shares, if they are more than a hundred
CLAIM: Final = ".claim"  # locked by the process that prepares a run in the folder
SPLIT: Final = RUN_SPLIT  # path, split, label of every photo used
CHECK: Final = "data-check.json"  # warnings about the photos, and the first hundred of each kind of finding
FINDINGS: Final = "data-check.csv"  # all of them, if there are more
APPLIED: Final = "applied-corrections.csv"  # the corrections of labels that it was trained with, if any
RATE_SWEEP: Final = "lr-sweep.json"  # the search for the learning rate, if there was one
STEPS: Final = "history/steps"
EPOCHS: Final = "history/epochs"
LAYERS: Final = "history/layers"
PROCESSES: Final = "history/processes"  # of a training on several processes
CHECKPOINTS: Final = "checkpoints"
LAST: Final = "last"  # the checkpoint to resume from
BEST: Final = "best"  # the weights to predict with
EPOCH: Final = "epoch-"  # prefix of an epoch's number, if its weights were kept
EVALUATION: Final = "evaluation.safetensors"  # validation split: logits, labels, features at both taps
CLASS_SCORES: Final = "class-scores.csv"  # precision, recall and F1 of every class, written with the pictures
SUMMARY: Final = "summary.json"  # the results, and how long they took
REVIEW: Final = "review.csv"  # the labels that predictions doubt, on request; of folds, in their folder
REVIEW_PAGE: Final = "review.html"  # the same with photos
CORRECTIONS: Final = "corrections.csv"  # what somebody decided about them
SUBMISSION: Final = "submission.csv"
REPORT: Final = "report.html"
PICTURES: Final = ("curves", "layers", "confusion", "mistakes", "reliability", "tsne-mid", "tsne-top")  # .png
PICTURES_OF_SEVERAL: Final = tuple("average-precision" if name == "confusion" else name for name in PICTURES)
DOUBTS: Final = "doubts"  # .png, if labels are doubted
LOGGED: Final = "logged"  # a folder with one file for each logger that the run is sent to
LANDSCAPES: Final = ("landscape-trajectory", "landscape-random")  # .png, drawn on request

FOLDS: Final = "folds"  # below a folder of folds, the runs 0, 1, ...
OUT_OF_FOLD: Final = "out-of-fold.csv"

STEP_UNITS: Final = {
    "step": "",
    "epoch": "epochs",
    "loss": "nat",
    "gradient_norm": "",
    "lr": "",
    "size": "px",  # side of the photos in the step
    "mixed": "",  # 1: some photos in the step are mixed with others; 0: none are
}
PROCESS_UNITS: Final = {
    "step": "",
    "process": "",  # its number, from 0; the rows of a step are those of all processes that had photos
    "photos_per_second": "1/s",  # while it works, without its waiting for the others; since the last rows
}
EPOCH_UNITS: Final = {
    "step": "",
    "epoch": "epochs",
    "train_loss": "nat",
    "train_accuracy": "",
    "valid_loss": "nat",
    "valid_accuracy": "",
    "seconds": "s",
}
VALID_MAP: Final = "valid_map"  # another column of epochs, if photos have several labels: mean average precision
VALID_TOP5: Final = "valid_top5"  # another column of epochs, of more than 20 classes with one label a photo
