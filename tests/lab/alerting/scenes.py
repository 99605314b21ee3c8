"""The scenes of the drill: what is done, and what people are told. Each is a row of the table in docs/alerting.md."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from exporter.publish.thresholds import seconds
from tests.lab.alerting.drill import DOMAINS, EVERY, INCLUDED, MINUTE, PATIENCE, THRESHOLDS, Drill
from tests.lab.exporter import FakeWallClock
from tests.lab.process import need, until

ALL = len(DOMAINS) + 1


@dataclass(frozen=True)
class Scene:
    """`happens` and `told` are the row as it is written there. `in_every_run`: it belongs to the slice."""

    happens: str
    told: str
    play: Callable[[Drill], None]
    thresholds: Mapping[str, str] = field(default_factory=dict)
    minute: float = MINUTE
    prepare: Callable[[Drill], None] = lambda _: None
    in_every_run: bool = False

    @property
    def name(self) -> str:
        return self.play.__name__.removeprefix("_").replace("_", "-")


def _mail_host_of_many(drill: Drill) -> None:
    drill.world.publish(mx='mx TXT "moved away"\n')
    drill.tells({"pager: +mx.no-address": ALL})
    drill.world.publish()
    drill.tells({"pager: -mx.no-address": ALL})
    about_it = [told for _, told in drill.to.messages if any(it.alert == "mx.no-address" for it in told)]
    assert len(about_it) < 20, "fifty targets are in a few messages"


def _shared_ptr(drill: Drill) -> None:
    drill.world.publish(shared='shared TXT "nobody"\n')
    drill.tells({"pager: +ptr.missing": 20})
    drill.world.publish()
    drill.tells({"pager: -ptr.missing": 20})


def _killed(drill: Drill) -> None:
    runs = "sum(deliverability_exporter_runs_total)"
    enough = (drill.value(runs) or 0) + drill.dice.randrange(200)
    until(lambda: (drill.value(runs) or 0) >= enough, "the moment to die", PATIENCE)
    drill.lab.kill("one")
    drill.start("one")
    drill.tells({})


def _without_state(drill: Drill) -> None:
    drill.lab.stop("one")
    for it in (drill.lab.home / "disk").iterdir():
        it.unlink()
    drill.start("one")
    drill.tells({})


def _stopped(drill: Drill) -> None:
    drill.lab.send("one", signal.SIGSTOP)
    drill.tells({"mail: +ExporterDown": 1})
    drill.lab.send("one", signal.SIGCONT)
    drill.tells({"mail: -ExporterDown": 1})


def _bad_reload(drill: Drill) -> None:
    drill.configure("one", "domains: [{name: example.net, dkim_selector: s1}]\n")
    assert drill.post("one", "/-/reload") == 500
    drill.tells({"mail: +ConfigReloadFailed": 1})
    drill.configure("one")
    assert drill.post("one", "/-/reload") == 200
    drill.tells({"mail: -ConfigReloadFailed": 1})


def _empty_include(drill: Drill) -> None:
    there, away = drill.lab.home / INCLUDED, drill.lab.home / "away.yaml"
    there.rename(away)
    assert drill.post("one", "/-/reload") == 500
    drill.tells({"mail: +ConfigReloadFailed": 1})
    assert drill.value('deliverability_targets{kind="domain"}') == ALL
    away.rename(there)
    assert drill.post("one", "/-/reload") == 200
    drill.tells({"mail: -ConfigReloadFailed": 1})


def _replaced(drill: Drill) -> None:
    drill.start("two")
    drill.discovered("one", "two")
    until(lambda: drill.up("two"), "the new one is scraped", PATIENCE)
    drill.discovered("two")
    until(lambda: drill.value('up{instance="one"}') is None, "the old one is not scraped any more", PATIENCE)
    drill.lab.stop("one")
    drill.tells({})


def _one_of_a_pair(drill: Drill) -> None:
    drill.start("two")
    drill.discovered("one", "two")
    until(lambda: drill.up("two"), "the other one is scraped", PATIENCE)
    drill.tells({})
    drill.lab.kill("two")
    (drill.lab.home / "disk" / "two").unlink()
    drill.start("two")
    drill.tells({})


def _flapping(drill: Drill) -> None:
    drill.world.publish(key="")
    drill.tells({"pager: +dkim.missing": 1})
    there = True
    while not drill.value("deliverability_finding_flapping"):
        drill.world.publish(**({} if there else {"key": ""}))
        there = not there
        for _ in range(drill.dice.randint(1, 2)):
            drill.everything_runs()
    drill.tells({"mail: +FindingFlapping": 1})
    drill.world.publish()
    drill.tells({"pager: -dkim.missing": 1, "mail: -FindingFlapping": 1})


def _silent_resolver(drill: Drill) -> None:
    drill.lab.send("unbound", signal.SIGSTOP)
    drill.tells({"mail: +ResolverUnhealthy": 1})
    drill.rules_run(seconds(THRESHOLDS["unknown_after"]) + 30 * MINUTE)  # what is unknown would be told by then
    drill.lab.send("unbound", signal.SIGCONT)
    drill.tells({"mail: -ResolverUnhealthy": 1})


def _lying_resolver(drill: Drill) -> None:
    drill.world.lies()
    drill.tells({"mail: +ResolverUnhealthy": 1})
    drill.rules_run(3 * EVERY)
    drill.world.is_honest_again()
    drill.tells({"mail: -ResolverUnhealthy": 1})
    changes = "max_over_time(deliverability_record_changed_timestamp_seconds[1h]) > 0"
    assert drill.monitor.query(changes) == {}, "no record has changed"


def _gone(drill: Drill) -> None:
    drill.lab.kill("one")
    drill.tells({"mail: +ExporterDown": 1})
    drill.tells({"pager: +ExporterDown": 1})
    drill.start("one")
    drill.tells({"pager: -ExporterDown": 1, "mail: -ExporterDown": 1})


def _on_a_disk_of_its_own(drill: Drill) -> None:
    """SQLite's log must still grow, so little may have been written before the disk is full."""
    drill.addresses, drill.domains = drill.addresses[:1], drill.domains[:1]
    need("unshare", "nsenter")
    disk = drill.lab.folder("disk")
    mounted = f'mount -t tmpfs -o size=24M none {disk} && exec {sys.executable} -m exporter "$@"'
    drill.through = ("unshare", "-Urm", "sh", "-c", mounted, "sh")


def _full_disk(drill: Drill) -> None:
    full = f"{drill.lab.home / 'disk'}/full"

    def inside(command: str) -> None:
        enter = ["nsenter", f"--target={drill.lab.pid('one')}", "--user", "--mount", "--preserve-credentials"]
        subprocess.run([*enter, "sh", "-c", command], check=True)

    inside(f"dd if=/dev/zero of={full} bs=1k status=none 2>/dev/null || true")
    drill.tells({"mail: +StateNotWritable": 1})
    inside(f"rm {full}")
    drill.tells({"mail: -StateNotWritable": 1})


def _clock(drill: Drill) -> FakeWallClock:
    return FakeWallClock(drill.lab.home / "clock")


def _with_a_clock(drill: Drill) -> None:
    _clock(drill).step(0)
    drill.env = _clock(drill).env


def _wrong_clock(drill: Drill) -> None:
    _clock(drill).step(3600)
    drill.tells({"mail: +ClockSkew": 1})
    _clock(drill).step(0)
    drill.tells({"mail: -ClockSkew": 1})


ONE_RELOAD = "`DeliverabilityConfigReloadFailed`, a warning; what was configured before stays"
ONE_RESOLVER = "`DeliverabilityResolverUnhealthy`, a warning; nothing about any target"
SOON_DOWN = {"down_after": "6s", "page_down_after": "12s"}
SCENES = [
    Scene(
        "a mail host of 50 domains loses its address",
        "`mx.no-address`, one page for all 50",
        _mail_host_of_many,
        in_every_run=True,
    ),
    Scene("a PTR record that 20 addresses share vanishes", "`ptr.missing`, one page for all 20", _shared_ptr),
    Scene(
        "a DKIM key is there for 15 to 30 minutes, missing for as long, and so on",
        "`dkim.missing`, once, and `DeliverabilityFindingFlapping`, a warning",
        _flapping,
        thresholds={"keep_firing": "8s"},
    ),
    Scene("the resolver is silent", ONE_RESOLVER, _silent_resolver),
    Scene("the resolver says that nothing exists", ONE_RESOLVER, _lying_resolver, in_every_run=True),
    Scene("the exporter is killed and starts again", "nothing", _killed),
    Scene("it is restarted without its state", "nothing", _without_state, in_every_run=True),
    Scene("a pod is replaced", "nothing", _replaced, minute=1.0),
    Scene("one of a pair is restarted", "nothing", _one_of_a_pair),
    Scene("it hangs for 8 minutes", "`DeliverabilityExporterDown`, a warning", _stopped, thresholds=SOON_DOWN),
    Scene(
        "no scrape for an hour or more",
        "`DeliverabilityExporterDown`, a warning, and a page after 30 minutes",
        _gone,
        thresholds=SOON_DOWN,
    ),
    Scene("a reload finds a fault in the configuration", ONE_RELOAD, _bad_reload),
    Scene("at a reload, a file that `include` names is missing", ONE_RELOAD, _empty_include),
    Scene(
        "its state file cannot be written, for example because the disk is full",
        "`DeliverabilityStateNotWritable`, a warning",
        _full_disk,
        prepare=_on_a_disk_of_its_own,
    ),
    Scene(
        "its clock is an hour or two wrong", "`DeliverabilityClockSkew`, a warning", _wrong_clock, prepare=_with_a_clock
    ),
]
