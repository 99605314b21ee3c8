"""What reading refusals costs: lines of a log a second, and mails at their worst. Run by hand: python -m bench.refusals

The goal is 1,000 lines of a log a second on one core, and no text above 50 ms.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from exporter.engine import catalogue
from exporter.explain import bounce
from exporter.explain.refusals import Refusals
from tests.support.mutated import Mutations
from tests.support.refusals import texts

LINES = 5000
MAILS = 5000
UNITS = (
    "a", ".", "a.", "550 ", "550-5.7.1 ", "<<< 550 ", ">>> RCPT TO ", "<a@b.c>: ", "-> 451 ", "smtp; ",
    "rejected RCPT ", "in reply to ", "a@", "<", "[", "(", "=", "status=bounced (", "Received: x\n", "> ",
    "\n", "from=<a@b.c>", "sending domain a.", "gave this error: ", "for the domain a by ", "0:", "1.",
    "user ", "unknown user ", "spam ", "helo ", "Diagnostic-Code: smtp; 550 a\n", "--b\nContent-Type: text/plain\n\n",
    "<style></style>", "<br>", "&lt;", "a@b.cc\nx\n", "... while talking to a\n<<< 550 a\n", "host a[1.2.3.4] said: ",
    "Sender address rejected: unverified address: host ", "Response: 550 ", "1RvhTH-000B9y-TD a [1.2.3.4] ", "1.2.3.4 ",
)  # fmt: skip
HEADS = (
    "",
    "From: a@b.c\nSubject: b\n\n",
    "From: a@b.c\nContent-Type: text/html\n\n",
    "From: a@b.c\nContent-Type: multipart/report; boundary=b\n\n",
)


def seconds(refusals: Refusals, given: Iterable[str | bytes]) -> list[float]:
    took = []
    for it in given:
        began = time.process_time()
        refusals.find(it)
        took.append(time.process_time() - began)
    return took


def main() -> None:
    refusals = Refusals(catalogue.load())
    known = [it.text for name in ("vendors", "sending_side", "helo") for it in texts(name)]
    lines = [" ".join(known[place % len(known)].split()) for place in range(LINES)]
    took = seconds(refusals, lines)
    print(f"{len(lines) / sum(took):8.0f} lines a second, the slowest {max(took) * 1e3:.1f} ms")
    mutations = Mutations(10554)
    took = seconds(refusals, (mutations.mail() for _ in range(MAILS)))
    print(f"{len(took) / sum(took):8.0f} mutated mails a second, the slowest {max(took) * 1e3:.1f} ms")
    worst = sorted(
        (max(seconds(refusals, [text])), unit, len(text))
        for unit in UNITS
        for size in (bounce.LONGEST, bounce.LARGEST)
        for head in HEADS
        for text in [head + unit * (size // len(unit))]
    )
    for cost, unit, length in worst[:-11:-1]:
        print(f"{cost * 1e3:8.1f} ms  {length:8} characters of {unit!r}")


if __name__ == "__main__":
    main()
