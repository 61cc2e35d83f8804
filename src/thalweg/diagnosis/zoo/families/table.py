"""The fourteen families."""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from thalweg.diagnosis.zoo.data import Samples, digits
from thalweg.diagnosis.zoo.families import pictures, sequences, tables
from thalweg.diagnosis.zoo.families.family import Family


def _digits(_seed: int) -> Samples:
    return digits()


_FAMILIES = (
    Family("vit", pictures.ViT, _digits),
    Family("resnet", pictures.resnet, _digits, optimizer="sgd"),
    Family("unet", pictures.UNet, pictures.strokes, "binary", binary_cross_entropy_with_logits),
    Family("lstm", partial(sequences.Recurrent, nn.LSTM), sequences.topics),
    Family("gru", partial(sequences.Recurrent, nn.GRU), sequences.topics),
    Family("encoder", sequences.Encoder, sequences.topics),
    Family("vae", pictures.VAE, pictures.themselves, "own", pictures.evidence_bound),
    Family("autoencoder", pictures.autoencoder, pictures.themselves, "numbers", mse_loss, "sgd", times=4.0),
    Family("bag", sequences.bag, sequences.topics, optimizer="sgd", times=4.0),
    Family("graph", tables.graph_network, tables.nodes, size=0, times=3.0),
    Family("factors", tables.Factors, tables.ratings, "numbers", mse_loss, times=10.0, size=128, steps=300),
    Family("regressor", tables.regressor, tables.prices, "numbers", mse_loss, "sgd"),
    Family("siamese", pictures.Siamese, pictures.pairs_of_digits, "own", pictures.contrastive),
    Family("discriminator", pictures.discriminator, pictures.real_and_fake, "binary", binary_cross_entropy_with_logits),
)

FAMILIES: dict[str, Family] = {family.name: family for family in _FAMILIES}
"""Name to family."""

SEEN = ("autoencoder", "bag", "graph", "lstm", "regressor", "resnet", "vae")
"""Families on which rules were changed; all others are left out of every choice."""
