"""An activity, or a stretch of unknown windows, as an entry that a click, or a key, opens: when, how sure, and why."""

from collections.abc import Mapping
from typing import Final

from mmvq_run.report.reasons import Episode, Reason
from mmvq_run.report.told import Window
from mmvq_run.report.words import Clock, counted, duration, percent, signed, text

STRIPES: Final = '<svg class="swatch" aria-hidden="true"><rect class="unknown" width="100%" height="100%"/></svg>'
WORTH_SAYING_S: Final = 0.05  # as durations are said to a tenth


def entry(
    place: int, episode: Episode, css: Mapping[str, str], clock: Clock, origin: float, unsure: tuple[float, float]
) -> str:
    """The entry, which links reach as e{place}. css: each label's class of colour; origin: the moment of t = 0; unsure:
    seconds of it that no window saw, and in which the device was not worn."""
    when = clock.span(origin + episode.begin, origin + episode.end)
    if episode.label is None:
        swatch, name = STRIPES, "unknown"
        sure = f"most like {text(episode.labels[0][0])}" if episode.labels else ""
    else:
        swatch = f'<span class="swatch {css[episode.label]}"></span>'
        name = text(episode.label)
        sure = f"{percent(episode.confidence[1])} sure" if episode.saying else ""
    return (
        f'<details class="entry"><summary>{swatch}<strong>{name}</strong><span class="when">{when}</span> '
        f'<span class="quiet">{duration(episode.seconds)}</span> <span class="quiet">{sure}</span></summary>\n'
        f'<div class="body" id="e{place}">{_body(episode, clock, origin, unsure)}</div></details>'
    )


def _body(episode: Episode, clock: Clock, origin: float, unsure: tuple[float, float]) -> str:
    parts = [f"<p>{' '.join(_told(episode, clock, origin))}</p>"]
    unseen, not_worn = unsure
    if unseen >= WORTH_SAYING_S:
        parts.append(f"<p>{duration(unseen)} of this time no window saw; see Losses.</p>")
    if not_worn >= WORTH_SAYING_S:
        parts.append(
            f'<p class="warning">In {duration(not_worn)} of this time the device was not worn, as was known later.</p>'
        )
    if episode.reasons:
        parts.append(_sums(episode))
    elif episode.saying and episode.label is not None:
        parts.append("<p>Its windows tell no reasons, as under --explain none.</p>")
    if episode.surest is not None:
        parts.append(_window("Its surest window", episode.surest, clock, origin))
        parts.append(_pieces(episode.surest))
    if episode.label is not None and episode.weakest is not None and episode.weakest != episode.surest:
        parts.append(_window("Its least sure window", episode.weakest, clock, origin))
    return "\n".join(parts)


def _told(episode: Episode, clock: Clock, origin: float) -> list[str]:
    if episode.label is None:
        likes = ", ".join(f"{text(label)} {count}" for label, count in episode.labels)
        return [
            f"{counted(episode.windows, 'window')} in a row, all unlike anything that the model was trained on.",
            f"The labels that they were most like, and how many of them: {likes}. None of these counts.",
        ]
    told = []
    if episode.decided is None:
        told.append("The file lacks the line of its beginning, so no windows are known to be of it.")
    else:
        told.append(f"Decided at {clock.at(origin + episode.decided)}, {_after(episode)} its onset.")
    if not episode.over:
        told.append("The file does not tell its end; it is shown up to where something else is told.")
    if episode.windows:
        least, median, most = (percent(confidence) for confidence in episode.confidence)
        told.append(
            f"{counted(episode.saying, 'window')} of the {episode.windows} that were told from its onset to its end "
            f"{'says' if episode.saying == 1 else 'say'} {text(episode.label)}"
            + (f", {median} sure in the median ({least} to {most})." if episode.saying else ".")
        )
    return told


def _after(episode: Episode) -> str:
    return f"{duration(max(0.0, (episode.decided or 0.0) - episode.begin))} after"


def _sums(episode: Episode) -> str:
    """Reasons added up, as a table with bars."""
    top = max(abs(reason.total) for reason in episode.reasons) or 1.0
    rows = [_sum(reason, episode.saying, top) for reason in episode.reasons]
    if episode.other_kinds:
        rows.append(
            f'<tr><th scope="row" class="quiet">{counted(episode.other_kinds, "other kind")} of pieces</th>'
            f'<td class="n">{signed(episode.others / episode.saying)}</td><td></td><td></td></tr>'
        )
    return (
        '<div class="scroll"><table class="bars sums"><caption>Pieces that these windows tell, added up by their '
        f"words, divided by {counted(episode.saying, 'window')}</caption>"
        "<thead><tr><th>reason</th><th>adds, a window</th><th>told by</th><th></th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _sum(reason: Reason, windows: int, top: float) -> str:
    css = "off" if reason.total < 0 else "pro"
    return (
        f'<tr><th scope="row">{text(reason.what)}</th><td class="n">{signed(reason.total / windows)}</td>'
        f'<td class="n">{reason.windows} of {windows}</td>'
        f'<td class="track"><span class="{css}" style="width:{100 * abs(reason.total) / top:.1f}%"></span></td></tr>'
    )


def _window(what: str, window: Window, clock: Clock, origin: float) -> str:
    ranked = ", ".join(f"{text(label)} {percent(p)}" for label, p in window.top)
    sentence = f'<p class="said">{text(window.label)}, because {text(window.in_words)}</p>' if window.in_words else ""
    when = clock.span(origin + window.start, origin + window.end)
    seconds = f"{window.start:g}–{window.end:g} s of the stream"
    return f"<h4>{what}, {when} ({seconds})</h4>\n<p>{ranked or percent(window.confidence)}</p>{sentence}"


def _pieces(window: Window) -> str:
    if not window.because:
        return ""
    rows = "".join(
        f'<li><span class="n">{signed(piece.contribution)}</span><span class="words">{text(piece.what)}</span>'
        f'<span class="quiet">{piece.t:.1f}–{piece.t + piece.length:.1f} s'
        + (f", codes {piece.numbers}" if piece.words else "")
        + "</span></li>"
        for piece in window.because
    )
    return f'<ol class="pieces">{rows}</ol>'
