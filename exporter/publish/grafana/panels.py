"""Panels, as Grafana's JSON model has them, with the few options that we use.

There are only kinds that show one fact plainly: stat, time series, table and bar gauge. Missing data must never look
good, so a panel shows "no data" for a value that is neither 0 nor 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
ABSENT = "no data"

# A traffic light: what is not known is neither green nor red, and what has not been looked at yet is grey.
PLAIN, GOOD, NOTICE, WARN, BAD = "text", "green", "light-yellow", "yellow", "red"
DOUBT, WAITING = "blue", "#8e8e8e"
COUNT = "short"
WHEN = "dateTimeFromNow"  # milliseconds since the epoch, shown as "3 hours ago"

Steps: TypeAlias = Sequence[tuple[float | None, str]]  # from this value on, this colour
NEUTRAL: Steps = ((None, PLAIN),)
ANY_IS_BAD: Steps = ((None, PLAIN), (1, BAD))
ANY_IS_A_WARNING: Steps = ((None, PLAIN), (1, WARN))
ANY_IS_DOUBT: Steps = ((None, PLAIN), (1, DOUBT))

SEVERITIES = {"critical": ("critical", BAD), "warning": ("warning", WARN)}
STATES = {
    "4": ("critical", BAD),
    "3": ("warning", WARN),
    "2": ("unknown", DOUBT),
    "1": ("pending", WAITING),
    "0": ("pass", GOOD),
}
UNCONFIRMED = {"0": ("not confirmed yet", WAITING)}


@dataclass(frozen=True)
class Link:
    title: str
    url: str
    new_tab: bool = False

    def json(self) -> Json:
        return {"title": self.title, "url": self.url, "targetBlank": self.new_tab}


@dataclass(frozen=True)
class Column:
    """One column of a table. `width` in pixels; the columns without one share what is left."""

    title: str
    width: int = 0
    unit: str = ""
    decimals: int | None = None
    steps: Steps = ()
    texts: Mapping[str, tuple[str, str]] | None = None  # value: what is shown, and its colour
    links: tuple[Link, ...] = ()
    hidden: bool = False
    filled: bool = False  # the cell has the colour, not its text
    wrapped: bool = False  # a long text takes several lines

    def override(self) -> Json:
        properties: list[tuple[str, Any]] = []
        if self.hidden:
            properties.append(("custom.hidden", True))
        if self.width:
            properties.append(("custom.width", self.width))
        if self.unit:
            properties.append(("unit", self.unit))
        if self.decimals is not None:
            properties.append(("decimals", self.decimals))
        if self.steps:
            properties.append(("thresholds", thresholds(self.steps)))
        if self.texts:
            properties.append(("mappings", mappings(self.texts)))
        if self.steps or self.texts:
            kind = {"type": "color-background", "mode": "basic"} if self.filled else {"type": "color-text"}
            properties.append(("custom.cellOptions", kind))
        elif self.wrapped:
            properties.append(("custom.cellOptions", {"type": "auto", "wrapText": True}))
        if self.links:
            properties.append(("links", [link.json() for link in self.links]))
        return {
            "matcher": {"id": "byName", "options": self.title},
            "properties": [{"id": name, "value": value} for name, value in properties],
        }


def thresholds(steps: Steps) -> Json:
    return {"mode": "absolute", "steps": [{"value": value, "color": color} for value, color in steps]}


def mappings(texts: Mapping[str, tuple[str, str]]) -> list[Json]:
    shown = {
        value: {"text": text, "color": color, "index": n} for n, (value, (text, color)) in enumerate(texts.items())
    }
    return [{"type": "value", "options": shown}]


def stat(
    title: str,
    says: str,
    expr: str,
    *,
    unit: str = COUNT,
    decimals: int | None = None,
    steps: Steps = NEUTRAL,
    texts: Mapping[str, tuple[str, str]] | None = None,
    legend: str = "",
    links: Sequence[Link] = (),
) -> Json:
    """One number; with a legend, the label that it names is shown instead of the number."""
    return _panel(
        "stat",
        title,
        says,
        [_target(expr, legend or "__auto", instant=True)],
        {
            "unit": unit,
            "decimals": decimals,
            "noValue": ABSENT,
            "color": {"mode": "thresholds"},
            "thresholds": thresholds(steps),
            "mappings": mappings(texts or {}) if texts else [],
            "links": [link.json() for link in links],
        },
        {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "center",
            "orientation": "auto",
            "textMode": "name" if legend else "value",
            "wideLayout": True,
        },
    )


def lights(title: str, says: str, expr: str, legend: str) -> Json:
    """A traffic light for each series, with one of STATES."""
    panel = stat(title, says, expr, texts=STATES, legend=legend)
    panel["options"] |= {"colorMode": "background_solid", "textMode": "value_and_name"}
    panel["options"]["text"] = {"titleSize": 11, "valueSize": 14}
    return panel


def bars(
    title: str,
    says: str,
    expr: str,
    legend: str,
    *,
    unit: str = COUNT,
    decimals: int | None = None,
    steps: Steps = NEUTRAL,
    most: float | None = None,
    links: Sequence[Link] = (),
) -> Json:
    """One bar for each series; `most` is the length of a whole one, the longest bar unless given."""
    return _panel(
        "bargauge",
        title,
        says,
        [_target(expr, legend, instant=True)],
        {
            "unit": unit,
            "decimals": decimals,
            "min": 0,
            "max": most,
            "noValue": ABSENT,
            "color": {"mode": "thresholds"},
            "thresholds": thresholds(steps),
            "mappings": [],
            "links": [link.json() for link in links],
        },
        {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "text": {"titleSize": 12, "valueSize": 14},
            "displayMode": "basic",
            "orientation": "horizontal",
            "showUnfilled": False,
            "valueMode": "color",
            "namePlacement": "left",
            "sizing": "manual",
            "minVizWidth": 8,
            "minVizHeight": 16,
            "maxVizHeight": 28,
        },
    )


def series(
    title: str,
    says: str,
    *targets: tuple[str, str],
    unit: str = COUNT,
    decimals: int | None = None,
    stacked: bool = False,
    steps: Steps = (),
    colors: Mapping[str, str] | None = None,
    shades: str = "",
    least: float | None = 0,
    most: float | None = None,
    roomy: float | None = None,
    lasts: str = "",
) -> Json:
    """Lines over time. Targets are (expression, legend); a gap in the data stays a gap.

    The axis begins at `least`, anywhere without it, and reaches `most`, or at least `roomy`. With `shades` of one color
    no line is green that is no good news. `lasts` is a duration, if it is not that of the dashboard.
    """
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 25 if stacked else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "line" if steps else "off"},
        **({"axisSoftMax": roomy} if roomy is not None else {}),
    }
    panel = _panel(
        "timeseries",
        title,
        says,
        [_target(expr, legend) for expr, legend in targets],
        {
            "unit": unit,
            "decimals": decimals,
            "min": least,
            "max": most,
            "noValue": ABSENT,
            "color": {"mode": "shades", "fixedColor": shades} if shades else {"mode": "palette-classic"},
            "thresholds": thresholds(steps or NEUTRAL),
            "mappings": [],
            "custom": custom,
        },
        {
            "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    )
    panel["fieldConfig"]["overrides"] = [
        {
            "matcher": {"id": "byName", "options": name},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}],
        }
        for name, color in (colors or {}).items()
    ]
    if lasts:
        panel["timeFrom"] = lasts
    return panel


def table(
    title: str,
    says: str,
    labels: Mapping[str, Column],
    values: Mapping[str, tuple[str, Column]],
    *,
    sort: Sequence[tuple[str, bool]] = (),
) -> Json:
    """Rows by labels, with the value of each query as a column.

    `labels` are label: column, and what the queries must be aggregated by; `values` are a name: (query, column).
    The queries are joined where all labels are equal. `sort` is column titles, and whether from high to low.
    """
    letters = "ABCDEFGHIJ"[: len(values)]
    names = {letter: f"Value #{letter}" if len(values) > 1 else "Value" for letter in letters}
    order = [*labels, *names.values()]
    columns = [*labels.values(), *(column for _, column in values.values())]
    changes: list[Json] = [{"id": "merge", "options": {}}] if len(values) > 1 else []
    changes.append(
        {
            "id": "organize",
            "options": {
                "excludeByName": {"Time": True},
                "indexByName": {name: place for place, name in enumerate(order)},
                "renameByName": {name: column.title for name, column in zip(order, columns, strict=True)},
            },
        }
    )
    panel = _panel(
        "table",
        title,
        says,
        [
            _target(expr, "", instant=True, ref=letter, rows=True)
            for letter, (expr, _) in zip(letters, values.values(), strict=True)
        ],
        {
            "color": {"mode": "thresholds"},
            "thresholds": thresholds(NEUTRAL),
            "custom": {"align": "left", "cellOptions": {"type": "auto"}, "filterable": True, "inspect": False},
        },
        {
            "cellHeight": "sm",
            "showHeader": True,
            "sortBy": [{"displayName": name, "desc": falling} for name, falling in sort],
        },
    )
    panel["fieldConfig"]["overrides"] = [column.override() for column in columns if column.override()["properties"]]
    panel["transformations"] = changes
    return panel


def _target(expr: str, legend: str, *, instant: bool = False, ref: str = "A", rows: bool = False) -> Json:
    return {
        "refId": ref,
        "datasource": DATASOURCE,
        "expr": expr,
        "legendFormat": legend,
        "instant": instant,
        "range": not instant,
        "format": "table" if rows else "time_series",
        "editorMode": "code",
    }


def _panel(kind: str, title: str, says: str, targets: list[Json], defaults: Json, options: Json) -> Json:
    for letter, target in zip("ABCDEFGHIJ", targets, strict=False):
        target["refId"] = letter
    return {
        "type": kind,
        "title": title,
        "description": says,
        "datasource": DATASOURCE,
        "targets": targets,
        "fieldConfig": {
            "defaults": {name: value for name, value in defaults.items() if value not in (None, "", [])},
            "overrides": [],
        },
        "options": options,
    }
