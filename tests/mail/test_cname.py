"""An alias counts as a name's own only if the name beside it has another."""

from __future__ import annotations

import pytest

from exporter.mail.cname import dangling
from exporter.mail.dns import Question, Reply, Status

HERE = Question("_dmarc.example.com", "TXT")


def told(mine: Reply, *, beside: Reply) -> tuple[str, Reply | None]:
    evaluation = dangling(mine)
    try:
        assert next(evaluation) == Question("_no_dmarc.example.com", "TXT")
        evaluation.send(beside)
    except StopIteration as end:
        result: tuple[str, Reply | None] = end.value
        return result
    raise AssertionError("one question is enough")


def void(*chain: str, status: Status = Status.NXDOMAIN) -> Reply:
    return Reply(HERE, status, chain=chain)


@pytest.mark.parametrize(
    ("mine", "beside", "end"),
    [
        (void("a.example", "b.example"), void(), "b.example"),
        (void("a.example", "b.example"), void("c.example"), "b.example"),
        (void("a.example", status=Status.NODATA), Reply(HERE, Status.ANSWER), "a.example"),
        (void("www.example"), void("www.example"), ""),
        (void("www.example", "one.cdn.example"), void("www.example", "two.cdn.example"), ""),
        (void("www.example"), void("www.example", status=Status.SERVFAIL), ""),
        (void("_dmarc.example.net"), void("_no_dmarc.example.net"), ""),
    ],
    ids=["own", "beside another", "no data", "wildcard", "rotating end", "wildcard to nowhere", "dname"],
)
def test_whose_an_alias_is(mine: Reply, beside: Reply, end: str) -> None:
    assert told(mine, beside=beside) == (end, None)


def test_without_an_answer_it_is_nobody_s_and_that_is_said() -> None:
    silence = void(status=Status.TIMEOUT)
    assert told(void("a.example"), beside=silence) == ("", silence)


@pytest.mark.parametrize("reply", [void(), Reply(HERE, Status.ANSWER, chain=("a.example",))])
def test_where_nothing_dangles_nothing_is_asked(reply: Reply) -> None:
    with pytest.raises(StopIteration) as end:
        next(dangling(reply))
    assert end.value.value == ("", None)
