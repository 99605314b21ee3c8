"""What DKIM selectors come to."""

from __future__ import annotations

from exporter.targets import Delivery, KeyNamespace, Selector, Zone
from tests.support.configuration import Read, only


def test_a_retired_selector_is_looked_at_but_nothing_rests_on_it(read: Read) -> None:
    settings = read(
        """
smtp: {helo_name: p.example.net}
domains:
  - name: a.example
    dkim_selectors: [new, {selector: old, retired: true}, {selector: older, domain: b.example, retired: true}]
"""
    )
    assert [(target.selector, target.signer, target.retired) for target in only(settings, Selector)] == [
        ("new", "a.example", False),
        ("old", "a.example", True),
        ("older", "b.example", True),
    ]
    assert [zone.keys for zone in only(settings, Zone)] == [("new._domainkey.a.example",)]
    assert [[it.key for it in delivery.rests_on] for delivery in only(settings, Delivery)] == [
        ["domain=a.example", "domain=a.example,selector=new"]
    ]
    assert only(settings, KeyNamespace) == []


def test_a_selector_knows_the_others_in_use_of_the_same_signer(read: Read) -> None:
    settings = read(
        """
smtp: {helo_name: p.example.net}
domains:
  - name: a.example
    dkim_selectors: [s1, s2, {selector: s3, retired: true}, {selector: s4, domain: b.example}, s5]
"""
    )
    siblings = {target.selector: target.siblings for target in only(settings, Selector)}
    assert siblings == {"s1": ("s2", "s5"), "s2": ("s1", "s5"), "s3": (), "s4": (), "s5": ("s1", "s2")}


def test_a_domain_that_sends_without_a_selector_in_use_is_asked_whether_it_has_keys(read: Read) -> None:
    settings = read(
        """
smtp: {helo_name: p.example.net}
domains:
  - {name: none.example, labels: {team: crm}, checks: {dkim: {enabled: false}}}
  - {name: retired.example, dkim_selectors: [{selector: old, retired: true}]}
  - {name: parked.example, sends_mail: false}
label_names: [team]
"""
    )
    none, retired = only(settings, KeyNamespace)
    assert (none.domain, none.labels, "dkim" in none.off) == ("none.example", (("team", "crm"),), True)
    assert (retired.domain, retired.key) == ("retired.example", "domain=retired.example")
