"""The page of a day: a template of this package filled in. Self-contained, and everything from the file is escaped."""

from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from importlib.resources import files
from string import Template
from typing import Final

from mmvq_run import __version__
from mmvq_run.report.entries import entry
from mmvq_run.report.pictures import LANES, pictures
from mmvq_run.report.read import EventFile
from mmvq_run.report.stream import SHOWN, Day
from mmvq_run.report.tables import losses_tables, streams_table, times_table
from mmvq_run.report.timeline import COLOURS, Drawer, hue, looks
from mmvq_run.report.totals import Totals, totals, unsure
from mmvq_run.report.words import Clock, counted, date, duration, percent, share, text

LEGEND: Final = (
    ("unknown", "unknown"), ("gap", "samples lost"), ("s0", "not worn"), ("s1", "device lost"), ("s2", "silent"),
    ("s3", "device reset"), ("track", "in no window"),
)  # fmt: skip


def page(day: Day, file: EventFile) -> str:
    """The page as HTML."""
    pages = files("mmvq_run") / "pages"
    template, css, script = ((pages / f"report.{kind}").read_text("utf-8") for kind in ("html", "css", "js"))
    whole = totals(day, day.streams)
    wall = day.wall
    begin, end = day.span
    clock = Clock(wall, wall and date(begin) != date(end))
    drawer = Drawer(clock, list(day.labels), looks([label.kind for label in whole.labels if label.name is not None]))
    return Template(template).substitute(
        file=text(file.path.name),
        css=css,
        colours=_colours(min(COLOURS, len(day.labels))),
        script=script,
        script_hash="sha256-" + b64encode(sha256(script.encode()).digest()).decode(),
        version=text(__version__),
        head=_head(day, file, clock, begin, end),
        warnings="".join(f'<p class="warning">{line}</p>' for line in _warnings(day, file)),
        cards=_cards(day, whole),
        timeline_words=_timeline_words(day, clock),
        legend=_legend(day, drawer, whole),
        pictures=pictures(day, drawer) + streams_table(day, clock),
        times=times_table(whole, drawer),
        activities_words=_activities_words(day),
        episodes=_episodes(day, drawer),
        losses=losses_tables(day),
    )


def _head(day: Day, file: EventFile, clock: Clock, begin: float, end: float) -> str:
    models = dict.fromkeys(stream.session.model for stream in day.streams)
    sources = dict.fromkeys(stream.session.source for stream in day.streams)
    devices = dict.fromkeys(device for stream in day.streams for device in stream.devices)
    wearables = [
        (text(uid) if uid is not None else "without a number") + (f" ({rate:g} Hz)" if rate else "")
        for uid, rate in devices
    ]
    when = f"{clock.whole(begin)} to {clock.whole(end)} {clock.name}"
    if not clock.wall:
        when = f"{duration(end)} long; the file does not say at what time of day"
    return " · ".join([
        text(file.path.name), when, f"device {_some(wearables)}", f"model {_some(map(text, models))}",
        f"from {_some(map(text, sources))}",
    ])  # fmt: skip


def _some(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:4]) + (f" and {len(every) - 4} more" if len(every) > 4 else "") or "none told"


def _warnings(day: Day, file: EventFile) -> list[str]:
    told = []
    if file.torn is not None:
        told.append(f"Line {file.torn}, the last one, is cut short, as a killed run leaves it. All before it is here.")
    running = [stream for stream in day.streams if not stream.ended]
    if running:
        names = "" if len(day.streams) == 1 else f" of {_some([text(stream.name) for stream in running])}"
        told.append(f"The file does not tell the end{names}: the run goes on, or was killed. Shown is what it tells.")
    if file.others:
        kinds = _some([text(kind) for kind in file.others])
        told.append(f"{counted(file.others.total(), 'line')} of kinds unknown here left out ({kinds}).")
    if not sum(len(stream.windows) for stream in day.streams):
        told.append("The file has no windows, so there is neither time by label nor any reason.")
    return told


def _cards(day: Day, whole: Totals) -> str:
    decided = sum(len(stream.decided) for stream in day.streams)
    cards = [
        ("Seen", duration(whole.seen), f"in {counted(whole.windows, 'window')}, of {duration(whole.whole)}"
         + (f"; {duration(whole.not_worn)} of it not worn" if whole.not_worn else "")),
        ("Activities", str(decided), "times the runtime was sure enough to decide on one"),
        ("Unknown", percent(share(whole.unknown, whole.worn), 1),
         "of the time seen and worn: unlike anything that the model was trained on"),
        ("Missing", percent(share(whole.unseen, whole.whole), 1),
         f"of the time is in no window; {percent(share(whole.gaps, whole.whole), 1)} is of lost samples"),
    ]  # fmt: skip
    return "\n".join(
        f'<div class="card"><div>{name}</div><div class="value">{value}</div><div class="meaning">{meaning}</div></div>'
        for name, value, meaning in cards
    )


def _colours(count: int) -> str:
    return "\n".join(f".a{index} {{ --c: {hue(index, count)}; }}" for index in range(count))


def _timeline_words(day: Day, clock: Clock) -> str:
    left_out = len(day.streams) - LANES
    return (
        f"Times are {clock.name}. Above, what was decided on: a click leads to its reasons. In the middle, what most "
        "windows said. Below, what was lost: every loss gets a mark, however short. The same is told by the tables and "
        "the list below."
        + (f" {LANES} of {len(day.streams)} streams are drawn; all sums are of all." if left_out > 0 else "")
    )


def _legend(day: Day, drawer: Drawer, whole: Totals) -> str:
    own = [label for label in whole.labels if label.name is not None]
    items = [(drawer.css(label.kind), str(label.name)) for label in own[:COLOURS]]
    items += [("others", f"{len(own) - COLOURS} more activities")] if len(own) > COLOURS else []
    return '<ul class="legend">' + "".join(
        f'<li><svg aria-hidden="true"><rect class="{css}" width="100%" height="100%"/></svg>{text(name)}</li>'
        for css, name in [*items, *LEGEND]
    ) + "</ul>"  # fmt: skip


def _activities_words(day: Day) -> str:
    if not day.episodes:
        return "Nothing was decided on, and no window was unknown."
    words = (
        "What was decided on, and stretches of unknown windows, in the order of time. Open one for its reasons; they "
        "are the file's own, added up."
    )
    if day.episodes_left_out:
        words += (
            f" These are the longest {SHOWN}, of {duration(day.shortest)} and more; "
            f"{counted(day.episodes_left_out, 'shorter one')} can be seen in the timeline and count in all sums."
        )
    return words


def _episodes(day: Day, drawer: Drawer) -> str:
    css = {label: drawer.css(kind) for label, kind in day.labels.items()}
    parts, last = [], None
    for place, episode in enumerate(day.episodes):
        if episode.stream != last and len(day.streams) > 1:
            parts.append(f"<h3>{text(day.streams[episode.stream].name)}</h3>")
        last = episode.stream
        stream = day.streams[last]
        notes = unsure(stream, episode.begin, episode.end)
        parts.append(entry(place, episode, css, drawer.clock, day.origin(stream), notes))
    return "\n".join(parts)
