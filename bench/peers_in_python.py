"""checkdmarc and pyspf, in an environment of their own: standard input says what to do, see peers.py.

Told are the seconds of CPU for one domain.
"""

from __future__ import annotations

import json
import sys
import time
import warnings


def main() -> None:
    what, host, port, domains = json.load(sys.stdin)
    warnings.simplefilter("ignore")  # pyspf uses what dnspython deprecates
    import dns.resolver  # noqa: PLC0415  (the other environment's)

    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [host], port
    if what == "pyspf":
        import spf  # noqa: PLC0415  (the other environment's)

        dns.resolver.default_resolver = resolver

        def ask(domain: str) -> bool:
            return bool(spf.check2(i="11.0.0.1", s=f"a@{domain}", h=f"out1.{domain}")[0] == "pass")

    else:
        import checkdmarc.dmarc  # noqa: PLC0415  (the other environment's)
        import checkdmarc.spf  # noqa: PLC0415  (the other environment's)

        def ask(domain: str) -> bool:
            spf_result = checkdmarc.spf.check_spf(domain, resolver=resolver)
            return bool(spf_result["valid"] and checkdmarc.dmarc.check_dmarc(domain, resolver=resolver)["valid"])

    assert ask(domains[0])
    began = time.process_time()
    good = sum(bool(ask(domain)) for domain in domains)
    assert good == len(domains), f"{good} of {len(domains)} are valid"
    print((time.process_time() - began) / good)


if __name__ == "__main__":
    main()
