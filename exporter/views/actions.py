"""The paths that act: acknowledge a finding, withdraw that, check again now. They are off by default.

The rules:

- Only POST, only from our own pages or from a program (origin.py), only with --web.enable-actions.
- The body is one small form of known fields, each once. Nothing else of the request decides.
- A browser is sent back to the page of the target, and gets a refusal as a page. A program gets one line of text.
- Who it was is the name of the login, if there is one.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias
from urllib.parse import parse_qsl, quote

from aiohttp import web

from exporter.check_state import CheckState, FindingPolicy
from exporter.clock import Clock
from exporter.config import values
from exporter.engine.acknowledgement import DAY, LONGEST, MOST_REASON, Acknowledgement
from exporter.engine.actions import (
    ACKNOWLEDGE,
    RECHECK,
    WITHDRAW,
    ActionRefusedError,
    Actions,
    NothingToActOnError,
    in_words,
)
from exporter.engine.catalogue import Catalogue
from exporter.model import TargetId
from exporter.text import day, listed, minute
from exporter.views.origin import is_foreign
from exporter.views.public import PublicAddress
from exporter.views.security import USER
from exporter.views.timeline import title

FORM = "application/x-www-form-urlencoded"
MOST_OCTETS, MOST_FIELDS = 4096, 8
FIELDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {  # what a form must have, and what it may have
    ACKNOWLEDGE: (frozenset({"target", "finding", "until", "reason"}), frozenset()),
    WITHDRAW: (frozenset({"target", "finding"}), frozenset()),
    RECHECK: (frozenset({"target"}), frozenset({"check"})),
}
OFF = "actions are off; start with --web.enable-actions and --storage.path\n"
FOREIGN = (
    "a page of another origin may not do this; if this is the exporter's own page, "
    "set --web.external-url to the URL in the browser\n"
)
TARGET = web.RequestKey("target", str)  # what an action names, once its form was read
USUAL = 7 * DAY  # that the form proposes
MOST_NOTICES, MOST_GIVEN = 5, 30  # shown on one page
_duration = values.duration(timedelta(minutes=1), timedelta(seconds=LONGEST))

_Form: TypeAlias = dict[str, str]


@dataclass(frozen=True, slots=True)
class OfferedActions:
    """What the page of some targets offers. `target` names all of them, `findings` are ids with their titles."""

    target: str
    checks: tuple[str, ...]
    findings: tuple[tuple[str, str], ...]
    given: tuple[Acknowledgement, ...]
    left_out: int  # of those that are given
    notices: tuple[str, ...]
    first_day: str
    usual_day: str
    last_day: str
    most_reason: int = MOST_REASON


class ActionPaths:
    """The handlers. Without `actions`, all of them refuse."""

    def __init__(
        self,
        actions: Actions | None,
        catalogue: Catalogue,
        clock: Clock,
        policy: Callable[[], FindingPolicy],
        public: PublicAddress,
    ) -> None:
        self._actions = actions
        self._catalogue = catalogue
        self._policy = policy
        self._clock = clock
        self._public = public

    def routes(self, below: str) -> list[web.RouteDef]:
        handlers = {ACKNOWLEDGE: self._acknowledge, WITHDRAW: self._withdraw, RECHECK: self._recheck}
        return [
            web.route("*", f"{below}/-/{name}", self._handler(name, do), name=name) for name, do in handlers.items()
        ]

    def offered(self, states: Sequence[CheckState]) -> OfferedActions | None:
        """For the page of the targets of these states. None if nobody may act."""
        if self._actions is None or not states:
            return None
        shared, now = states[0].target.identity, self._clock.wall()
        keys = dict.fromkeys(state.target.key for state in states)
        for state in states:
            shared = tuple(it for it in shared if it in state.target.identity)
        active = {it.finding.id for state in states for it in state.effective(self._policy(), now) if it.fails}
        given = [it for it in self._actions.acknowledged.of(keys) if it.until > now]
        return OfferedActions(
            target=next(iter(keys)) if len(keys) == 1 else TargetId(shared).key,
            checks=tuple(dict.fromkeys(state.check.id for state in states)),
            findings=tuple((it, title(self._catalogue, it)) for it in sorted(active)),
            given=tuple(given[:MOST_GIVEN]),
            left_out=len(given[MOST_GIVEN:]),
            notices=tuple(filter(None, map(self._actions.notice, keys)))[:MOST_NOTICES],
            first_day=day(now),
            usual_day=day(now + USUAL),
            last_day=day(now + LONGEST - DAY),
        )

    def _handler(
        self, name: str, do: Callable[[Actions, _Form, str], Awaitable[str]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(request: web.Request) -> web.Response:
            if request.method != "POST":
                raise web.HTTPMethodNotAllowed(request.method, ["POST"], text="use POST\n")
            if self._actions is None:
                raise web.HTTPForbidden(text=OFF)
            origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
            if is_foreign(origin, site, request.host, self._public.origin):
                raise web.HTTPForbidden(text=FOREIGN)
            form = await _form(request, *FIELDS[name])
            request[TARGET] = form["target"]
            try:
                told = await do(self._actions, form, request.get(USER, ""))
            except NothingToActOnError as nothing:
                raise web.HTTPNotFound(text=f"{nothing}\n") from None
            except ActionRefusedError as refused:
                raise _refusal(refused) from None
            if "text/html" in request.headers.get("Accept", ""):
                raise web.HTTPSeeOther(f"{self._public.links}/targets/{quote(form['target'], safe='=,:')}")
            return web.Response(text=f"{told}\n")

        return handler

    async def _acknowledge(self, actions: Actions, form: _Form, by: str) -> str:
        until = _until(form["until"], self._clock.wall())
        given = await actions.acknowledge(form["target"], form["finding"], until, form["reason"], by)
        return f"{form['finding']} of {listed(it.target for it in given)} is acknowledged until {minute(until)}"

    async def _withdraw(self, actions: Actions, form: _Form, by: str) -> str:
        keys = await actions.withdraw(form["target"], form["finding"], by)
        return f"{form['finding']} of {listed(keys)} is not acknowledged any more"

    async def _recheck(self, actions: Actions, form: _Form, by: str) -> str:
        reruns = actions.recheck(form["target"], form.get("check", ""), by)
        return "\n".join(f"{it.check} of {it.target} runs {in_words(it.seconds)}" for it in reruns)


async def _form(request: web.Request, must: frozenset[str], may: frozenset[str]) -> _Form:
    """The fields of the body. Raise an HTTPException that says what is expected."""
    if request.content_type != FORM:
        raise web.HTTPUnsupportedMediaType(text=f"the body is a form, {FORM}\n")
    octets = await request.read()
    if len(octets) > MOST_OCTETS:
        raise web.HTTPRequestEntityTooLarge(MOST_OCTETS, len(octets), text=f"a form has at most {MOST_OCTETS} bytes\n")
    try:
        text = octets.decode("ascii")
        pairs = parse_qsl(
            text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MOST_FIELDS
        )
    except ValueError:
        raise web.HTTPBadRequest(text="the body is no form in UTF-8\n") from None
    form = dict(pairs)
    if len(form) != len(pairs) or not must <= form.keys() <= must | may:
        wanted = ", ".join(sorted(must)) + "".join(f" and perhaps {name}" for name in sorted(may))
        raise web.HTTPBadRequest(text=f"the form has exactly these fields, each once: {wanted}\n")
    return form


def _until(text: str, now: float) -> float:
    """Unix seconds. Raise an HTTPException."""
    try:
        return values.until(text) if values.DATE.fullmatch(text) else now + _duration(text).total_seconds()
    except ValueError:
        wanted = "until is the last day (UTC), such as 2027-01-31, or a time such as 12h or 3d, of a year at most\n"
        raise web.HTTPBadRequest(text=wanted) from None


def _refusal(refused: ActionRefusedError) -> web.HTTPException:
    if refused.retry is None:
        return web.HTTPConflict(text=f"{refused}\n")
    seconds = math.ceil(refused.retry)
    return web.HTTPTooManyRequests(
        text=f"{refused}; try again in {seconds} s\n", headers={"Retry-After": str(max(seconds, 1))}
    )
