"""Part of the check `bimi`: the file that l= names. Is it a logo of the profile SVG Tiny PS?"""

from __future__ import annotations

from collections.abc import Iterator

from exporter.facts import Doubt, Finding, Rule, Severity
from exporter.mail.bimi.logo import LARGEST, LEAST_PIXELS, RECOMMENDED, Logo, LogoSyntaxError, examine
from exporter.net.https import Failure, Fetched

BIMI = "draft-brand-indicators-for-message-identification-10"
SVG = "draft-svg-tiny-ps-abrotman-12"
NO_LOGO = "Receivers show no logo beside mail of the domain; the mail itself is delivered all the same."

LOGO_TYPE = Rule(
    "bimi.logo-type",
    Severity.INFO,
    says='the web server says that the logo at {url} is "{type}"',
    why="Programs that go by the type take it for something else than a picture.",
    fix="Configure the web server to send Content-Type: image/svg+xml with {url}.",
    ref="RFC 9110 section 8.3; RFC 6170 section 5.2",
)
LOGO_SIZE = Rule(
    "bimi.logo-size",
    Severity.INFO,
    says="the logo at {url} is larger than recommended: {size} octets",
    why="Receivers set limits of their own; 32 kilobytes is what they are recommended.",
    fix="Make the SVG file at {url} smaller than 32768 octets: fewer points in its paths, no metadata.",
    ref=f"{BIMI} section 7.6; Gmail, Create a BIMI SVG file",
)
LOGO_UNREADABLE = Rule(
    "bimi.logo-unreadable",
    Severity.WARNING,
    says="the logo at {url} cannot be read as SVG: {why}",
    why=NO_LOGO,
    fix="Publish at {url} a plain SVG file of the profile SVG Tiny PS.",
    ref=f"{BIMI} section 7.6; {SVG} section 2",
)
LOGO_PROFILE = Rule(
    "bimi.logo-profile",
    Severity.WARNING,
    says="the logo at {url} is not of the profile SVG Tiny PS: {what}",
    why="Receivers, and authorities before they certify a logo, refuse what is not of the profile.",
    fix='Begin the SVG file at {url} with <svg version="1.2" baseProfile="tiny-ps" ...>, without x= and y=, and a '
    "<title>.",
    ref=f"{SVG} section 2",
)
LOGO_CONTENT = Rule(
    "bimi.logo-content",
    Severity.WARNING,
    says="the logo at {url} contains what SVG Tiny PS does not have: {what}",
    why="Receivers, and authorities before they certify a logo, refuse what is not of the profile.",
    fix="Remove {what} from the SVG file at {url}; shapes, gradients and text are enough to draw it.",
    ref=f"{SVG} section 2",
)
LOGO_EXTERNAL = Rule(
    "bimi.logo-external",
    Severity.WARNING,
    says="the logo at {url} refers to something outside of the file: {what}",
    why="Whoever shows it would have to load that from elsewhere, and so tell when mail is read; receivers refuse it.",
    fix="Put what is referred to into the SVG file at {url} itself.",
    ref=f"{SVG} section 2; RFC 6170 section 5.2",
)
LOGO_DOCTYPE = Rule(
    "bimi.logo-doctype",
    Severity.INFO,
    says="the logo at {url} has a DOCTYPE declaration",
    why="SVG Tiny 1.2 has no use for it, and careful readers of XML refuse such files.",
    fix="Remove the line <!DOCTYPE ...> from the SVG file at {url}.",
    ref="W3C, SVG Tiny 1.2",
)
LOGO_SHAPE = Rule(
    "bimi.logo-shape",
    Severity.INFO,
    says="the logo at {url} is not of the shape that receivers recommend: {what}",
    why="Logos are shown as squares and circles, and Gmail shows none of less than 96 pixels.",
    fix='Draw the logo in a square, such as viewBox="0 0 96 96" with spaces between the numbers.',
    ref="Gmail, Create a BIMI SVG file",
)

RULES = (
    LOGO_TYPE,
    LOGO_SIZE,
    LOGO_UNREADABLE,
    LOGO_PROFILE,
    LOGO_CONTENT,
    LOGO_EXTERNAL,
    LOGO_DOCTYPE,
    LOGO_SHAPE,
)
TYPES = ("image/svg+xml", "image/svg+xml+gzip")


def judge(fetched: Fetched) -> Iterator[Finding]:
    """Nothing, where there is no logo to be judged."""
    url = fetched.url
    if fetched.failure is Failure.TOO_LARGE:
        yield LOGO_SIZE(url=url, size=f"more than {LARGEST}", severity=Severity.WARNING)
    if fetched.status != 200:
        return
    kind = fetched.content_type.partition(";")[0].strip().lower()
    if kind not in TYPES:
        yield LOGO_TYPE(url=url, type=kind)
    match examine(fetched.body):
        case LogoSyntaxError() as error:
            yield LOGO_UNREADABLE(url=url, why=error)
        case Logo() as logo:
            yield from _profile(url, logo)
            yield from _recommended(url, logo)


def doubt(fetched: Fetched) -> Doubt | None:
    """Why there is none to be judged, if that is not certain; one that is too large is known to be that."""
    return None if fetched.failure is Failure.TOO_LARGE else fetched.doubt


def _profile(url: str, logo: Logo) -> Iterator[Finding]:
    faults = [
        *([f'version="{logo.version}" in place of 1.2'] if logo.version != "1.2" else []),
        *([f'baseProfile="{logo.base_profile}" in place of tiny-ps'] if logo.base_profile != "tiny-ps" else []),
        *(["no <title> right below the root"] if not logo.title else []),
        *(f"{name}= at the root" for name in logo.placed),
    ]
    if faults:
        yield LOGO_PROFILE(url=url, what=", ".join(faults))
    if logo.strange:
        yield LOGO_CONTENT(url=url, what=", ".join(logo.strange))
    if logo.elsewhere:
        yield LOGO_EXTERNAL(url=url, what=", ".join(logo.elsewhere))


def _recommended(url: str, logo: Logo) -> Iterator[Finding]:
    if logo.doctype:
        yield LOGO_DOCTYPE(url=url)
    if logo.size > RECOMMENDED:
        yield LOGO_SIZE(url=url, size=logo.size)
    if logo.sides is None:
        yield LOGO_SHAPE(url=url, what="it does not say how wide and high it is")
    elif logo.sides[0] != logo.sides[1]:
        yield LOGO_SHAPE(url=url, what=f"{logo.sides[0]:g} wide and {logo.sides[1]:g} high")
    elif logo.pixels and min(logo.pixels) < LEAST_PIXELS:
        yield LOGO_SHAPE(url=url, what=f"{min(logo.pixels):g} pixels")
