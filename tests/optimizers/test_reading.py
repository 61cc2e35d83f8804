"""An optimizer as text: there and back for every one, and what is no optimizer is named."""

import pytest

from thalweg import optimizers, paths, surfaces
from thalweg.cli._lab_options import read_optimizers
from thalweg.errors import UnknownNameError, UsageError
from thalweg.figures.lab.scene import labels_of
from thalweg.optimizers.reading import changed, read, text_of


@pytest.mark.parametrize("name", optimizers.names())
def test_every_optimizer_is_its_text(name):
    optimizer = optimizers.get(name)
    assert text_of(optimizer) == name
    assert read(name) == optimizer


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("momentum(momentum=0.67)", optimizers.get("momentum", momentum=0.67)),
        (" adam ( beta2=0.99 , eps=1e-6 ) ", optimizers.get("adam", betas=(0.9, 0.99), eps=1e-6)),
        ("rmsprop-centered(alpha=0.5)", optimizers.get("rmsprop_centered", alpha=0.5)),
        ("rprop(eta1=0.3,step_size2=10)", optimizers.get("rprop", etas=(0.3, 1.2), step_sizes=(1e-6, 10.0))),
        ("adam()", optimizers.get("adam")),
    ],
)
def test_settings_stand_in_parentheses(text, wanted):
    assert read(text) == wanted
    assert read(text_of(wanted)) == wanted


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("adam(beta3=1)", UnknownNameError), ("adamm", UnknownNameError), ("momentum(momentum=-1)", UsageError),
        ("momentum(0.9)", UsageError), ("momentum(momentum=x)", UsageError), ("adam(beta2=0.9", UsageError),
        ("adam)", UsageError), ("", UsageError), ("adam(beta2=0.9)(beta1=0)", UsageError),
        ("adam(amsgrad=1)", UnknownNameError),
    ],
)  # fmt: skip
def test_what_is_no_optimizer_is_refused(text, error):
    with pytest.raises(error):
        read(text)


def test_a_pair_has_its_members():
    assert changed(optimizers.get("adam"), "beta1", 0.5).betas == (0.5, 0.999)
    with pytest.raises(UnknownNameError, match="lr"):
        changed(optimizers.get("sgd"), "beta1", 0.5)


def test_the_command_line_and_the_labels_tell_settings_apart():
    choices = read_optimizers("momentum(momentum=0.5),adam(beta1=0.5, beta2=0.9)=0.2,momentum=0.1", None)
    assert [choice.lr for choice in choices] == [None, 0.2, 0.1]
    traces = [paths.trace(surfaces.get("bowl"), choice.optimizer, lr=0.1, steps=2) for choice in choices]
    assert labels_of(traces) == ["momentum(momentum=0.5)", "adam(beta1=0.5, beta2=0.9)", "momentum"]
