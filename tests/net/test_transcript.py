"""What a run writes down is bounded, whatever the world sends, and says what it left out."""

from __future__ import annotations

from exporter.net.transcript import LINES_LIMIT, TEXT_LIMIT, TRANSCRIPT_LIMIT, Transcript


def test_lines_of_one_exchange_are_bounded() -> None:
    kept = Transcript()
    kept.note("q", tuple(map(str, range(LINES_LIMIT + 5))))
    (exchange,) = kept.freeze()
    assert exchange.got[-1] == "… 5 more lines"
    assert len(exchange.got) == LINES_LIMIT + 1


def test_exchanges_are_bounded_and_counted() -> None:
    kept = Transcript()
    for _ in range(TRANSCRIPT_LIMIT + 3):
        kept.note("q", ("a",))
    assert len(kept.freeze()) == TRANSCRIPT_LIMIT + 1
    assert kept.freeze()[-1].asked == "… 3 more exchanges"


def test_the_whole_text_is_bounded() -> None:
    kept = Transcript()
    for _ in range(TRANSCRIPT_LIMIT):
        kept.note("q", ("x" * 10_000,) * LINES_LIMIT)
    size = sum(len(line) for exchange in kept.freeze() for line in exchange.got)
    assert size < 2 * TEXT_LIMIT
