"""Mail hosts are found in what the `mx` check holds, each once, and go only by a successful discovery."""

from __future__ import annotations

from dataclasses import replace

from exporter.engine import catalogue
from exporter.engine.discovery import MailHosts
from exporter.engine.store import CheckState
from exporter.model import Target
from exporter.targets import Domain, MailHost

MX = catalogue.load().checks["mx"]
(RELATION,) = (m for m in catalogue.load().metrics if m.name == "deliverability_domain_mail_host_info")


def mx(domain: str, *hosts: str, labels: tuple[tuple[str, str], ...] = (), off: tuple[str, ...] = ()) -> CheckState:
    target: Target = Domain(name=domain, mail_from=(domain,), labels=labels, off=frozenset(off))
    return CheckState(MX, target, samples=tuple(RELATION(1, mail_host=host, mail_port="25") for host in hosts))


def names(hosts: list[MailHost]) -> list[str]:
    return sorted(host.host for host in hosts)


def test_a_host_of_many_domains_is_one_target_and_goes_with_the_last_of_them() -> None:
    hosts = MailHosts(())
    assert names(hosts.learn(mx("a.example", "mx.example")).wanted) == ["mx.example"]
    hosts.learn(mx("b.example", "mx.example"))
    assert names(hosts.all) == ["mx.example"]
    assert hosts.learn(mx("a.example", "other.example")).gone == []
    assert names(hosts.learn(mx("b.example")).gone) == ["mx.example"]
    assert names(hosts.all) == ["other.example"]


def test_it_knows_which_domains_lead_to_a_host() -> None:
    hosts = MailHosts(())
    for held in (mx("a.example", "mx.example", "other.example"), mx("b.example", "other.example"), mx("c.example")):
        hosts.learn(held)
    assert hosts.leading_to({("mx.example", 25)}) == {"domain=a.example"}
    assert hosts.leading_to({("other.example", 25)}) == {"domain=a.example", "domain=b.example"}
    assert hosts.leading_to({("other.example", 587)}) == set()


def test_what_is_learnt_twice_changes_nothing() -> None:
    hosts = MailHosts(())
    hosts.learn(mx("a.example", "mx.example"))
    assert hosts.learn(mx("a.example", "mx.example")) == ([], [])


def test_a_found_host_carries_only_what_all_its_domains_agree_on() -> None:
    hosts = MailHosts(())
    hosts.learn(mx("a.example", "mx.example", labels=(("team", "x"), ("env", "p")), off=("smtp_tls",)))
    (alone,) = hosts.all
    assert (alone.labels, alone.off) == ((("env", "p"), ("team", "x")), frozenset({"smtp_tls"}))
    (shared,) = hosts.learn(mx("b.example", "mx.example", labels=(("team", "y"), ("env", "p")))).wanted
    assert (shared.labels, shared.off) == ((("env", "p"),), frozenset())
    (again,) = hosts.learn(mx("b.example")).wanted
    assert again == alone


def test_new_labels_of_a_domain_reach_its_hosts() -> None:
    hosts = MailHosts(())
    hosts.learn(mx("a.example", "mx.example"))
    (host,) = hosts.learn(mx("a.example", "mx.example", labels=(("team", "x"),))).wanted
    assert host.labels == (("team", "x"),)


def test_a_configured_host_stays_as_it_is_and_never_goes() -> None:
    configured = MailHost(host="mx.example", configured=True, labels=(("team", "ops"),))
    hosts = MailHosts([configured])
    assert hosts.learn(mx("a.example", "mx.example")) == ([], [])
    assert hosts.learn(mx("a.example")) == ([], [])
    assert hosts.all == [configured]


def test_another_port_is_another_host() -> None:
    configured = MailHost(host="mx.example", port=587, configured=True)
    hosts = MailHosts([configured])
    hosts.learn(mx("a.example", "mx.example"))
    assert hosts.all == [configured, replace(configured, port=25, configured=False)]
