"""The course's claims, each shown in a picture and checked in numbers.

A lesson is an experiment with fixed settings (`run`), claims about its numbers (`checks`), a picture (`draw`), and ten
lines of plain words with the measured numbers (`tell`). When the code changes, the words follow, and a check fails if
its claim no longer holds.

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
