'use strict';
// Draws the report from D, the data of one run. Times are milliseconds; x runs over
// [t0, t1], which dragging over the lanes changes for all charts of time at once.
const $ = id => document.getElementById(id);
const esc = s => String(s).replace(/[&<>"']/g, c => '&#' + c.charCodeAt(0) + ';');
const END = Math.max(D.end, 1), LEFT = 112, RIGHT = 14;
let t0 = 0, t1 = END, hidden = new Set(), open = new Set(), onlyHurt = false;
const tips = new Map();

// ---- words
const pad = n => String(n).padStart(2, '0');
function clock(ms, fine) {
  const s = ms / 1000, h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60, sec = s - 60 * Math.floor(s / 60);
  const tail = fine ? sec.toFixed(fine === true ? 1 : fine).padStart(fine === true ? 4 : 3 + fine, '0') : pad(Math.floor(sec));
  return (h ? h + ':' + pad(m) : m) + ':' + tail;
}
function span(ms) {
  if (ms < 1000) return Math.round(ms) + ' ms';
  const s = ms / 1000;
  if (s < 120) return (s < 10 ? s.toFixed(1) : Math.round(s)) + ' s';
  if (s < 7200) return Math.round(s / 60) + ' min';
  return (s / 3600).toFixed(1) + ' h';
}
const num = x => x >= 1e6 ? (x / 1e6).toFixed(1) + 'M' : x >= 1e4 ? Math.round(x / 1e3) + 'k' : x >= 1e3 ? (x / 1e3).toFixed(1) + 'k' : x >= 10 || x === 0 ? String(Math.round(x)) : x.toFixed(1);
const colour = task => 'var(--c' + (byJob ? jobs.indexOf(jobOf(task)) : task) % 10 + ')';
const jobOf = task => D.tasks[task].split('/')[0];
const jobs = [...new Set(D.tasks.map((_, i) => jobOf(i)))];
const byJob = D.tasks.length > 10 && jobs.length > 1;
const KIND = {off: 'power off', daemon: 'daemon not running', paused: 'paused', engine: 'engine silent', slow: 'daemon slow', cut: 'cut off', weather: 'bad weather', link: 'links changed', image: 'image lost'};
const kindName = k => KIND[D.kinds[k]] || D.kinds[k];
const kindColour = k => KIND[D.kinds[k]] ? 'var(--f-' + D.kinds[k] + ')' : 'var(--f-off)';
const taskShort = t => { const [j, name] = D.tasks[t].split('/'); return jobs.length > 1 && j !== name ? D.tasks[t] : name; };

// ---- scales
const ticks = (lo, hi, most) => {
  const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 144e5, 432e5, 864e5, 6048e5];
  const step = steps.find(s => (hi - lo) / s <= most) || steps[steps.length - 1], out = [];
  for (let t = Math.ceil(lo / step) * step; t <= hi; t += step) out.push(t);
  return {step, out};
};
const nice = (hi, most) => {
  const raw = hi / most, mag = 10 ** Math.floor(Math.log10(raw || 1)), step = [1, 2, 5, 10].map(x => x * mag).find(s => s >= raw) || 1, out = [];
  for (let v = 0; v <= hi * 1.0001; v += step) out.push(v);
  return out;
};
const xOf = (t, w) => LEFT + (t - t0) / (t1 - t0) * (w - LEFT - RIGHT);
const tOf = (x, w) => t0 + (x - LEFT) / (w - LEFT - RIGHT) * (t1 - t0);
const f1 = x => Math.round(x * 10) / 10;

function defs() {
  return '<defs>' + D.kinds.map((_, k) => `<pattern id="h${k}" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="${kindColour(k)}" opacity=".14"/><path d="M0 0V6" stroke="${kindColour(k)}" stroke-width="2.4" opacity=".62"/></pattern><pattern id="o${k}" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0V6" stroke="var(--card)" stroke-width="2.2" opacity=".8"/><path d="M3 0V6" stroke="${kindColour(k)}" stroke-width="1.2" opacity=".8"/></pattern>`).join('') + '</defs>';
}

// timeAxis draws grid and labels of time; top labels stand above y0.
function timeAxis(w, y0, y1, label) {
  const {step, out} = ticks(t0, t1, Math.max(2, (w - LEFT) / 92));
  let s = '';
  for (const t of out) {
    const x = f1(xOf(t, w));
    s += `<path class="grid" d="M${x} ${y0}V${y1}"/>`;
    if (label) s += `<text x="${x}" y="${label === 'top' ? y0 - 7 : y1 + 15}" text-anchor="${x > w - 26 ? 'end' : 'middle'}">${step < 1000 ? clock(t, step < 100 ? 2 : true) : clock(t)}</text>`;
  }
  return s;
}

// moments draws where the calm began and where the run failed.
function moments(w, y0, y1, labels) {
  let s = '';
  if (D.run > t0 && D.run < t1 && D.run < D.end && D.fail < 0) {
    s += `<path class="calm" d="M${f1(xOf(D.run, w))} ${y0}V${y1}"/>`;
  }
  if (D.fail >= t0 && D.fail <= t1) {
    const x = f1(xOf(D.fail, w));
    s += `<path class="fail" d="M${x} ${y0}V${y1}"/>`;
    if (labels) s += `<text class="failt" x="${x - 5}" y="${y0 + 11}" text-anchor="end">${esc(D.rule || 'violation')}</text>`;
  }
  return s;
}

// ---- lanes
const runsOf = D.peers.map(() => []), faultsOf = D.peers.map(() => []);
(D.bars || []).forEach((b, i) => runsOf[b[0]].push(i));
(D.faults || []).forEach((f, i) => { if (f[0] >= 0) faultsOf[f[0]].push(i); });
// What else was done to a peer, for which there is no stretch of time: marks by lane.
const marksOf = D.peers.map(() => []), laneMarks = (D.marks || []).filter(m => m.l).length;
(D.marks || []).forEach((m, i) => { if (m.l) (m.p < 0 ? marksOf : [marksOf[m.p]]).forEach(l => l.push(i)); });
const hurtBy = p => faultsOf[p].length + marksOf[p].length;

// groups of lanes: by site, else by fifties; a group of a large swarm is one lane
// until it is opened.
const groups = (() => {
  const by = new Map();
  D.peers.forEach((p, i) => {
    const name = p.s || (D.peers.length > 80 ? 'peers ' + (Math.floor(i / 50) * 50 + 1) + '–' + Math.min(D.peers.length, Math.floor(i / 50) * 50 + 50) : '');
    if (!by.has(name)) by.set(name, []);
    by.get(name).push(i);
  });
  return [...by].map(([name, peers]) => ({name, peers}));
})();
const BIG = D.peers.length > 80, MAXOPEN = 150;

// rows packs the runs of a peer into as few rows as possible.
const packed = new Map();
function rows(peer) {
  if (packed.has(peer)) return packed.get(peer);
  const ends = [], row = new Map();
  for (const i of runsOf[peer]) {
    const b = D.bars[i];
    let r = ends.findIndex(e => e <= b[4]);
    if (r < 0) r = ends.length < 8 ? ends.push(0) - 1 : 7;
    ends[r] = b[5];
    row.set(i, r);
  }
  const out = {n: Math.max(1, ends.length), row};
  packed.set(peer, out);
  return out;
}

function barTip(i) {
  const b = D.bars[i], slot = D.tasks[b[1]] + '.' + b[2];
  return `<b>${esc(slot)}</b> on ${esc(D.peers[b[0]].n)} <small>token ${b[3]}</small><br>${clock(b[4], true)} to ${b[6] < 0 ? 'the end' : clock(b[5], true)}, ${span(b[5] - b[4])}${b[6] < 0 ? '' : '<br>' + esc(D.whys[b[6]])}`;
}
function faultTip(i) {
  const f = D.faults[i];
  return `<b>${esc(f[0] < 0 ? 'network' : D.peers[f[0]].n)}: ${esc(D.texts[f[4]])}</b><br>${clock(f[2], true)} to ${clock(f[3], true)}, ${span(f[3] - f[2])}`;
}
const markText = m => m.x.replace(/^at \S+ /, '');
function markTip(i) {
  const m = D.marks[i];
  return `<b>${esc(markText(m))}</b><br>at ${clock(m.t, true)}`;
}

function lane(peer, y, w, h) {
  const {n, row} = rows(peer), rh = (h - 4) / n;
  let over = '';
  let s = `<text class="ink" x="${LEFT - 8}" y="${y + h / 2 + 4}" text-anchor="end">${esc(D.peers[peer].n)}</text>`;
  for (const i of faultsOf[peer]) {
    const f = D.faults[i];
    if (f[3] < t0 || f[2] > t1) continue;
    const a = Math.max(LEFT, xOf(f[2], w)), b = Math.min(w - RIGHT, xOf(f[3], w));
    const rect = `x="${f1(a)}" y="${y + 1}" width="${f1(Math.max(b - a, 1.5))}" height="${h - 2}"`;
    s += `<rect class="fault" data-t="f${i}" ${rect} fill="url(#h${f[1]})"/>`;
    over += `<rect ${rect} fill="url(#o${f[1]})" pointer-events="none"/>`;
  }
  for (const i of runsOf[peer]) {
    const b = D.bars[i];
    if (b[5] < t0 || b[4] > t1) continue;
    const x = Math.max(LEFT, xOf(b[4], w)), e = Math.min(w - RIGHT, xOf(b[5], w));
    s += `<rect class="bar${hidden.has(b[1]) ? ' mute' : ''}" data-t="r${i}" x="${f1(x)}" y="${f1(y + 2 + row.get(i) * rh)}" width="${f1(Math.max(e - x, 1.2))}" height="${f1(Math.max(rh - 1, 2))}" fill="${colour(b[1])}"/>`;
  }
  for (const i of marksOf[peer]) {
    const m = D.marks[i];
    if (m.t >= t0 && m.t <= t1) over += `<path class="mark" data-t="k${i}" d="M${f1(xOf(m.t, w) - 4.5)} ${y + 1}h9l-4.500 8z"/>`;
  }
  return s + over;
}

// summary is the lane of a whole group: how many containers run, how many peers are hurt.
function summary(g, y, w, h) {
  const n = Math.max(40, Math.floor((w - LEFT - RIGHT) / 3)), run = new Float64Array(n + 1), hurt = new Float64Array(n + 1);
  const col = t => Math.max(0, Math.min(n, Math.round((t - t0) / (t1 - t0) * n)));
  for (const p of g.peers) {
    for (const i of runsOf[p]) if (D.bars[i][5] >= t0 && D.bars[i][4] <= t1) { run[col(D.bars[i][4])]++; run[Math.min(n, col(D.bars[i][5]))]--; }
    for (const i of faultsOf[p]) if (D.faults[i][3] >= t0 && D.faults[i][2] <= t1) { hurt[col(D.faults[i][2])]++; hurt[Math.min(n, col(D.faults[i][3]) + 1)]--; }
  }
  let a = 0, b = 0, top = 1;
  const R = [], H = [];
  for (let i = 0; i < n; i++) { a += run[i]; b += hurt[i]; R.push(a); H.push(b); top = Math.max(top, a); }
  const x = i => f1(LEFT + i / n * (w - LEFT - RIGHT)), base = y + h - 2;
  let area = `M${LEFT} ${base}`, red = `M${LEFT} ${y + 2}`;
  for (let i = 0; i < n; i++) {
    area += `L${x(i)} ${f1(base - R[i] / top * (h - 6))}L${x(i + 1)} ${f1(base - R[i] / top * (h - 6))}`;
    red += `L${x(i)} ${f1(y + 2 + Math.min(1, H[i] / g.peers.length) * (h - 4))}L${x(i + 1)} ${f1(y + 2 + Math.min(1, H[i] / g.peers.length) * (h - 4))}`;
  }
  const key = 'g' + groups.indexOf(g);
  tips.set(key, x0 => { const i = Math.max(0, Math.min(n - 1, Math.floor((x0 - LEFT) / (w - LEFT - RIGHT) * n))); return `<b>${esc(g.name)}</b>, ${g.peers.length} peers<br>${R[i]} containers run, ${Math.max(0, H[i])} peers have a fault<br><small>click the name to open it</small>`; });
  const k = Math.max(0, D.kinds.indexOf('off'));
  return `<rect data-t="${key}" x="${LEFT}" y="${y}" width="${w - LEFT - RIGHT}" height="${h}" fill="transparent"/><path d="${area}L${w - RIGHT} ${base}Z" fill="var(--c0)" opacity=".55" pointer-events="none"/><path d="${red}L${w - RIGHT} ${y + 2}Z" fill="${D.kinds.length ? `url(#h${k})` : 'none'}" pointer-events="none"/>`;
}

function lanes() {
  const box = $('lanes'), w = box.clientWidth || 900, top = 26;
  let y = top, body = '', zebra = false;
  const weather = (D.faults || []).map((f, i) => [f, i]).filter(([f]) => f[0] < 0);
  if (weather.length) {
    body += `<text x="${LEFT - 8}" y="${y + 13}" text-anchor="end">network</text>`;
    for (const [f, i] of weather) {
      if (f[3] < t0 || f[2] > t1) continue;
      const a = Math.max(LEFT, xOf(f[2], w)), b = Math.min(w - RIGHT, xOf(f[3], w));
      body += `<rect class="fault" data-t="f${i}" x="${f1(a)}" y="${y + 2}" width="${f1(Math.max(b - a, 1.5))}" height="14" fill="url(#h${f[1]})"/>`;
    }
    y += 20;
  }
  for (const g of groups) {
    const closed = BIG && !open.has(g.name);
    let list = g.peers.filter(p => !onlyHurt || hurtBy(p));
    if (g.name) {
      const h = closed ? 40 : 24;
      body += `<g data-group="${esc(g.name)}"${BIG ? ' style="cursor:pointer"' : ''}><rect x="0" y="${y}" width="${closed ? LEFT : w}" height="${h}" fill="transparent"/><text class="site" x="${BIG ? 22 : 10}" y="${y + 16}">${esc(g.name)}</text>${BIG ? `<text x="10" y="${y + 16}">${closed ? '▸' : '▾'}</text>` : ''}${closed ? `<text x="22" y="${y + 31}">${g.peers.length} peers</text>` : ''}</g>`;
      if (closed) { body += summary(g, y + 2, w, h - 4); y += h + 2; continue; }
      y += h;
    }
    const hurtFirst = list.length > MAXOPEN ? [...list].sort((a, b) => hurtBy(b) - hurtBy(a) || a - b) : list;
    for (const p of hurtFirst.slice(0, MAXOPEN)) {
      const h = Math.max(18, Math.min(9, rows(p).n > 3 ? 7 : 9) * rows(p).n + 4);
      if (zebra) body += `<rect class="zebra" x="0" y="${y}" width="${w}" height="${h}"/>`;
      zebra = !zebra;
      body += lane(p, y, w, h);
      y += h;
    }
    if (list.length > MAXOPEN) { body += `<text x="${LEFT}" y="${y + 14}">and ${list.length - MAXOPEN} more peers, those with the fewest faults</text>`; y += 20; }
  }
  const h = y + 10;
  box.innerHTML = `<svg width="${w}" height="${h}" role="img" aria-label="a lane for each peer with its containers and faults">${defs()}${timeAxis(w, top, h, 'top')}<g id="bars">${body}</g>${moments(w, top, h, true)}<rect class="sel" id="sel" y="${top}" height="${h - top}" width="0"/><path class="cursor" d=""/></svg>`;
  $('range').textContent = t0 > 0 || t1 < END ? clock(t0, true) + ' – ' + clock(t1, true) : '';
  $('reset').hidden = !(t0 > 0 || t1 < END);
}

function legend() {
  const faults = D.kinds.map((k, i) => `<span><svg>${defs().replace(/id="([ho])/g, 'id="l' + i + '$1')}<rect width="16" height="10" fill="url(#l${i}h${i})"/></svg>${esc(kindName(i))}</span>`);
  if (laneMarks) faults.push('<span><svg><path class="mark" d="M3 1h9l-4.500 8z"/></svg>something else was done to the peer: point at it</span>');
  const tasks = byJob ? jobs.map((j, i) => `<span><i style="background:var(--c${i % 10})"></i>${esc(j)}</span>`)
    : D.tasks.map((_, i) => `<span class="task${hidden.has(i) ? ' off' : ''}" data-task="${i}" role="button" tabindex="0"><i style="background:${colour(i)}"></i>${esc(taskShort(i))}</span>`);
  $('legend').innerHTML = tasks.slice(0, 40).concat(faults).join('');
}

// ---- charts of time
const bands = (() => { // the union of all faults
  const list = (D.faults || []).map(f => [f[2], f[3]]).sort((a, b) => a[0] - b[0]), out = [];
  for (const [a, b] of list) if (out.length && a <= out[out.length - 1][1]) out[out.length - 1][1] = Math.max(b, out[out.length - 1][1]); else out.push([a, b]);
  return out;
})();

// series draws values sampled every D.step, thinned out to what can be seen: of the
// samples of one column the greatest is drawn, or the least where low is bad.
function series(id, values, o) {
  const box = $(id), w = box.clientWidth || 600, h = o.h || 170, top = 14, base = h - 26;
  if (!values || !values.length) { box.innerHTML = '<p class="empty">no samples</p>'; return; }
  const first = Math.max(0, Math.floor(t0 / D.step) - 1), last = Math.min(values.length, Math.ceil(t1 / D.step) + 1);
  const part = values.slice(first, last), hi = o.max || Math.max(1, ...part) * 1.08;
  const yOf = v => base - v / hi * (base - top), cols = Math.max(1, Math.ceil(part.length / (w - LEFT)));
  let line = '';
  const at = i => Math.max(LEFT, Math.min(w - RIGHT, xOf((first + i) * D.step, w)));
  for (let i = 0; i < part.length; i += cols) {
    const v = (o.low ? Math.min : Math.max)(...part.slice(i, i + cols));
    line += (line ? `V${f1(yOf(v))}` : `M${f1(at(i))} ${f1(yOf(v))}`) + `H${f1(at(Math.min(part.length, i + cols)))}`;
  }
  let s = '';
  for (const [a, b] of bands) if (b >= t0 && a <= t1) s += `<rect class="band" x="${f1(Math.max(LEFT, xOf(a, w)))}" y="${top}" width="${f1(Math.max(1, Math.min(w - RIGHT, xOf(b, w)) - Math.max(LEFT, xOf(a, w))))}" height="${base - top}"/>`;
  for (const v of o.ticks || nice(hi, 3)) s += `<path class="grid" d="M${LEFT} ${f1(yOf(v))}H${w - RIGHT}"/><text x="${LEFT - 8}" y="${f1(yOf(v) + 4)}" text-anchor="end">${num(v)}${o.unit || ''}</text>`;
  if (o.mean > 0 && o.mean < hi) s += `<path class="mean" d="M${LEFT} ${f1(yOf(o.mean))}H${w - RIGHT}"/>`;
  box.innerHTML = `<svg width="${w}" height="${h}" data-series="${id}">${timeAxis(w, top, base, 'bottom')}${s}<path class="area" d="${line}V${base}H${f1(at(0))}Z"/><path class="lineh" d="${line}"/>${moments(w, top, base)}<path class="cursor" d=""/></svg>`;
  tips.set('s-' + id, x => {
    const t = tOf(x, w), i = Math.floor(t / D.step);
    return values[i] === undefined ? '' : `<b>${o.tip(values[i], i)}</b><br><small>at ${clock(i * D.step)}</small>`;
  });
}

// ---- distributions
function cdf(id, list, what) {
  const box = $(id), w = box.clientWidth || 500, h = 190, top = 16, base = h - 30, L = 52;
  if (!list || !list.length) { box.innerHTML = `<p class="empty">${what}</p>`; return; }
  const lo = Math.max(list[0], 10), max = Math.max(list[list.length - 1], lo * 1.5), log = max / lo > 8;
  const from = log ? 10 ** Math.floor(Math.log10(lo) * 3) / 1 && Math.log10(lo * .8) : 0, to = log ? Math.log10(max * 1.15) : max * 1.08;
  const X = v => L + ((log ? Math.log10(Math.max(v, lo * .8)) : v) - from) / (to - from) * (w - L - RIGHT), Y = p => base - p * (base - top);
  let s = '';
  for (const p of [0, .5, 1]) s += `<path class="grid" d="M${L} ${f1(Y(p))}H${w - RIGHT}"/><text x="${L - 8}" y="${f1(Y(p) + 4)}" text-anchor="end">${Math.round(p * 100)} %</text>`;
  const marks = [];
  if (log) { for (let e = 1; e < 9; e++) for (const m of [1, 2, 5]) marks.push(m * 10 ** e); } else ticks(0, max * 1.08, 6).out.forEach(v => marks.push(v));
  let right = -1e9;
  for (const v of marks) {
    const x = X(v);
    if (x < L - 1 || x > w - RIGHT || log && Math.log10(v) < from) continue;
    s += `<path class="grid" d="M${f1(x)} ${top}V${base}"/>`;
    if (x - right > 46) { s += `<text x="${f1(x)}" y="${base + 16}" text-anchor="middle">${span(v)}</text>`; right = x; }
  }
  let line = `M${f1(X(list[0]))} ${base}`;
  list.forEach((v, i) => { line += `H${f1(X(v))}V${f1(Y((i + 1) / list.length))}`; });
  const q = p => list[Math.max(0, Math.ceil(list.length * p) - 1)];
  for (const [p, name] of [[.5, 'median'], [.99, 'p99']]) {
    const x = X(q(p)), end = x > w - 120;
    s += `<circle cx="${f1(x)}" cy="${f1(Y(p))}" r="3.5" fill="var(--accent)"/><text class="ink b halo" x="${f1(x + (end ? -9 : 9))}" y="${f1(Y(p) + (p > .9 ? 16 : 4))}" text-anchor="${end ? 'end' : 'start'}">${name} ${span(q(p))}</text>`;
  }
  box.innerHTML = `<svg width="${w}" height="${h}" data-series="${id}"><path class="area" d="${line}H${w - RIGHT}V${base}Z"/><path class="lineh" d="${line}H${w - RIGHT}"/>${s}</svg>`;
  tips.set('s-' + id, x => {
    const f = from + (x - L) / (w - L - RIGHT) * (to - from), v = log ? 10 ** f : f, n = list.filter(t => t <= v).length;
    return x < L ? '' : `<b>${Math.round(100 * n / list.length)} %</b> took at most ${span(v)}`;
  });
}

// ---- the message diagram
function diagram() {
  const A = (D.diagram && D.diagram.arrows) || [], box = $('diagram');
  if (!A.length) { $('s-diagram').hidden = true; return; }
  $('diagram-title').textContent = D.diagram.title;
  const who = [], see = p => { if (p >= 0 && !who.includes(p)) who.push(p); };
  A.forEach(a => { see(a.f); see(a.t); });
  // All columns stand within the page: where they are narrower than the names, these
  // stand on several rows, one below the other.
  const L = 104, longest = Math.max(...who.map(p => D.peers[p].n.length)) * 8 + 10;
  const col = Math.max(34, Math.min(190, (box.clientWidth - L - longest / 2 - 12) / who.length)), levels = Math.max(1, Math.min(6, Math.ceil(longest / col)));
  const w = Math.max(box.clientWidth - 2, L + who.length * col + longest / 2), row = 36, top = 34 + levels * 14, h = top + A.length * row + 22;
  const X = p => L + col / 2 + who.indexOf(p) * col, zero = A[0].s;
  let s = '<defs><marker id="ah" viewBox="0 0 8 8" refX="7.500" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0.500L8 4L0 7.500z" fill="var(--accent)"/></marker></defs>', front = '';
  for (const p of who) s += `<path class="life" d="M${f1(X(p))} ${top - 8 - (who.indexOf(p) % levels) * 14}V${h - 8}"/><text class="ink b halo column" x="${f1(X(p))}" y="${top - 14 - (who.indexOf(p) % levels) * 14}" text-anchor="middle">${esc(D.peers[p].n)}</text>`;
  // beside writes a text to the right of lo, or, where the page ends before it does, to
  // the left of hi.
  const beside = (lo, hi, gap, y, text, cls, more) => {
    const left = lo + gap + text.length * 6.6 > w && hi - gap - text.length * 6.6 > L;
    return `<text class="${cls}" x="${f1(left ? hi - gap : lo + gap)}" y="${y}" text-anchor="${left ? 'end' : 'start'}" ${more}>${esc(text)}</text>`;
  };
  A.forEach((a, i) => {
    const y = top + i * row + 14, x = X(a.f), key = 'm' + i;
    const dt = (a.s - zero) / 1000, stamp = i ? '+' + (dt < 10000 ? dt.toFixed(dt < 100 ? 1 : 0) + ' ms' : (dt / 1000).toFixed(2) + ' s') : clock(a.s / 1000, 3);
    s += `<text x="10" y="${y + 4}">${stamp}</text>`;
    tips.set(key, () => `<b>${esc(a.k)}</b> ${a.t === a.f ? 'at' : 'from'} ${esc(D.peers[a.f].n)}${a.t === a.f ? '' : ' to ' + (a.t < 0 ? 'all' : esc(D.peers[a.t].n))}<br>${esc(a.x)}<br><small>${clock(a.s / 1000, 3)}${a.t === a.f ? '' : a.l ? ', lost' : ', ' + (a.d / 1000).toFixed(1) + ' ms on its way'}</small>`);
    if (a.t === a.f) {
      const good = a.k === 'start', c = good ? 'var(--good)' : 'var(--bad)';
      front += `<g data-t="${key}"><circle cx="${f1(x)}" cy="${y}" r="6" fill="${c}"/>${beside(x, x, 11, y + 4, a.x, 'halo label b', `style="fill:${c}"`)}</g>`;
      return;
    }
    let d, lo = x, hi = x;
    if (a.t < 0) {
      d = `M${f1(x)} ${y}H${f1(Math.min(w - 8, X(who[who.length - 1]) + 24))}M${f1(x)} ${y}H${f1(X(who[0]) - 24)}`;
      front += `<circle cx="${f1(x)}" cy="${y}" r="4" fill="var(--accent)" pointer-events="none"/>`;
    } else {
      const to = X(a.t);
      d = `M${f1(x)} ${y - 4}L${f1(a.l ? (x + to) / 2 : to)} ${a.l ? y + 1 : y + 7}`;
      lo = Math.min(x, to); hi = Math.max(x, to);
    }
    s += `<path class="msg${a.l ? ' lost' : ''}" d="${d}"${a.t < 0 ? ' stroke-dasharray="2 4"' : a.l ? '' : ' marker-end="url(#ah)"'}/>`;
    if (a.l) front += `<text class="failt" x="${f1((x + X(a.t)) / 2)}" y="${y + 6}" text-anchor="middle">✕</text>`;
    const text = a.k + (a.t < 0 ? ' to all' : '') + (a.x ? ': ' + a.x : '');
    front += `<path class="hit" data-t="${key}" d="${d}"/>${beside(lo, hi, 10, y - 7, text.length > 64 ? text.slice(0, 63) + '…' : text, 'ink halo label', 'pointer-events="none"')}`;
  });
  box.innerHTML = `<svg width="${f1(w)}" height="${h}" role="img" aria-label="messages between peers, time downwards">${s}${front}</svg>`;
  // What is said beside the last peers may be wider than the room there: make it.
  const svg = box.firstChild, labels = [...svg.querySelectorAll('.label')].map(t => t.getBBox());
  svg.setAttribute('width', f1(Math.max(w, ...labels.map(b => b.x + b.width + 12))));
}

function marks() {
  $('marks').querySelector('tbody').innerHTML = (D.marks || []).map(m => `<tr data-at="${m.t}"><td>${clock(m.t, true)}</td><td>${esc(markText(m))}</td></tr>`).join('');
  if (!(D.marks || []).length) $('s-marks').hidden = true;
}

function timeCharts() {
  lanes();
  series('same', D.samples.same, {max: 105, ticks: [0, 25, 50, 75, 100], unit: ' %', low: true, h: 190, tip: (v, i) => v + ' % equal; ' + D.samples.run[i] + ' containers run'});
  series('msg', D.samples.msg, {mean: D.means[0], tip: v => num(v) + ' messages'});
  series('bytes', D.samples.bytes, {mean: D.means[1], unit: 'B', tip: v => num(v) + 'B'});
}
function draw() {
  tips.clear();
  legend(); timeCharts(); diagram();
  cdf('placed', D.placed, 'nothing was placed');
  cdf('failed', D.failed, 'no slot went elsewhere after a fault');
}

// ---- what the reader does
const tip = $('tip');
function showTip(html, x, y) {
  if (!html) { tip.hidden = true; return; }
  tip.innerHTML = html; tip.hidden = false;
  const r = tip.getBoundingClientRect();
  tip.style.left = Math.max(8, Math.min(innerWidth - r.width - 8, x + 14)) + 'px';
  tip.style.top = (y + r.height + 24 > innerHeight ? y - r.height - 12 : y + 16) + 'px';
}
let hot = null, drag = null, pinned = false; // pinned: the link to this file points at something
document.addEventListener('pointermove', e => {
  if (e.isTrusted) pinned = false;
  const el = e.target.closest ? e.target.closest('[data-t]') : null, chart = e.target.closest && e.target.closest('[data-series]');
  if (hot) hot.classList.remove('hot');
  hot = el; if (hot) hot.classList.add('hot');
  document.querySelectorAll('.cursor').forEach(c => c.setAttribute('d', ''));
  const svg = e.target.closest && e.target.closest('svg');
  if (drag) { stretch(e); }
  if (el) {
    const k = el.dataset.t, i = +k.slice(1), x = svg ? e.clientX - svg.getBoundingClientRect().left : 0;
    showTip(k[0] === 'r' ? barTip(i) : k[0] === 'f' ? faultTip(i) : k[0] === 'k' ? markTip(i) : tips.has(k) ? tips.get(k)(x) : '', e.clientX, e.clientY);
  } else if (chart) {
    const x = e.clientX - chart.getBoundingClientRect().left, f = tips.get('s-' + chart.dataset.series), c = chart.querySelector('.cursor');
    if (c && x >= LEFT) c.setAttribute('d', `M${f1(x)} 14V${chart.getAttribute('height') - 26}`);
    showTip(f ? f(x) : '', e.clientX, e.clientY);
  } else showTip('');
});
document.addEventListener('pointerleave', () => showTip(''));
addEventListener('scroll', () => { if (!pinned) showTip(''); }, {passive: true});

const laneX = e => { const r = $('lanes').querySelector('svg').getBoundingClientRect(); return Math.max(LEFT, Math.min(r.width - RIGHT, e.clientX - r.left)); };
function stretch(e) {
  const x = laneX(e), sel = $('sel');
  sel.setAttribute('x', Math.min(x, drag.x)); sel.setAttribute('width', Math.abs(x - drag.x));
}
$('lanes').addEventListener('pointerdown', e => {
  if (e.button || e.pointerType === 'touch' || e.target.closest('[data-group]')) return;
  drag = {x: laneX(e)};
});
addEventListener('pointerup', e => {
  if (!drag) return;
  const x = laneX(e), w = $('lanes').querySelector('svg').getBoundingClientRect().width, a = tOf(Math.min(x, drag.x), w), b = tOf(Math.max(x, drag.x), w);
  drag = null; $('sel').setAttribute('width', 0);
  if (Math.abs(xOf(a, w) - xOf(b, w)) > 6) zoom(a, b);
});
function zoom(a, b) {
  t0 = Math.max(0, a); t1 = Math.min(END, Math.max(b, a + 50));
  const keep = $('lanes').scrollTop; timeCharts(); $('lanes').scrollTop = keep;
}
$('lanes').addEventListener('dblclick', () => zoom(0, END));
$('reset').addEventListener('click', () => zoom(0, END));
$('lanes').addEventListener('click', e => {
  const g = e.target.closest('[data-group]');
  if (!g || !BIG) return;
  const name = g.dataset.group;
  open.has(name) ? open.delete(name) : open.add(name);
  const keep = $('lanes').scrollTop; lanes(); $('lanes').scrollTop = keep;
});
const toggle = e => {
  const t = e.target.closest('[data-task]');
  if (!t || e.type === 'keydown' && e.key !== 'Enter') return;
  const i = +t.dataset.task;
  hidden.has(i) ? hidden.delete(i) : hidden.add(i);
  legend(); lanes();
};
$('legend').addEventListener('click', toggle); $('legend').addEventListener('keydown', toggle);
$('all').hidden = !D.peers.some((_, p) => hurtBy(p)) || D.peers.length < 12;
$('all').textContent = 'only peers with faults';
$('all').addEventListener('click', () => { onlyHurt = !onlyHurt; $('all').textContent = onlyHurt ? 'all peers' : 'only peers with faults'; lanes(); });
$('marks').addEventListener('click', e => {
  const r = e.target.closest('[data-at]');
  if (r) { const t = +r.dataset.at; zoom(t - 15e3, t + 75e3); $('s-lanes').scrollIntoView({behavior: 'smooth'}); }
});
$('copy').addEventListener('click', () => {
  const s = getSelection(), r = document.createRange();
  r.selectNodeContents($('replay')); s.removeAllRanges(); s.addRange(r);
  if (navigator.clipboard) navigator.clipboard.writeText($('replay').textContent).catch(() => {});
  $('copy').textContent = 'copied'; setTimeout(() => { $('copy').textContent = 'copy'; }, 1500);
});
let wide = innerWidth;
addEventListener('resize', () => { if (innerWidth !== wide) { wide = innerWidth; draw(); } });
addEventListener('beforeprint', () => { if (BIG) return; draw(); });

if (D.means[2]) for (const [id, i, unit] of [['msg', 0, ''], ['bytes', 1, 'B']]) {
  $(id + '-means').textContent = `, ${num(D.means[i])}${unit} without faults, ${num(D.means[i + 2])}${unit} under them`;
}
draw(); marks();

// #zoom=600,900 opens a stretch of time in seconds; #hover=r0 points at one thing. Both
// can be part of a link to this file.
for (const part of location.hash.slice(1).split('&')) {
  const [k, v] = part.split('=');
  if (k === 'zoom' && v) { const [a, b] = v.split(',').map(x => 1000 * x); if (b > a) zoom(a, b); }
  if (k === 'open' && v) { open.add(decodeURIComponent(v)); lanes(); }
  if (k === 'hover' && v) {
    const el = document.querySelector('[data-t="' + v.replace(/[^a-z0-9]/g, '') + '"]');
    if (el) { pinned = true; el.scrollIntoView({block: 'center'}); const r = el.getBoundingClientRect(); el.dispatchEvent(new PointerEvent('pointermove', {bubbles: true, clientX: r.left + r.width / 2, clientY: r.top + r.height / 2})); }
  }
}
document.documentElement.dataset.drawn = String(document.querySelectorAll('#bars [data-t]').length);
