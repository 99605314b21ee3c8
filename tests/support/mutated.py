"""Bounces with something changed at random, as strangers could send them."""

from __future__ import annotations

import random

from tests.support.refusals import notification, texts

_JOINTS = (
    b"\n", b"\n\n", b"\r\n", b" ", b": ", b"; ", b"--=_1\n", b"--=_1--\n", b"550 5.1.1 ", b"451-4.7.0 ", b"-> 451 ",
    b"<<< 550 ", b"Content-Type: message/rfc822\n\n", b"Content-Type: multipart/report; boundary=x\n\n--x\n",
    b"=?utf-8?b?", b"\xff\xfe", b"Content-Transfer-Encoding: base64\n", b"charset=punycode", b"<a@b.example>: ", b"\0",
    b"host a.b[192.0.2.1] said: ", b"Diagnostic-Code: smtp; ", b"Remote-MTA: dns; ", b"a" * 500, b"." * 200, b"(" * 100,
    b"<" * 200, b"@" * 50, b"\xe2\x80\xae",
)  # fmt: skip


class Mutations:
    """An endless supply of them; the same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._texts = [it.text for name in ("vendors", "sending_side", "helo") for it in texts(name)]

    def mail(self) -> bytes:
        chance = self._random
        text, other = chance.choice(self._texts), chance.choice(self._texts)
        fields = f"Final-Recipient: rfc822; a@b.example\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; {text}"
        original = f"Received: from x by y; now\nFrom: a@b.example\nSubject: {other}\n\n{other}\n"
        mail = bytearray(notification(f"<a@b.example>: {text}", *[fields] * chance.randint(1, 4), original=original))
        for _ in range(chance.randint(1, 12)):
            place = chance.randrange(len(mail))
            match chance.randrange(4):
                case 0:
                    mail[place] = chance.randrange(256)
                case 1:
                    del mail[place : place + chance.randint(1, 60)]
                case 2:
                    mail[place:place] = chance.choice(_JOINTS) * chance.choice((1, 1, 1, 20))
                case _:
                    end = min(len(mail), place + chance.randint(1, 400))
                    mail[place:place] = mail[place:end] * chance.choice((1, 2, 10))
            if not mail:
                break
        return bytes(mail)
