"""Part of the check `bimi`: the file that l= names. Is it a logo of the profile SVG Tiny PS?"""

from __future__ import annotations

from collections.abc import Iterator

from exporter.facts import Doubt, Finding, Rule, Severity
from exporter.mail.bimi.logo import LARGEST, LEAST_PIXELS, RECOMMENDED, Logo, LogoSyntaxError, examine
from exporter.net.https import Failure, Fetched

BIMI = "draft-brand-indicators-for-message-identification-10"
SVG = "draft-svg-tiny-ps-abrotman-12"
NO_LOGO = "Receivers show no logo beside mail of the domain. The mail itself is still delivered."

LOGO_TYPE = Rule(
    "bimi.logo-type",
    Severity.INFO,
    says='the web server sends the logo at {url} as "{type}"',
    why="Programs that use the type do not treat it as an image.",
    fix="Configure the web server to send Content-Type: image/svg+xml with {url}.",
    ref="RFC 9110 section 8.3; RFC 6170 section 5.2",
)
LOGO_SIZE = Rule(
    "bimi.logo-size",
    Severity.INFO,
    says="the logo at {url} is larger than recommended: {size} bytes",
    why="Receivers set their own limits. The recommendation is 32 kilobytes.",
    fix="Make the SVG file at {url} smaller than 32768 bytes: fewer points in its paths, no metadata.",
    ref=f"{BIMI} section 7.6; Gmail, Create a BIMI SVG file",
)
LOGO_UNREADABLE = Rule(
    "bimi.logo-unreadable",
    Severity.WARNING,
    says="the logo at {url} is not readable SVG: {why}",
    why=NO_LOGO,
    fix="Publish a plain SVG file of the profile SVG Tiny PS at {url}.",
    ref=f"{BIMI} section 7.6; {SVG} section 2",
)
LOGO_PROFILE = Rule(
    "bimi.logo-profile",
    Severity.WARNING,
    says="the logo at {url} is not SVG Tiny PS: {what}",
    why="Receivers reject other profiles, and so do authorities before they certify a logo.",
    fix='Begin the SVG file at {url} with <svg version="1.2" baseProfile="tiny-ps" ...>, without x= and y=, and a '
    "<title>.",
    ref=f"{SVG} section 2",
)
LOGO_CONTENT = Rule(
    "bimi.logo-content",
    Severity.WARNING,
    says="the logo at {url} has content that SVG Tiny PS does not allow: {what}",
    why="Receivers reject other profiles, and so do authorities before they certify a logo.",
    fix="Remove {what} from the SVG file at {url}. Shapes, gradients and text are enough to draw it.",
    ref=f"{SVG} section 2",
)
LOGO_EXTERNAL = Rule(
    "bimi.logo-external",
    Severity.WARNING,
    says="the logo at {url} refers to something outside the file: {what}",
    why="A program that shows it would load that from elsewhere, and reveal when mail is read. Receivers reject it.",
    fix="Put the referenced content into the SVG file at {url} itself.",
    ref=f"{SVG} section 2; RFC 6170 section 5.2",
)
LOGO_DOCTYPE = Rule(
    "bimi.logo-doctype",
    Severity.INFO,
    says="the logo at {url} has a DOCTYPE declaration",
    why="SVG Tiny 1.2 does not need it, and careful XML readers reject such files.",
    fix="Remove the line <!DOCTYPE ...> from the SVG file at {url}.",
    ref="W3C, SVG Tiny 1.2",
)
LOGO_SHAPE = Rule(
    "bimi.logo-shape",
    Severity.INFO,
    says="the logo at {url} does not have the recommended shape: {what}",
    why="Programs show logos as squares and circles. Gmail shows no logo smaller than 96 pixels.",
    fix='Draw the logo in a square, for example viewBox="0 0 96 96" with spaces between the numbers.',
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
        *([f'version="{logo.version}" instead of 1.2'] if logo.version != "1.2" else []),
        *([f'baseProfile="{logo.base_profile}" instead of tiny-ps'] if logo.base_profile != "tiny-ps" else []),
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
        yield LOGO_SHAPE(url=url, what="it has no width and height")
    elif logo.sides[0] != logo.sides[1]:
        yield LOGO_SHAPE(url=url, what=f"{logo.sides[0]:g} wide and {logo.sides[1]:g} high")
    elif logo.pixels and min(logo.pixels) < LEAST_PIXELS:
        yield LOGO_SHAPE(url=url, what=f"{min(logo.pixels):g} pixels")
