"""Presets of *guess the cause*: at least one training for each code of a verdict, by where its fault lies.

`given` has faults of points, labels and batches, `wiring` those of the loop, `layers` those of units and weights,
`rates` those of the learning rate, and the trainings that go well; `catalogue` numbers them.
"""
