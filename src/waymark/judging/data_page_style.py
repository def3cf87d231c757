"""The look of the data page."""

# Okabe and Ito's colours (2008), which colour-blind people tell apart; lightened for a dark page.
STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2024; --quiet: #5c656e; --line: #dfe3e7; --soft: #f5f7f8;
  --train: #0072b2; --val: #007a59; --test: #c75400; --care: #a33c00; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --ink: #e6e9ec; --quiet: #9aa4ae; --line: #2d3339;
  --soft: #1c2125; --train: #56b4e9; --val: #2fc796; --test: #f0a04b; --care: #ffb27a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums; }
h1 { font-size: 1.75rem; font-weight: 650; letter-spacing: -.01em; margin: 0 0 1.25rem; }
h1 em { font-style: normal; color: var(--train); }
h2 { font-size: 1.25rem; font-weight: 650; margin: 3rem 0 .5rem; padding-top: 1.25rem;
  border-top: 1px solid var(--line); }
h3 { font-size: .95rem; font-weight: 600; margin: 0 0 .5rem; overflow-wrap: anywhere; }
p { margin: .5rem 0 1rem; max-width: 75ch; }
i { font-style: normal; color: var(--quiet); display: inline-block; min-width: 1.6em; }
a { color: inherit; } a:focus-visible { outline: 3px solid var(--train); outline-offset: 2px; }
.care { color: var(--care); }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.key { display: inline-block; width: .65em; height: .65em; border-radius: 2px; margin-right: .4em;
  background: var(--c); }
.train { --c: var(--train); } .val { --c: var(--val); } .test { --c: var(--test); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: .75rem; padding: 0;
  margin: 0 0 1.5rem; list-style: none; }
.tiles a { display: block; height: 100%; padding: .75rem 1rem; border: 1px solid var(--line); border-radius: 8px;
  background: var(--soft); color: var(--quiet); text-decoration: none; }
.tiles a:hover { border-color: var(--train); }
.tiles b { display: block; font-size: 1.5rem; font-weight: 650; line-height: 1.25; color: var(--ink); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: .35rem 1.75rem .35rem 0; border-bottom: 1px solid var(--line); text-align: right; }
th { vertical-align: bottom; } tbody th { white-space: nowrap; }
th:first-child { text-align: left; } thead th { font-weight: 500; color: var(--quiet); } tbody th { font-weight: 600; }
.part { padding-left: 1.05em; font-weight: 400; }
.balance { list-style: none; padding: 0; margin: 0; columns: 2 440px; column-gap: 3rem; font-size: .875rem; }
.balance li { display: grid; grid-template-columns: minmax(0, 5fr) minmax(0, 4fr) 6.2rem; gap: .75rem; padding: .2rem 0;
  align-items: center; break-inside: avoid; line-height: 1.3; }
.name { display: grid; grid-template-columns: 1.9rem minmax(0, 1fr); overflow-wrap: anywhere; }
.bars { display: grid; gap: 2px; }
.bar { display: block; width: 100%; height: 6px; background: var(--soft); border-radius: 2px; }
.bar rect { fill: var(--c); }
.numbers { display: flex; gap: .6rem; justify-content: flex-end; } .numbers > span { color: var(--c); min-width: 2.6rem;
  text-align: right; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); gap: 1.5rem 2rem; }
figure { margin: 0; max-width: 460px; } figcaption { color: var(--quiet); font-size: .875rem; }
.same { font-size: 1.75rem; font-weight: 650; line-height: 1.25; }
.chart { display: block; width: 100%; height: auto; font-size: 11px; margin-bottom: .4rem; }
.chart text { fill: var(--quiet); } .grid { stroke: var(--line); fill: none; } .cell { fill: var(--train); }
.area { fill: var(--c); fill-opacity: .35; stroke: var(--c); stroke-width: 1; }
.line { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; } .line.val { stroke-dasharray: 4 2; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 500px), 1fr)); gap: 1.5rem 2rem; }
.strip { display: grid; grid-template-columns: repeat(8, minmax(0, 64px)); gap: 4px; }
img { display: block; width: 100%; height: auto; aspect-ratio: 1; object-fit: contain; background: var(--soft);
  border-radius: 3px; }
.empty { color: var(--care); margin: 0; }
.clusters { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)); gap: 1rem; }
.cluster { border: 1px solid var(--line); border-radius: 8px; padding: .75rem 1rem; font-size: .875rem; }
.cluster p { margin: 0 0 .6rem; } .cluster .more { margin: .4rem 0 0; color: var(--quiet); }
.pair { display: grid; grid-template-columns: repeat(auto-fill, 72px); gap: 4px; margin-bottom: .6rem; }
.cluster ol { margin: 0; padding-left: 1.3rem; display: grid; gap: .3rem; line-height: 1.35; }
.cluster li::marker { color: var(--quiet); }
code { display: block; font: .8rem ui-monospace, monospace; color: var(--quiet); overflow-wrap: anywhere; }
@media (max-width: 520px) { .strip { grid-template-columns: repeat(4, minmax(0, 1fr)); }
  .balance li { grid-template-columns: minmax(0, 1fr) 6.2rem; gap: .1rem .75rem; padding: .35rem 0; }
  .balance .bars { grid-area: 2 / 1 / 3 / 3; } .tiles { grid-template-columns: 1fr 1fr; }
  .tiles li:first-child { grid-column: span 2; } th, td { padding-right: .8rem; } table { font-size: .8rem; } }
@media print { h2 { break-after: avoid; } .card, .cluster, figure { break-inside: avoid; } }
"""
