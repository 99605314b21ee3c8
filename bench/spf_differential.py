"""Does check_host say what pyspf says? By hand, with pyspf installed: python -m bench.spf_differential [CASES] [SEED]

Every difference is attributed to a known class (tests/support/spf_corrections.py), or printed in full.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from exporter.mail.spf.limits import MOST_QUESTIONS
from tests.support.spf_corrections import CORRECTIONS
from tests.support.spf_oracle import evaluated, explain, theirs
from tests.support.spf_world import case

SHOWN = 10


def main() -> int:
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("cases", nargs="?", type=int, default=100_000)
    told.add_argument("seed", nargs="?", type=int, default=1)
    count, seed = told.parse_args().cases, told.parse_args().seed
    started = time.monotonic()
    words: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    examples: dict[str, int] = {}
    strange: list[int] = []
    differing = most = 0
    for number in range(seed * 10**9, seed * 10**9 + count):
        asked = case(number)
        result, questions = evaluated(asked)
        most = max(most, questions)
        words[result.word] += 1
        other = theirs(asked)
        if other == result.word:
            continue
        differing += 1
        reasons = explain(asked, result.word)
        if reasons is None:
            strange.append(number)
            if len(strange) <= SHOWN:
                print(number, asked.client, asked.sender, asked.helo, "ours", result, "pyspf", other)
                print(*(f"  {key}: {value}" for key, value in asked.world.zone.items()), asked.world.aliases, sep="\n")
            continue
        classes.update(reasons)
        for reason in reasons:
            if len(reasons) == 1:
                examples.setdefault(reason, number)
    print(f"{count} cases from seed {seed} in {time.monotonic() - started:.0f} s:", dict(words.most_common()))
    print(f"at most {most} questions for one evaluation, of {MOST_QUESTIONS} that there can be")
    print(f"{differing} differ, of which {len(strange)} without explanation: {strange[:100]}")
    for name, correction in CORRECTIONS.items():
        print(f"{classes[name]:7} {name:24} {correction.section:32} e.g. {examples.get(name, '-')}: {correction.why}")
    return bool(strange) or most > MOST_QUESTIONS


if __name__ == "__main__":
    sys.exit(main())
