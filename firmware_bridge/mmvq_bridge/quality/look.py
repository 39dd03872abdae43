"""The page's template. Its colours are those of the project's other pages; a test compares them."""

from typing import Final

from mmvq_bridge.quality.calibration import GOOD_MG, SIDE_G, WAYS

COLOURS: Final = """\
:root { color-scheme: light dark; --paper: #fbfbf9; --card: #fff; --ink: #1c2024; --soft: #666e76; --line: #dfe1e0;
  --main: #2a64a8; --x: #1f6fb4; --y: #c1530a; --z: #14805a; --m: #8a4fa3; --off: #b5351c; --warn: #8c1d18;
  --warnpaper: #ffe9e4; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --card: #1c2024; --ink: #e8eaec; --soft: #9aa3ab;
  --line: #343a40; --main: #74b0ee; --x: #6cb2f2; --y: #f29a55; --z: #55c79b; --m: #cf9be6; --off: #f0836b;
  --warn: #ffd9d2; --warnpaper: #5c1a14; } }
"""
STYLE: Final = """\
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 72rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .4rem; padding-top: .6rem; border-top: 1px solid var(--line); }
p { margin: .3rem 0 .8rem; max-width: 46rem; overflow-wrap: anywhere; }
.quiet { color: var(--soft); font-size: .88rem; }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .6rem 0; }
th, td { text-align: left; font-weight: normal; padding: .2rem .8rem .2rem 0; vertical-align: top;
  border-top: 1px solid var(--line); }
.findings td:last-child { overflow-wrap: anywhere; } .axes td, .axes th { white-space: nowrap; }
thead th { color: var(--soft); font-size: .85rem; border: 0; }
tr.fault td:first-child, tr.warning td:first-child { color: var(--off); font-weight: 700; }
tr.unknown td:first-child { color: var(--soft); }
.sides { display: flex; flex-wrap: wrap; gap: 1.5rem; margin: .6rem 0; }
.key { margin-right: 1rem; white-space: nowrap; }
.key::before { content: ""; display: inline-block; width: .8rem; height: .8rem; margin-right: .35rem;
  border-radius: 2px; vertical-align: -.08rem; background: currentColor; }
.key.before, .key.gap { color: var(--off); } .key.after, .key.worn { color: var(--main); }
.key.away { color: var(--soft); }
svg { overflow: visible; max-width: 100%; height: auto; } .scroll svg { max-width: none; }
svg text { font: 11px system-ui, sans-serif; fill: var(--ink); }
svg .minor { fill: var(--soft); } svg .end { text-anchor: end; } svg .middle { text-anchor: middle; }
svg .rule { fill: none; stroke: var(--line); } svg .circle { fill: none; stroke: var(--soft); }
svg .bar { fill: var(--ink); } svg .worn { fill: var(--main); } svg .away { fill: var(--soft); }
svg .gap { fill: var(--off); }
svg .area { stroke-width: 1.5; fill-opacity: .25; } svg .dots { fill: none; stroke-width: 3; stroke-linecap: round; }
svg .before { fill: var(--off); stroke: var(--off); } svg .after { fill: var(--main); stroke: var(--main); }
"""
PAGE: Final = f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>mmvq: how good the data is, $file</title>
<style>
{COLOURS}{STYLE}</style>
</head>
<body>
<h1>How good the data is</h1>
<p class="quiet">$head</p>
<div class="quiet">$notices</div>
$findings
<h2>Movement and wear</h2>
<p><span class="worn key">worn</span> <span class="away key">not worn</span> <span class="gap key">missing</span></p>
$days
<h2>Gravity at rest</h2>
<p>In windows of 10 s in which nothing moves, the three axes together measure 1 g, whichever way the device lies: points
are on the circle or, seen from another side, within it. The lines are at {SIDE_G:g} g: each axis has to go beyond them
on both sides to be calibrated.</p>
<p>$dots</p>
$rest
<h2>Figures</h2>
$figures
<h2>How to read this</h2>
<ul>
<li><strong>Calibration</strong> fits gain and offset of each axis so that still windows measure 1 g (van Hees et al.
2014, as GGIR does it). True is gain × measured + offset. It applies if the error at rest falls, and to less than
{GOOD_MG:g} mg. GGIR asks for 72 hours of signal; here the device has to have rested in {WAYS} ways, 14° apart from one
another.</li>
<li><strong>Movement</strong> is ENMO, the mean of what |a| is over 1 g, calibrated where calibration applies.</li>
<li><strong>Not worn</strong> is an hour or more in which at least two axes deviate by less than 13 mg and span less
than 50 mg (van Hees et al. 2013). Who sleeps very still may be taken for nobody.</li>
</ul>
<footer class="quiet">Written by mmvq-bridge, mmvq $version.</footer>
</body>
</html>
"""
