"""Fuzz the parsers of exporter/mail, guided by coverage: nothing but a parser's own error may come out.

Run by hand, with atheris installed beside the project: python -m bench.fuzz_parsers [-runs=N] [CORPUS], options as of
libFuzzer. A parser that needs more than a second for one input fails too (-timeout).
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["exporter"]):
    from tests.support.parsers import HEADS, PARSERS, WORDS

NAMES = tuple(PARSERS)


def one(data: bytes) -> None:
    """The first octet chooses the parser and the beginning, the others are words of its language or themselves."""
    if len(data) < 2:
        return
    name = NAMES[data[0] % len(NAMES)]
    heads = HEADS.get(name, (b"",))
    head = heads[data[0] // len(NAMES) % len(heads)]
    body = data[2:] if data[1] % 2 else b"".join(WORDS[n] if n < len(WORDS) else bytes((n,)) for n in data[2:])
    parser = PARSERS[name]
    try:
        parser.read(head + body)
    except ValueError as error:
        if parser.error is None or not isinstance(error, parser.error):
            raise


def main() -> None:
    atheris.Setup([sys.argv[0], "-max_len=400", "-timeout=1", *sys.argv[1:]], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
