"""The page's tables: time by label, streams, gaps, states of the device."""

from typing import Final

from mmvq_run.report.entries import STRIPES
from mmvq_run.report.pictures import LANES
from mmvq_run.report.stream import NOT_WORN, STATES, Count, Day
from mmvq_run.report.timeline import Drawer
from mmvq_run.report.totals import Label, Totals, totals
from mmvq_run.report.words import Clock, counted, duration, percent, share, text

ROWS: Final = 60  # of labels or kinds of losses; a model has fewer
GAPS: Final = {
    "sequence": "frames that never came, or a hole in the recording",
    "reconnect": "the port was away",
    "overrun": "dropped by the device, whose memory was full",
    "invalid": "came, but could not be read or believed",
}
MEANINGS: Final = {
    "not_worn": "lay still, as was known minutes to an hour later",
    "lost": "the port went away; the gap that follows tells for how long",
    "silent": "nothing came for seconds; the gap that follows tells for how long",
    "reset": "began anew",
}


def times_table(whole: Totals, drawer: Drawer) -> str:
    """Time by label, with bars."""
    longest = max((label.seconds for label in whole.labels), default=0.0)
    shown = [label for label in whole.labels if label.bouts or label.decided]
    rows = "".join(_time(label, whole, drawer, longest) for label in shown[:ROWS])
    if not rows:
        return '<p class="quiet">Nothing was told of any activity.</p>'
    more = f'<p class="quiet">{len(shown) - ROWS} more labels are not in this table.</p>' if len(shown) > ROWS else ""
    return (
        '<div class="scroll"><table class="bars times"><thead><tr><th>activity</th><th>minutes</th>'
        "<th>share</th><th>bouts</th><th>median confidence</th><th>decided</th><th></th></tr>"
        f"</thead><tbody>{rows}</tbody></table></div>{more}"
    )


def streams_table(day: Day, clock: Clock) -> str:
    """What was seen of each stream; nothing where there is only one, which the page's head tells."""
    if len(day.streams) == 1:
        return ""
    rows = []
    for stream in day.streams[:LANES]:
        of, at = totals(day, [stream]), day.origin(stream)
        uids = ", ".join(text(uid) for uid, _ in stream.devices if uid is not None)
        rows.append(
            f'<tr><th scope="row">{text(stream.name)}</th><td>{uids}</td><td>{clock.at(at)}</td>'
            f'<td>{clock.at(at + stream.until)}</td><td class="n">{duration(of.seen)}</td>'
            f'<td class="n">{percent(share(of.unknown, of.worn), 1)}</td>'
            f'<td class="n">{percent(share(of.unseen, of.whole), 1)}</td></tr>'
        )
    return (
        '<div class="scroll"><table class="rows"><thead><tr><th>stream</th><th>device</th><th>from</th><th>to</th>'
        f"<th>seen</th><th>unknown</th><th>missing</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def losses_tables(day: Day) -> str:
    """Gaps by why, states of devices, frames and windows that were not whole."""
    gaps, states = _summed([stream.lost for stream in day.streams]), _summed([s.in_state for s in day.streams])
    bad, patched = sum(s.bad_frames for s in day.streams), sum(s.patched for s in day.streams)
    parts = []
    if gaps:
        rows = "".join(
            f'<tr><th scope="row">{text(why)}</th><td class="n">{lost.times}</td><td class="n">{lost.samples}</td>'
            f'<td class="n">{lost.seconds:.1f}</td><td>{GAPS.get(why, "")}</td></tr>'
            for why, lost in gaps[:ROWS]
        )
        parts.append(
            '<div class="scroll"><table class="rows gaps"><caption>Gaps, by why samples are missing</caption>'
            "<thead><tr><th>why</th><th>gaps</th><th>samples</th><th>seconds</th><th>meaning</th></tr></thead>"
            f"<tbody>{rows}</tbody></table></div>"
        )
    else:
        parts.append("<p>No samples were lost.</p>")
    if states:
        rows = "".join(
            f'<tr><th scope="row">{text(state.replace("_", " "))}</th><td class="n">{count.times}</td>'
            f'<td class="n">{duration(count.seconds) if state == STATES[NOT_WORN] else "–"}</td>'
            f'<td>{MEANINGS.get(state, "")}</td></tr>'
            for state, count in states[:ROWS]
        )
        parts.append(
            '<div class="scroll"><table class="rows states"><caption>States of the device, but connected</caption>'
            "<thead><tr><th>state</th><th>times</th><th>how long</th><th>meaning</th></tr></thead>"
            f"<tbody>{rows}</tbody></table></div>"
        )
    parts.append(
        f"<p>{counted(bad, 'frame')} came damaged and {'was' if bad == 1 else 'were'} dropped. "
        f"{counted(patched, 'window')} {'holds' if patched == 1 else 'hold'} samples that were interpolated over a "
        "short gap.</p>"
    )
    return "\n".join(parts)


def _time(label: Label, whole: Totals, drawer: Drawer, longest: float) -> str:
    if label.name is None:
        swatch, name, css, decided = STRIPES, "unknown", "", "–"
    else:
        css, decided = drawer.css(label.kind), str(label.decided)
        swatch, name = f'<span class="swatch {css}"></span>', text(label.name)
    wide = 100 * label.seconds / longest if longest else 0.0
    return (
        f'<tr><th scope="row">{swatch}{name}</th><td class="n">{label.seconds / 60:.1f}</td>'
        f'<td class="n">{percent(share(label.seconds, whole.worn), 1)}</td><td class="n">{label.bouts}</td>'
        f'<td class="n">{percent(label.confidence)}</td><td class="n">{decided}</td>'
        f'<td class="track"><span class="swatched {css}" style="width:{wide:.1f}%"></span></td></tr>'
    )


def _summed(several: list[dict[str, Count]]) -> list[tuple[str, Count]]:
    """Counts of the same name added up, the most seconds first."""
    whole: dict[str, Count] = {}
    for counts in several:
        for name, count in counts.items():
            one = whole.setdefault(name, Count())
            one.times, one.samples, one.seconds = (
                one.times + count.times, one.samples + count.samples, one.seconds + count.seconds
            )  # fmt: skip
    return sorted(whole.items(), key=lambda entry: (-entry[1].seconds, entry[0]))
