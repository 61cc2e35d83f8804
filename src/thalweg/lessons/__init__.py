"""The course's claims, each made visible and checked in numbers.

A lesson is an experiment with fixed settings (`run`), claims that its numbers must hold (`checks`), a picture (`draw`)
and ten lines of plain words, into which the numbers are filled (`tell`). Every number in the words is measured:
when the code changes, the words follow, and the checks fail if the claim no longer holds.

```python
lesson = get("adagrad-arrives-and-bursts")
evidence = lesson.run()
for line in lesson.tell(evidence):
    print(line)
assert all(check.passed for check in lesson.checks(evidence))
```
"""

from thalweg.lessons.catalogue import get, names, title_of
from thalweg.lessons.lesson import Check, Evidence, Lesson


__all__ = ["Check", "Evidence", "Lesson", "get", "names", "title_of"]
