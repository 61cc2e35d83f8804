"""Families of programs: small networks of many kinds, each with its own data, loss and optimizer.

The thresholds of the rules were chosen on the zoo's perceptron, cnn and transformer. The families of `table.SEEN` were
looked at when rules were changed; the others are left out: they tell what the diagnosis gets right on kinds of programs that
its makers did not tune it on.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.diagnosis.zoo.families.family import Family
    from thalweg.diagnosis.zoo.families.mutations import MUTATIONS, Mutation
    from thalweg.diagnosis.zoo.families.table import FAMILIES

_homes = {"FAMILIES": ".table", "Family": ".family", "MUTATIONS": ".mutations", "Mutation": ".mutations"}

__all__ = ["FAMILIES", "MUTATIONS", "Family", "Mutation"]

__getattr__, __dir__ = lazy_names(__name__, _homes)
