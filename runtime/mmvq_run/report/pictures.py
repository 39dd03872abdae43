"""Which pictures of the timeline a page shows: one of the whole, or one a day where it is longer; below, the hours."""

from collections.abc import Iterator
from typing import Final

from mmvq_run.report.stream import Day
from mmvq_run.report.timeline import HOUR_S, Drawer, Lane, hours
from mmvq_run.report.words import DAY_S, counted, date, text

LANES: Final = 40  # streams in pictures and in tables: more would be neither seen nor read
DAYS: Final = 31  # pictures, if there is one a day
ROWS: Final = 120  # hours in all: 5 kB each, and more where much changes
WHOLE_S: Final = 1.5 * DAY_S  # a longer time is drawn day by day
WORTH_HOURS_S: Final = 2 * HOUR_S  # a shorter picture shows enough


def pictures(day: Day, drawer: Drawer) -> str:
    """All pictures with their headings."""
    lanes = _lanes(day)
    parts, rows, left_out = [], 0, 0
    for number, (begin, end, name) in enumerate(_days(day)):
        if number == DAYS:
            parts.append(f'<p class="quiet">The days after these {DAYS} are not drawn; all sums are of all.</p>')
            break
        here = [lane for lane in lanes if lane.origin < end and lane.origin + lane.stream.until > begin]
        if not here:
            continue
        title = f"Timeline{name and ' of ' + name}"
        parts.append(f"<h3>{name}</h3>" if name else "")
        parts.append(_scrolling(drawer.picture(here, begin, end, title), title))
        for lane in here:
            first, last = max(begin, lane.origin), min(end, lane.origin + lane.stream.until)
            count = len(hours(first, last))
            if end - begin <= WORTH_HOURS_S:
                continue
            rows += count
            if rows > ROWS:
                left_out += 1
                continue
            of = f"{lane.stream.name}, hour by hour" if len(day.streams) > 1 else "Hour by hour"
            drawn = _scrolling(drawer.hours(lane, first, last, of), of)
            parts.append(f"<details><summary>{text(of)} ({counted(count, 'row')})</summary>{drawn}</details>")
    if left_out:
        parts.append(f'<p class="quiet">Drawn hour by hour are the first {ROWS} hours; all sums are of all.</p>')
    return "\n".join(parts)


def _lanes(day: Day) -> list[Lane]:
    lanes = [Lane(stream, day.origin(stream), []) for stream in day.streams[:LANES]]
    for place, episode in enumerate(day.episodes):
        if episode.stream < LANES:
            lanes[episode.stream].episodes.append((place, episode))
    return lanes


def _days(day: Day) -> Iterator[tuple[float, float, str]]:
    """Begin, end and name of each picture. A night that was worn through stays in one; stream time has no days."""
    begin, end = day.span
    if not day.wall or end - begin <= WHOLE_S:
        yield begin, end, ""
        return
    worn = {
        number
        for stream in day.streams
        for number in range(int(day.origin(stream) // DAY_S), int((day.origin(stream) + stream.until) // DAY_S) + 1)
    }
    for number in sorted(worn):
        first, last = number * DAY_S, (number + 1) * DAY_S
        yield max(begin, first), min(end, last), date(first)


def _scrolling(drawing: str, name: str) -> str:
    """A box that a phone scrolls, and a keyboard too."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{text(name)}">{drawing}</div>'
