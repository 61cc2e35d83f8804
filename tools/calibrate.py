"""Count how often each rule is right, and keep what faulty programs answer its questions.

Writes `src/thalweg/diagnosis/calibration.json` and, with `--others`, `src/thalweg/diagnosis/known.json`.

    python tools/calibrate.py [--processes 2] [--seeds 1] [--healthy 5] [--measures FILE] [--others FILE]
    python tools/calibrate.py --more FILE

Runs every program of the zoo's families, healthy and with each of its faults, and the healthy ones with more seeds;
that takes more than half an hour on two cores.
`--measures` keeps what was measured, one JSON line for each program, and takes from it what is already there: a rule
changed is then counted anew in a second. Run it after each change of a rule.
`--others` takes such lines of programs of others, which are no part of the project; without it, their counts stay. They
should be of a first run, and hold its verdict as `code`: rules that were changed with a program in view are too good on
it. If something else is said now, the verdict counts for a rule of its code that is not exact: one that still holds, or
else the one that speaks most often.
`--more` takes lines of further sets of others, runs nothing, and adds them to what is there: the counts of rules that
were changed since go to the rules that say the same and ask for most of the same measures.
"""  # noqa: INP001 - a script

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from thalweg.diagnosis import calibration, likeness, zoo
from thalweg.diagnosis.judging import deciding_rule, derived
from thalweg.diagnosis.rules import RULES


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from thalweg.diagnosis.measures.table import Condition
    from thalweg.diagnosis.rule import Rule


FILE = Path(zoo.__file__).parents[1] / calibration.FILE
KNOWN = FILE.with_name(likeness.FILE)
QUESTIONS = list({(one.name, one.relation, one.threshold): one for rule in RULES for one in rule.conditions}.values())


def main() -> None:
    """Run, count, write, and print the error over families left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1, help="of programs with faults")
    parser.add_argument("--healthy", type=int, default=5, help="seeds of healthy programs")
    parser.add_argument("--measures", type=Path)
    parser.add_argument("--others", type=Path, help="measures of programs of others, to be counted anew")
    parser.add_argument(
        "--more", type=Path, help="measures of further programs of others, to be counted beside the rest"
    )
    options = parser.parse_args()
    if options.more:
        add(_lines_of(options.more))
        return
    if options.measures and options.measures.exists():
        programs = _lines_of(options.measures)
    else:
        outcomes = zoo.run_families(seeds=range(options.seeds), processes=options.processes)
        more = range(options.seeds, options.healthy)
        outcomes += zoo.run_families(seeds=more, faults=False, processes=options.processes)
        programs = [
            {"network": one.network, "truth": list(one.truth), "measures": dict(one.measures)} for one in outcomes
        ]
    if options.measures:
        options.measures.write_text("".join(json.dumps(program) + "\n" for program in programs), encoding="utf-8")
    others = _lines_of(options.others) if options.others else []
    verdicts = [said for program in programs if (said := said_of(program, deciding_rule(program["measures"])))]
    verdicts += of_others(others, verdicts) if others else [said for said in calibration.shipped() if said.is_of_others]
    FILE.write_text(calibration.to_json(verdicts), encoding="utf-8")
    right = sum(said.right for said in verdicts)
    print(f"{len(programs)} programs, {len(verdicts)} verdicts, {right} right")
    print(f"expected calibration error, each family left out: {calibration.calibration_error(verdicts):.3f}")
    if others:
        known = [known_of(program) for program in programs + others if not is_healthy(program)]
        KNOWN.write_text(likeness.to_json(QUESTIONS, [program for _, _, program in known]), encoding="utf-8")
        for name, chosen in (("families", programs), ("sets of others", others)):
            networks = dict.fromkeys(program["network"] for program in chosen)
            print(f"{name}, each left out, the next cause where the first is wrong: {next_causes(networks, known)}")


def add(programs: list[dict]) -> None:
    """Add sets of others to what is counted and to what is known."""
    counted = [replace(said, rule=present(said)) for said in calibration.shipped()]
    sets = {said.family for said in counted if said.is_of_others}
    verdicts = counted + of_others(programs, counted, first=1 + len(sets))
    FILE.write_text(calibration.to_json(verdicts), encoding="utf-8")
    print(f"expected calibration error, each family left out: {calibration.calibration_error(verdicts):.3f}")
    before = likeness.shipped()
    known = [known_of(program, before.questions) for program in programs if not is_healthy(program)]
    KNOWN.write_text(
        likeness.to_json(before.questions, [*before.programs, *(program for _, _, program in known)]), encoding="utf-8"
    )
    networks = dict.fromkeys(name for name, _, _ in known)
    kept = [("", None, program) for program in before.programs]
    told = next_causes(networks, kept + known, before.questions)
    print(f"the next cause where the first is wrong, each of these sets left out: {told}")


def present(said: calibration.Said) -> str:
    """The rule that a verdict counts for: its own, or the one of its code and kind that asks for most of the same."""
    same = [
        calibration.key_of(rule) for rule in RULES if (rule.code, calibration.kind_of(rule)) == (said.code, said.kind)
    ]
    asked = set(said.rule.split()[1:])
    return said.rule if said.rule in same else max(same, key=lambda key: len(asked & set(key.split()[1:])))


def _lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def known_of(program: dict, questions: Sequence[Condition] = QUESTIONS) -> tuple[str, str | None, likeness.Program]:
    """A faulty program's family, its first verdict, and what it answers."""
    measures = {**program["measures"], **derived(program["measures"])}
    rule = deciding_rule(measures)
    code = program.get("code", rule.code if rule else None)
    answers = likeness.answers_of(questions, measures)
    return program["network"], code, likeness.Program(tuple(program["truth"]), code not in program["truth"], answers)


def next_causes(
    networks: Iterable[str],
    known: list[tuple[str, str | None, likeness.Program]],
    questions: Sequence[Condition] = QUESTIONS,
) -> str:
    """For how many misread programs the likeliest other cause is right, by the programs of all other families."""
    right = count = 0
    for network in networks:
        rest = likeness.Likeness(questions, [program for name, _, program in known if name != network])
        for _, code, program in (one for one in known if one[0] == network and one[2].misread):
            found = rest.likely(program.answers)
            count += 1
            right += max(found.keys() - {code}, key=found.__getitem__) in program.faults
    return f"{right} of {count} right"


def of_others(programs: list[dict], counted: list[calibration.Said], first: int = 1) -> list[calibration.Said]:
    """The verdicts on programs of others, each set a family; `first` is the number of the first."""
    rules = [deciding_rule(program["measures"]) for program in programs]
    same = [
        rule if rule and rule.code == program["code"] else None for program, rule in zip(programs, rules, strict=True)
    ]
    often = Counter(calibration.key_of(rule) for rule in same if rule)
    often.update(said.rule for said in counted)
    found, sets = [], list(dict.fromkeys(program["network"] for program in programs))
    for program, rule in zip(programs, same, strict=True):
        others = [one for one in RULES if one.code == program["code"] and calibration.kind_of(one) != "exact"]
        holding = [one for one in others if _holds(one, program["measures"])]
        said = said_of(
            program, rule or max(holding or others, key=lambda one: often[calibration.key_of(one)], default=None)
        )
        if said is not None:
            found.append(replace(said, family=f"{calibration.OTHERS} {first + sets.index(program['network'])}"))
    return found


def _holds(rule: Rule, measures: dict) -> bool:
    """Whether all of its conditions hold, whatever other rules say."""
    known = {**measures, **derived(measures)}
    states = [(condition.holds(known), condition.optional) for condition in rule.conditions]
    return all(state or (state is None and optional) for state, optional in states)


def said_of(program: dict, rule: Rule | None) -> calibration.Said | None:
    """The verdict on a program by a rule; None for one that is undecided."""
    if rule is None:
        return None
    right = rule.code in program["truth"]
    key, kind = calibration.key_of(rule), calibration.kind_of(rule)
    return calibration.Said(program["network"], key, kind, is_healthy(program), right)


def is_healthy(program: dict) -> bool:
    """Whether a program has no fault, not even one that the watch is not shown, such as one of the evaluation."""
    return not program.get("faulty", not {"healthy", "converged"} & set(program["truth"]))


if __name__ == "__main__":
    main()
