// Charts of a report, part 2 of 4: bars, lines, maps and scatter plots. Each is drawn on a sheet and tells its items: where each lies, what
// is said about it, and by which place it is chosen.

const DASHES = ["", "7 4", "2 3", "10 3 2 3"];
const LEAST_BAR = 15; // pixels for a label, below which the chart grows and scrolls
const [LONG, MOST_UPRIGHT] = [12, 20]; // letters of a name, and names, for which bars lie
const LEAST_MAP = 290; // pixels for each of several maps, below which they scroll
const MOST_CELLS = 400; // columns or rows of a map that are named and stand apart

const colourOf = (ink, index) => ink.colours[index % ink.colours.length];

/** Thresholds that are not so far away that the data would shrink to nothing. */
function near(values, lines) {
  const most = Math.max(...values.filter(Number.isFinite).map(Math.abs), 1e-9);
  return lines.map(({ value }) => value).filter((value) => Math.abs(value) <= 2.2 * most);
}

function drawBars(chart, room, ink) {
  const { labels, groups, lines } = chart;
  const [tight, long] = [labels.some((label) => wide(label) > (room.width - 74) / labels.length - 4), labels.some((label) => label.length > LONG)];
  if (tight && (long || labels.length > MOST_UPRIGHT)) return drawRows(chart, room, ink);
  const ends = groups.flatMap(({ values, errors }) => values.flatMap((value, k) => (value === null ? [] : [value - (errors[k] ?? 0), value + (errors[k] ?? 0), value])));
  const width = Math.max(room.width, 70 + labels.length * LEAST_BAR);
  const sheet = new Sheet(width, room.height, ink, chart.title);
  const each = (width - 74) / Math.max(labels.length, 1);
  const slanted = labels.some((label) => wide(label) > each - 4);
  const below = slanted ? Math.min(96, 16 + 0.62 * Math.max(...labels.map((label) => wide(shortened(label, 20))))) : 22;
  const top = 6 + legend(sheet, groups.map(({ name }, k) => ({ name, colour: colourOf(ink, k) })), 58, width - 70);
  const field = { left: 58, top, width: width - 70, height: Math.max(room.height - top - below - 4, 40), y: span([...ends, ...near(ends, lines)], { zero: true }) };
  const y = scale(field.y, field.top + field.height, field.top);
  sheet.axes(field, { y, yName: chart.axis });
  const [step, items] = [field.width / Math.max(labels.length, 1), []];
  labels.forEach((label, k) => {
    const [from, thick] = [field.left + k * step, Math.min((step * 0.78) / groups.length, 46)];
    const begin = from + (step - thick * groups.length) / 2;
    groups.forEach(({ values, errors }, place) => {
      const [value, x] = [values[k], begin + place * thick];
      if (value === null || value === undefined) return sheet.text("\u2013", x + thick / 2, y(0) - 4, { "text-anchor": "middle" });
      const [high, low] = [Math.min(y(value), y(0)), Math.max(y(value), y(0))];
      sheet.add("rect", { x: x + 0.5, y: high, width: Math.max(thick - 1, 1), height: Math.max(low - high, 1), rx: 1.5, fill: colourOf(ink, place) });
      if (errors[k]) sheet.whisker(x + thick / 2, y(value - errors[k]), y(value + errors[k]));
    });
    const middle = from + step / 2;
    const name = shortened(label, 20);
    if (slanted) sheet.text(name, 0, 0, { "text-anchor": "end", transform: `translate(${(middle + 4).toFixed(1)} ${(field.top + field.height + 13).toFixed(1)}) rotate(-38)` });
    else sheet.text(name, middle, field.top + field.height + 16, { "text-anchor": "middle" });
    const said = groups.map((group) => `${groups.length > 1 ? `${group.name} ` : ""}${withError(group.values[k], group.errors[k])}`);
    items.push({ words: [label, ...said], place: [k], target: Boolean(chart.targets[k]), box: [from, field.top, step, field.height + below] });
  });
  if (field.y[0] < 0) sheet.line(field.left, y(0), field.left + field.width, y(0), ink.text);
  lines.forEach((line, put) => sheet.level(field, y, line, put));
  return { sheet, items };
}

/** Bars that lie, a row for each label: for long names. */
function drawRows(chart, room, ink) {
  const { labels, groups, lines } = chart;
  const ends = groups.flatMap(({ values, errors }) => values.flatMap((value, k) => (value === null ? [] : [value - (errors[k] ?? 0), value + (errors[k] ?? 0), value])));
  const left = 16 + Math.min(170, Math.max(...labels.map((label) => wide(shortened(label, 26)))));
  const top = 6 + legendHeight(groups, room.width - left);
  const row = Math.max(16, 9 * groups.length + 5, (room.height - top - 44) / labels.length);
  const sheet = new Sheet(room.width - 12, top + row * labels.length + 41, ink, chart.title);
  legend(sheet, groups.map(({ name }, k) => ({ name, colour: colourOf(ink, k) })), left, room.width - left);
  const field = { left, top, width: room.width - left - 26, height: row * labels.length, x: span([...ends, ...near(ends, lines)], { zero: true }) };
  const x = scale(field.x, field.left, field.left + field.width);
  const across = ticks(...field.x, Math.max(2, field.width / 80));
  for (const value of across.at) {
    sheet.line(Math.round(x(value)) + 0.5, top, Math.round(x(value)) + 0.5, top + field.height + 4, ink.line);
    sheet.text(figures(value, across.digits), x(value), top + field.height + 17, { "text-anchor": "middle" });
  }
  sheet.text(chart.axis, left + field.width / 2, top + field.height + 35, { "text-anchor": "middle" });
  const [thick, items] = [Math.min((row * 0.8) / groups.length, 22), []];
  labels.forEach((label, k) => {
    const from = top + k * row;
    const begin = from + (row - thick * groups.length) / 2;
    sheet.text(shortened(label, 26), left - 7, from + row / 2, { "text-anchor": "end", "dominant-baseline": "central" });
    groups.forEach(({ values, errors }, place) => {
      const [value, y] = [values[k], begin + place * thick];
      if (value === null || value === undefined) return sheet.text("\u2013", x(0) + 4, y + thick / 2, { "dominant-baseline": "central" });
      const [low, high] = [Math.min(x(value), x(0)), Math.max(x(value), x(0))];
      sheet.add("rect", { x: low, y: y + 0.5, width: Math.max(high - low, 1), height: Math.max(thick - 1, 1), rx: 1.5, fill: colourOf(ink, place) });
      if (errors[k]) sheet.whisker(y + thick / 2, x(value - errors[k]), x(value + errors[k]), true);
    });
    const said = groups.map((group) => `${groups.length > 1 ? `${group.name} ` : ""}${withError(group.values[k], group.errors[k])}`);
    items.push({ words: [label, ...said], place: [k], target: Boolean(chart.targets[k]), box: [0, from, sheet.width, row] });
  });
  sheet.line(x(0), top, x(0), top + field.height, ink.text);
  lines.forEach(({ value, name }, put) => {
    const inside = value >= field.x[0] && value <= field.x[1];
    if (inside) sheet.line(x(value), top, x(value), top + field.height, ink.warn, { "stroke-dasharray": "6 4", "stroke-width": 1.4 });
    sheet.halo(`${name} ${figures(value)}${inside ? "" : ", beyond this chart \u2192"}`, inside ? x(value) - 5 : left + field.width, top + 12 + 15 * put, { "text-anchor": "end", fill: ink.warn });
  });
  return { sheet, items };
}

const legendHeight = (groups, width) => (groups.length < 2 ? 0 : 14 + 18 * Math.floor(groups.reduce((sum, { name }) => sum + wide(shortened(name, 44)) + 38, 0) / Math.max(width, 1)));

function drawCurves(chart, room, ink) {
  const { curves, marks, lines } = chart;
  const sheet = new Sheet(room.width, room.height, ink, chart.title);
  const entries = curves.map(({ name, style }, k) => (style === "line" ? { name, colour: colourOf(ink, k), dash: DASHES[Math.floor(k / 8) % 4] } : { name, colour: colourOf(ink, k), kind: style === "points" ? "circle" : "square" }));
  const top = 6 + legend(sheet, entries, 58, room.width - 70);
  const ends = curves.flatMap(({ y, errors }) => y.flatMap((value, k) => (value === null ? [] : [value - (errors[k] ?? 0), value + (errors[k] ?? 0)])));
  const field = {
    left: 58, top, width: room.width - 74, height: Math.max(room.height - top - 42, 40),
    x: span([...curves.flatMap(({ x }) => x), ...marks.map(({ value }) => value)], { room: 0.01 }), y: span([...ends, ...near(ends, lines)], { zero: curves.some(({ style }) => style === "area") }),
  };
  const [x, y] = [scale(field.x, field.left, field.left + field.width), scale(field.y, field.top + field.height, field.top)];
  sheet.axes(field, { x, y, xName: chart.x, yName: chart.y });
  const items = curves.flatMap((curve, k) => drawCurve(sheet, curve, k, { x, y, field, ink, chart }));
  marks.forEach(({ value, name }, k) => {
    const [at, right] = [x(value), x(value) > field.left + 0.7 * field.width];
    sheet.line(at, field.top, at, field.top + field.height, ink.warn, { "stroke-dasharray": "5 4", "stroke-width": 1.4 });
    sheet.halo(name, at + (right ? -5 : 5), field.top + 12 + 15 * (k % 4), { fill: ink.warn, "text-anchor": right ? "end" : "start" });
  });
  lines.forEach((line, put) => sheet.level(field, y, line, put));
  return { sheet, items };
}

/** One line, cloud or area; gaps where there is no number. */
function drawCurve(sheet, { name, x: xs, y: ys, errors, style, targets }, k, { x, y, field, ink, chart }) {
  const [colour, pieces] = [colourOf(ink, k), [[]]];
  xs.forEach((at, index) => (ys[index] === null ? pieces.push([]) : pieces.at(-1).push(index)));
  const base = y(Math.max(field.y[0], Math.min(0, field.y[1])));
  for (const piece of pieces.filter((each) => each.length)) {
    const points = piece.map((index) => [x(xs[index]), y(ys[index])]);
    if (style === "area") sheet.path([[points[0][0], base], ...points, [points.at(-1)[0], base]], { fill: colour, "fill-opacity": 0.3, stroke: colour, "stroke-width": 1.2 });
    if (style === "line" && errors.length) {
      const [upper, lower] = [1, -1].map((sign) => piece.map((index) => [x(xs[index]), y(ys[index] + sign * (errors[index] ?? 0))]));
      sheet.path([...upper, ...lower.reverse()], { fill: colour, "fill-opacity": 0.18, stroke: "none" });
    }
    if (style === "line") sheet.path(points, { stroke: colour, "stroke-width": 2, "stroke-dasharray": DASHES[Math.floor(k / 8) % 4], "stroke-linejoin": "round" });
  }
  if (style === "points") xs.forEach((at, index) => {
    if (ys[index] === null) return;
    if (errors[index]) sheet.whisker(x(at), y(ys[index] - errors[index]), y(ys[index] + errors[index]));
    sheet.mark(MARKS[k % MARKS.length], x(at), y(ys[index]), 4, colour);
  });
  return xs.flatMap((at, index) => (ys[index] === null ? [] : [{ words: [name, `${chart.x}: ${figures(at)}`, `${chart.y}: ${withError(ys[index], errors[index])}`], place: [k, index], target: Boolean(targets[index]), at: [x(at), y(ys[index])] }]));
}

/** A map, and the maps beside it: those of one unit have one scale, so that their colours say the same. */
function drawHeat(chart, room, ink) {
  const maps = [chart, ...(chart.beside ?? [])];
  const numeric = ({ edges }) => edges[0].length > 0;
  const lefts = maps.map((map) => (numeric(map) ? 58 : 30 + Math.min(130, Math.max(...map.rows.map((row) => wide(shortened(row, 18))), 20))));
  const each = Math.max(room.width / maps.length, maps.length > 1 ? LEAST_MAP : 0);
  const rows = chart.rows.length;
  const height = Math.max(room.height, numeric(chart) ? 220 : rows <= MOST_CELLS && maps.length === 1 ? 60 + rows * 13 : 0);
  const sheet = new Sheet(each * maps.length, height, ink, chart.title);
  const top = maps.length > 1 ? 26 : 8;
  const items = maps.flatMap((map, k) => {
    const field = { left: k * each + lefts[k], top, width: Math.min(each - lefts[k] - 92, numeric(map) ? 1.25 * (height - 54) : Infinity), height: height - top - 46 };
    if (maps.length > 1) sheet.text(shortened(map.title, Math.floor(each / 7)), k * each + lefts[k], 15, { "font-weight": 600 });
    return drawMap(sheet, map, field, rangeOf(map, maps), ink, k * each);
  });
  return { sheet, items };
}

/** Lowest and highest value of the maps that share a scale. */
function rangeOf({ unit, centred }, maps) {
  const known = maps.filter((map) => map.unit === unit && map.centred === centred).flatMap(({ values }) => values.flat()).filter((value) => value !== null);
  const [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
  return centred ? [-Math.max(Math.abs(low), Math.abs(high)), Math.max(Math.abs(low), Math.abs(high))] : [low, high];
}

function drawMap(sheet, chart, field, [low, high], ink, edge) {
  const { columns, rows, values, centred, points, dots = [] } = chart;
  const share = (value) => (high > low ? (value - low) / (high - low) : 0.5);
  const numeric = chart.edges[0].length > 0;
  const [w, h] = [field.width / Math.max(columns.length, 1), field.height / Math.max(rows.length, 1)];
  const colours = chart.low_stands_out ? [...ink.sequential].reverse() : ink[centred ? "diverging" : "sequential"];
  const picture = make("canvas", { width: Math.max(columns.length, 1), height: Math.max(rows.length, 1) });
  const brush = picture.getContext("2d");
  values.forEach((row, j) => row.forEach((value, i) => value !== null && ((brush.fillStyle = between(colours, share(value))), brush.fillRect(i, j, 1, 1))));
  sheet.add("rect", { x: field.left, y: field.top, width: field.width, height: field.height, fill: ink.line, "fill-opacity": 0.5 });
  sheet.add("image", { href: picture.toDataURL(), x: field.left, y: field.top, width: field.width, height: field.height, preserveAspectRatio: "none", style: "image-rendering: pixelated" });
  if (numeric) numbered(sheet, field, chart.edges);
  else {
    name(rows, h, 13, (row, k) => sheet.text(shortened(row, 18), field.left - 6, field.top + (k + 0.5) * h, { "text-anchor": "end", "dominant-baseline": "central" }));
    name(columns, w, 8 + Math.max(...columns.map((column) => wide(shortened(column, 14))), 6), (column, k) => sheet.text(shortened(column, 14), field.left + (k + 0.5) * w, field.top + field.height + 15, { "text-anchor": "middle" }));
  }
  sheet.text(chart.x, field.left + field.width / 2, sheet.height - 6, { "text-anchor": "middle" });
  sheet.text(chart.y, 0, 0, { "text-anchor": "middle", transform: `translate(${(edge + 13).toFixed(1)} ${(field.top + field.height / 2).toFixed(1)}) rotate(-90)` });
  for (const [row, column] of dots) sheet.add("circle", { cx: field.left + column * w, cy: field.top + row * h, r: 2.2, fill: ink.strong, stroke: ink.ground, "stroke-width": 0.7, class: "dot" });
  for (const [row, column, words] of points) {
    const [cx, cy] = [field.left + (column + 0.5) * w, field.top + (row + 0.5) * h];
    for (const [stroke, thick] of [[ink.ground, 4], [ink.strong, 1.8]]) sheet.add("circle", { cx, cy, r: 6, fill: "none", stroke, "stroke-width": thick });
    sheet.halo(words, cx + 10, cy + 4, { fill: ink.strong });
  }
  bar(sheet, colours, low, high, chart.unit, { x: field.left + field.width + 16, top: field.top + 14, height: Math.min(field.height - 20, 180) });
  const [byCell, where] = [chart.cells.length > 0, (j, i) => (numeric ? `${chart.x} ${columns[i]}, ${chart.y} ${rows[j]}`.replaceAll(" -", " \u2212") : `${rows[j]}, ${columns[i]}`)];
  return values.flatMap((row, j) => row.map((value, i) => ({
    words: [where(j, i), numeric && value === null ? "nothing was seen here" : `${figures(value)} ${chart.unit}`],
    place: byCell ? [j, i] : [j],
    target: Boolean(byCell ? chart.cells[j][i] : chart.targets[j]),
    box: [field.left + i * w, field.top + j * h, w, h],
  })));
}

/** Ticks beside a map whose cells lie between numbers: every quarter of a circle, or round numbers. */
function numbered(sheet, { left, top, width, height }, [across, up]) {
  const steps = (ends, count) => (Math.abs(ends.at(-1) - ends[0]) === 360 ? { at: [-180, -90, 0, 90, 180], digits: 0 } : ticks(Math.min(...ends), Math.max(...ends), count));
  const [x, y] = [scale([across[0], across.at(-1)], left, left + width), scale([up[0], up.at(-1)], top, top + height)];
  const [below, beside] = [steps(across, width / 80), steps(up, height / 50)];
  for (const value of below.at) {
    sheet.line(x(value), top + height, x(value), top + height + 4, sheet.ink.text);
    sheet.text(figures(value, below.digits), x(value), top + height + 16, { "text-anchor": "middle" });
  }
  for (const value of beside.at) {
    sheet.line(left - 4, y(value), left, y(value), sheet.ink.text);
    sheet.text(figures(value, beside.digits), left - 7, y(value), { "text-anchor": "end", "dominant-baseline": "central" });
  }
}

/** Names beside rows or columns; where they have no room, every so many. */
function name(names, each, least, put) {
  const every = Math.max(1, Math.ceil(least / Math.max(each, 0.01)));
  names.forEach((words, k) => k % every === 0 && put(words, k));
}

/** A colour scale with its ends. */
function bar(sheet, colours, low, high, unit, { x, top, height }) {
  for (let k = 0; k < 32; k++) sheet.add("rect", { x, y: top + height - ((k + 1) * height) / 32, width: 12, height: height / 32 + 0.6, fill: between(colours, (k + 0.5) / 32) });
  const at = ticks(low, high > low ? high : low + 1, 4);
  for (const value of at.at) sheet.text(figures(value, at.digits), x + 17, top + height - (height * (value - low)) / (high > low ? high - low : 1), { "dominant-baseline": "central" });
  sheet.text(unit, x - 6, top - 5);
}

function drawScatter(chart, room, ink) {
  const { series, bands } = chart;
  const all = series.flatMap(([, points]) => points);
  const ends = all.flatMap(({ x, y, x_error: dx, y_error: dy }) => [x - (dx ?? 0), x + (dx ?? 0), y - (dy ?? 0), y + (dy ?? 0)]);
  const sheet = new Sheet(room.width, room.height, ink, chart.title);
  const top = 6 + legend(sheet, series.map(([title], k) => ({ name: title, colour: colourOf(ink, k), kind: MARKS[k % MARKS.length] })), 58, room.width - 70);
  const height = Math.max(room.height - top - 42, 60);
  const width = Math.max(Math.min(room.width - 74, Math.max(1.9 * Math.min(height, 260), height)), 60); // square where there is room for it
  const both = span(ends);
  const field = { left: 58 + Math.max(0, (room.width - 74 - width) / 2), top, width, height, x: both, y: both };
  const [x, y] = [scale(both, field.left, field.left + width), scale(both, field.top + height, field.top)];
  sheet.axes(field, { x, y, xName: "", yName: "" });
  sheet.text(chart.x, field.left + width / 2, field.top + height + 34, { "text-anchor": "middle" });
  sheet.text(chart.y, 0, 0, { "text-anchor": "middle", transform: `translate(${(field.left - 44).toFixed(1)} ${(field.top + height / 2).toFixed(1)}) rotate(-90)` });
  for (const away of [0, ...bands.flatMap((band) => [band, -band])]) diagonal(sheet, both, away, x, y, ink);
  const items = series.flatMap(([title, points], k) => points.map((point, index) => {
    const { x_error: dx, y_error: dy } = point;
    if (dy) sheet.whisker(x(point.x), y(point.y - dy), y(point.y + dy));
    if (dx) sheet.whisker(y(point.y), x(point.x - dx), x(point.x + dx), true);
    sheet.mark(MARKS[k % MARKS.length], x(point.x), y(point.y), 5, colourOf(ink, k));
    return { words: [point.name, series.length > 1 && title, `${chart.x}: ${withError(point.x, dx)}`, `${chart.y}: ${withError(point.y, dy)}`].filter(Boolean), place: [k, index], target: point.targeted, at: [x(point.x), y(point.y)] };
  }));
  return { sheet, items };
}

function diagonal(sheet, [low, high], away, x, y, ink) {
  const [from, to] = [Math.max(low, low - away), Math.min(high, high - away)];
  if (from < to) sheet.line(x(from), y(from + away), x(to), y(to + away), away ? ink.line : ink.text, { "stroke-dasharray": away ? "4 4" : "none", "stroke-width": away ? 1.4 : 1 });
}

const DRAW = { Bars: drawBars, Curves: drawCurves, Heat: drawHeat, Scatter: drawScatter };
