"""Named configurations: the course's homework, and starting points for a machine with two cores."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from thalweg.runs import TrainingConfig


FINETUNE: Final = TrainingConfig(
    fit_head=True,
    norms="frozen",  # the classifier was fitted to features of these statistics
    max_size=224,  # if the weights do not say their own
    resize="center-crop",  # as most published weights were trained
    epochs=10,
    batch_size=32,
    lr=1e-3,
    layer_decay=0.9,
    schedule="warmup(10%) > cosine",
    augment="standard",
    mixup=0.2,  # in twenty epochs, photos as they are teach their wrong labels as well
    cutmix=0.5,
    label_smoothing=0.0,  # mixed targets are soft already
    ema=0.99,
    evaluate_every=2,
)
FEW: Final = 1_000  # training photos, below which `finetune-few` is the default from weights

RECIPES: Final = {
    # Exactly the notebook of the course's third homework: photos stretched to 128 px and not normalized, the five-block
    # CNN, Adam at a constant rate, gradients clipped at 10, the best epoch kept. The number format is the machine's
    # fastest, as in every recipe; the notebook's is --precision fp32.
    "homework": TrainingConfig(
        model="cnn",
        size=128,
        epochs=8,
        batch_size=64,
        optimizer="adam",
        lr=3e-4,
        weight_decay=1e-5,
        schedule="constant",
        augment="none",
        normalize=False,
        label_smoothing=0.0,
        clip_grad_norm=10.0,
        keep="best",
        patience=300,
    ),
    # Small photos, or a first look in a minute; `thalweg demo` uses it. A small network, muon, shifts and flips.
    "quick": TrainingConfig(
        model="resnet-small",
        epochs=20,
        batch_size=128,
        optimizer="muon",
        lr=2e-2,
        schedule="warmup(10%) > linear",
        augment="shift",
        evaluate_every=4,
    ),
    # The default: a few thousand photos from scratch in ten minutes on two cores. Muon, growing photos, most mixed.
    "standard": TrainingConfig(
        smaller_sizes=(64, 96),
        epochs=65,
        optimizer="muon",
        lr=5e-3,
        schedule="warmup(5%) > linear",
        mixup=0.2,
        cutmix=0.5,
        evaluate_every=5,
    ),
    # An hour on two cores for a few thousand photos: like standard, with a network of twice the width, larger photos,
    # more decay, and averaged weights.
    "strong": TrainingConfig(
        model="resnet18",
        max_size=160,
        smaller_sizes=(96, 128),
        epochs=80,
        optimizer="muon",
        lr=5e-3,
        weight_decay=0.1,
        schedule="warmup(5%) > linear",
        mixup=0.2,
        cutmix=0.5,
        ema=0.998,
        evaluate_every=5,
    ),
    # From weights, the default: the classifier is fitted first, then all layers train, the first ones least.
    "finetune": FINETUNE,
    # The same for a few hundred photos: lower rates, and photos as they are, stay nearer to what the weights know.
    "finetune-few": replace(FINETUNE, lr=3e-4, layer_decay=0.8, mixup=0.0, cutmix=0.0, label_smoothing=0.1),
    # From weights, when only the classifier is to be trained: seconds after the features.
    "linear": TrainingConfig(
        freeze="all",
        fit_head=True,
        max_size=224,
        resize="center-crop",
        epochs=200,
        augment="none",
        label_smoothing=0.0,
        precision="fp32",  # of the features, as in every evaluation: nothing is measured first
        layout="channels-last",
    ),
}
