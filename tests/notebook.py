"""A listener that writes down the sentences that it is told."""

from thalweg.training.progress import Listener


class Notebook(Listener):
    """`notes` has the key and the values of each."""

    def __init__(self):
        self.notes = []

    def note(self, key, **values):
        self.notes.append((key, values))
