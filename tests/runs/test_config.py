"""Every field of the configuration refuses what it does not know, in a sentence."""

import pytest

from thalweg.errors import UnknownNameError
from thalweg.i18n import LANGUAGES, set_language
from thalweg.runs import TrainingConfig
from thalweg.runs.config import training_options


def test_a_wrong_choice_is_an_error_with_a_name_for_each_option():
    choices = [option.name for option in training_options().values() if option.kind == "choice"]
    assert "norms" in choices
    for language in LANGUAGES:
        set_language(language)
        try:
            for name in choices:
                with pytest.raises(UnknownNameError, match="zzz"):
                    TrainingConfig(**{name: "zzz"})
        finally:
            set_language("en")
