// Three panels over one axis of time, written as SVG by hand.

const WIDTH = 860;
const PANEL = 150;
const LEFT = 70;
const RIGHT = 150;
const GAP = 44;
const COLOURS = ['#1f6feb', '#d29922', '#2da44e', '#cf222e'];

/** A round number at or above `n`: 1, 2 or 5 times a power of ten. */
function roundUp(n) {
  const power = 10 ** Math.floor(Math.log10(Math.max(n, 1e-9)));
  return [1, 2, 5, 10].find((step) => step * power >= n) * power;
}

const text = (x, y, what, more = '') => `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${what}</text>`;

function panel({ title, unit, lines }, top, time) {
  const max = roundUp(Math.max(1, ...lines.flatMap(({ points }) => points.map(([, value]) => value))));
  const x = (seconds) => LEFT + (seconds / time.max) * (WIDTH - LEFT - RIGHT);
  const y = (value) => top + PANEL - (value / max) * PANEL;
  const parts = [text(LEFT, top - 8, title, 'font-weight="bold"')];
  for (let i = 0; i <= 4; i++) {
    const value = (max * i) / 4;
    parts.push(`<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(value).toFixed(1)}" y2="${y(value).toFixed(1)}" stroke="#8884"/>`);
    parts.push(text(LEFT - 8, y(value) + 4, `${Number(value.toPrecision(3))}${unit}`, 'text-anchor="end"'));
  }
  for (const mark of time.marks) parts.push(`<line x1="${x(mark).toFixed(1)}" x2="${x(mark).toFixed(1)}" y1="${top}" y2="${top + PANEL}" stroke="#888" stroke-dasharray="4 3"/>`);
  for (const [i, { name, points }] of lines.entries()) {
    const path = points.map(([seconds, value]) => `${x(seconds).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
    parts.push(`<polyline fill="none" stroke="${COLOURS[i]}" stroke-width="1.5" points="${path}"/>`);
    parts.push(text(WIDTH - RIGHT + 10, top + 14 + 18 * i, name, `fill="${COLOURS[i]}"`));
  }
  return parts;
}

/** `marks`: the times whose states are compared. */
export function plot(samples, { early, late }) {
  const of = (name, scale = 1) => samples.map((sample) => [sample.seconds, Number(sample[name]) * scale]);
  const rate = (name) => samples.slice(1).map((sample, i) => [sample.seconds, Math.max(0, sample[name] - samples[i][name]) / Math.max(1, sample.seconds - samples[i].seconds)]);
  const time = { max: Math.max(1, ...samples.map(({ seconds }) => seconds)), marks: [early, late] };
  const panels = [
    { title: 'Memory of the proxy', unit: ' MB', lines: [{ name: 'resident', points: of('rss_kb', 1 / 1024) }, { name: 'not of files', points: of('anon_kb', 1 / 1024) }] },
    { title: 'Descriptors and streams', unit: '', lines: [{ name: 'descriptors', points: of('descriptors') }, { name: 'streams open', points: of('streams_open') }, { name: 'clients connected', points: of('connections') }] },
    { title: 'Requests a second', unit: '', lines: [{ name: 'answered well', points: rate('well') }, { name: 'failed as ordered', points: rate('failed') }, { name: 'left', points: rate('left') }, { name: 'lost or wrong', points: rate('bad') }] },
  ];
  const height = panels.length * (PANEL + GAP) + 36;
  const parts = panels.flatMap((one, i) => panel(one, GAP - 10 + i * (PANEL + GAP), time));
  const bottom = panels.length * (PANEL + GAP) + 8;
  for (let i = 0; i <= 6; i++) {
    const seconds = (time.max * i) / 6;
    parts.push(text(LEFT + ((WIDTH - LEFT - RIGHT) * i) / 6, bottom, time.max >= 600 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds)} s`, 'text-anchor="middle"'));
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
${parts.join('\n')}
</svg>
`;
}
