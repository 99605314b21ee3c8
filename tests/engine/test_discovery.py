"""Found targets, such as mail hosts, are each there once, and go only by a successful discovery."""

from __future__ import annotations

from dataclasses import replace

from exporter.check_state import CheckState
from exporter.engine import catalogue
from exporter.engine.discovery import FoundTargets
from exporter.model import Target
from exporter.targets import Domain, MailHost

MX = catalogue.load().checks["mx"]


def all_of(found: FoundTargets) -> list[Target]:
    return [target for key in found.keys if (target := found.get(key))]


def mx(domain: str, *hosts: str, labels: tuple[tuple[str, str], ...] = (), off: tuple[str, ...] = ()) -> CheckState:
    target: Target = Domain(name=domain, mail_from=(domain,), labels=labels, off=frozenset(off))
    return CheckState(MX, target, found=tuple(MailHost(host=host) for host in hosts))


def names(hosts: list[Target]) -> list[str]:
    return sorted(host.host for host in hosts if isinstance(host, MailHost))


def test_a_host_of_many_domains_is_one_target_and_goes_with_the_last_of_them() -> None:
    hosts = FoundTargets(())
    assert names(hosts.learn(mx("a.example", "mx.example")).added) == ["mx.example"]
    hosts.learn(mx("b.example", "mx.example"))
    assert names(all_of(hosts)) == ["mx.example"]
    assert hosts.learn(mx("a.example", "other.example")).removed == []
    assert names(hosts.learn(mx("b.example")).removed) == ["mx.example"]
    assert names(all_of(hosts)) == ["other.example"]


def test_a_domain_more_with_the_same_labels_is_no_news_of_a_host() -> None:
    hosts = FoundTargets(())
    hosts.learn(mx("a.example", "mx.example", labels=(("team", "x"),)))
    assert hosts.learn(mx("b.example", "mx.example", labels=(("team", "x"),))) == ([], [])
    assert names(hosts.learn(mx("b.example", "mx.example", "mx2.example", labels=(("team", "x"),))).added) == [
        "mx2.example"
    ]
    assert hosts.learn(mx("a.example")) == ([], [])


def test_it_knows_which_domains_lead_to_a_host() -> None:
    hosts = FoundTargets(())
    for held in (mx("a.example", "mx.example", "other.example"), mx("b.example", "other.example"), mx("c.example")):
        hosts.learn(held)
    assert hosts.leading_to(MailHost(host="mx.example").key) == {"domain=a.example"}
    assert hosts.leading_to(MailHost(host="other.example").key) == {"domain=a.example", "domain=b.example"}
    assert hosts.leading_to(MailHost(host="other.example", port=587).key) == set()


def test_what_is_learnt_twice_changes_nothing() -> None:
    hosts = FoundTargets(())
    hosts.learn(mx("a.example", "mx.example"))
    assert hosts.learn(mx("a.example", "mx.example")) == ([], [])


def test_a_found_host_carries_only_what_all_its_domains_agree_on() -> None:
    hosts = FoundTargets(())
    hosts.learn(mx("a.example", "mx.example", labels=(("team", "x"), ("env", "p")), off=("smtp_tls",)))
    (alone,) = all_of(hosts)
    assert (alone.labels, alone.off) == ((("env", "p"), ("team", "x")), frozenset({"smtp_tls"}))
    (shared,) = hosts.learn(mx("b.example", "mx.example", labels=(("team", "y"), ("env", "p")))).added
    assert (shared.labels, shared.off) == ((("env", "p"),), frozenset())
    (again,) = hosts.learn(mx("b.example")).added
    assert again == alone


def test_new_labels_of_a_domain_reach_its_hosts() -> None:
    hosts = FoundTargets(())
    hosts.learn(mx("a.example", "mx.example"))
    (host,) = hosts.learn(mx("a.example", "mx.example", labels=(("team", "x"),))).added
    assert host.labels == (("team", "x"),)


def test_a_configured_host_stays_as_it_is_and_never_goes() -> None:
    configured = MailHost(host="mx.example", configured=True, labels=(("team", "ops"),))
    hosts = FoundTargets([configured])
    assert hosts.learn(mx("a.example", "mx.example")) == ([], [])
    assert hosts.learn(mx("a.example")) == ([], [])
    assert all_of(hosts) == [], "what is configured is not found"


def test_another_port_is_another_host() -> None:
    configured = MailHost(host="mx.example", port=587, configured=True)
    hosts = FoundTargets([configured])
    hosts.learn(mx("a.example", "mx.example"))
    assert all_of(hosts) == [replace(configured, port=25, configured=False)]
