// Charts of a report, part 1 of 4: shapes on an SVG, numbers as people read them, axes, and what can be chosen in a chart.
//
// The four parts (base, kinds, table, report) are joined in this order into one ES module, because Panel loads one. They know numbers, names
// and colours and must not know what a chart is about. Colours are written into the drawing itself, so that it can be taken home as it is.

const SVG = "http://www.w3.org/2000/svg";
const FONT = 'system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif';
const SIZE = 12;
const MARKS = ["circle", "square", "diamond", "triangle"];

function make(tag, properties = {}, ...children) {
  const { aria = {}, data = {}, ...rest } = properties;
  const node = Object.assign(document.createElement(tag), rest);
  for (const [name, value] of Object.entries(aria)) node.setAttribute(name, value);
  Object.assign(node.dataset, data);
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

function button(words, act, properties = {}) {
  const node = make("button", { type: "button", textContent: words, ...properties });
  node.addEventListener("click", act);
  return node;
}

const SMALL = 1e-4; // smaller numbers are written with a power of ten: noughts are hard to count
const RAISED = { "-": "\u207b", 0: "\u2070", 1: "\u00b9", 2: "\u00b2", 3: "\u00b3", 4: "\u2074", 5: "\u2075", 6: "\u2076", 7: "\u2077", 8: "\u2078", 9: "\u2079" };

/** A number as people read it: three figures or so, a true minus sign, a dash for none. */
function figures(value, digits = null) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "\u2013";
  const size = Math.abs(value);
  if (digits === null && size > 0 && size < SMALL) {
    const [number, power] = value.toExponential(1).split("e");
    return `${number.replace("-", "\u2212")} \u00d7 10${[...power].map((sign) => RAISED[sign]).join("")}`;
  }
  const places = digits ?? (Number.isInteger(value) ? 0 : size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.095 || size === 0 ? 2 : 1 - Math.floor(Math.log10(size)));
  const text = value.toFixed(places);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "\u2212");
}

function withError(value, error) {
  return error ? `${figures(value)} \u00b1 ${figures(error)}` : figures(value);
}

/** Round numbers between `low` and `high`, about `count` of them, and the digits that tell them apart. */
function ticks(low, high, count) {
  const raw = (high - low) / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(raw));
  const factor = [1, 2, 2.5, 5, 10].find((each) => each * power >= raw * 0.999);
  const step = power * factor;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  const at = Array.from({ length: Math.max(last - first + 1, 0) }, (_, index) => (first + index) * step);
  return { at, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9) + (factor === 2.5 ? 1 : 0)) };
}

/** Lowest and highest of some numbers and some room; never an empty range. */
function span(values, { zero = false, room = 0.06 } = {}) {
  const known = values.filter((value) => value !== null && Number.isFinite(value));
  let [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
  if (zero) [low, high] = [Math.min(low, 0), Math.max(high, 0)];
  if (low === high) [low, high] = zero ? [low, low + 1] : [low - 0.5, high + 0.5];
  const more = room * (high - low);
  return [zero && low === 0 ? 0 : low - more, zero && high === 0 ? 0 : high + more];
}

/** A colour between those of a scale; `share` runs from 0 to 1. */
function between(scale, share) {
  const place = Math.min(Math.max(share, 0), 1) * (scale.length - 1);
  const [from, part] = [Math.min(Math.floor(place), scale.length - 2), place - Math.min(Math.floor(place), scale.length - 2)];
  const [one, other] = [scale[from], scale[from + 1]].map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  return `#${one.map((each, k) => Math.round(each + part * (other[k] - each)).toString(16).padStart(2, "0")).join("")}`;
}

/** About how wide a text is, pixels. */
const wide = (text) => 0.56 * SIZE * String(text).length;
const shortened = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}\u2026` : text);

/** A pen on an SVG of `width` by `height` pixels. */
class Sheet {
  constructor(width, height, ink, title) {
    Object.assign(this, { width, height, ink });
    this.root = document.createElementNS(SVG, "svg");
    const attributes = { xmlns: SVG, width, height, viewBox: `0 0 ${width} ${height}`, "font-family": FONT, "font-size": SIZE, role: "img", "aria-label": title };
    for (const [name, value] of Object.entries(attributes)) this.root.setAttribute(name, value);
    this.into = this.root;
    this.add("rect", { width, height, fill: ink.ground, class: "ground" });
  }

  add(tag, attributes, text = "") {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, typeof value === "number" ? Number(value.toFixed(2)) : value);
    if (text) node.textContent = text;
    return this.into.appendChild(node);
  }

  line(x1, y1, x2, y2, stroke, more = {}) {
    return this.add("line", { x1, y1, x2, y2, stroke, "stroke-width": 1, ...more });
  }

  text(words, x, y, more = {}) {
    return this.add("text", { x, y, fill: this.ink.text, ...more }, words);
  }

  path(points, more) {
    return this.add("path", { d: points.map(([x, y], k) => `${k ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`).join(""), fill: "none", ...more });
  }

  /** A mark that can be told apart by its shape too. */
  mark(kind, x, y, r, colour) {
    const look = { fill: colour, stroke: this.ink.ground, "stroke-width": 1 };
    if (kind === "circle") return this.add("circle", { cx: x, cy: y, r, ...look });
    const corners = { square: [[-1, -1], [1, -1], [1, 1], [-1, 1]], diamond: [[0, -1.35], [1.35, 0], [0, 1.35], [-1.35, 0]], triangle: [[0, -1.3], [1.2, 0.9], [-1.2, 0.9]] }[kind];
    return this.add("path", { d: `${corners.map(([dx, dy], k) => `${k ? "L" : "M"}${(x + r * dx * 0.9).toFixed(2)} ${(y + r * dy * 0.9).toFixed(2)}`).join("")}Z`, ...look });
  }

  /** A standard error: a bar with caps. */
  whisker(x, low, high, across = false) {
    const look = { "stroke-width": 1.3 };
    const ends = across ? [[low, x, high, x], [low, x - 3, low, x + 3], [high, x - 3, high, x + 3]] : [[x, low, x, high], [x - 3, low, x + 3, low], [x - 3, high, x + 3, high]];
    for (const [x1, y1, x2, y2] of ends) this.line(x1, y1, x2, y2, this.ink.strong, look);
  }

  /** Axes around a field: grid lines, numbers, names. */
  axes(field, { y, x = null, yName, xName }) {
    const { ink } = this;
    const { left, top, width, height } = field;
    const up = ticks(...field.y, Math.max(2, height / 40));
    for (const value of up.at) {
      this.line(left, Math.round(y(value)) + 0.5, left + width, Math.round(y(value)) + 0.5, ink.line);
      this.text(figures(value, up.digits), left - 7, y(value), { "text-anchor": "end", "dominant-baseline": "central" });
    }
    if (x) {
      const across = ticks(...field.x, Math.max(2, width / 70));
      for (const value of across.at) {
        this.line(Math.round(x(value)) + 0.5, top + height, Math.round(x(value)) + 0.5, top + height + 4, ink.text);
        this.text(figures(value, across.digits), x(value), top + height + 16, { "text-anchor": "middle" });
      }
    }
    this.line(left, top + height + 0.5, left + width, top + height + 0.5, ink.text);
    if (xName) this.text(xName, left + width / 2, this.height - 5, { "text-anchor": "middle" });
    if (yName) this.text(shortened(yName, Math.max(12, Math.floor((height + top) / 6.2))), 0, 0, { "text-anchor": "middle", transform: `translate(13 ${(top + height / 2).toFixed(1)}) rotate(-90)` });
  }

  /** A dashed line across at a value that has a name; beyond the field it is told at the edge. */
  level(field, y, { value, name }, put = 0) {
    const inside = value >= field.y[0] && value <= field.y[1];
    const words = `${name} ${figures(value)}${inside ? "" : value > field.y[1] ? ", above this chart \u2191" : ", below this chart \u2193"}`;
    const at = inside ? y(value) : value > field.y[1] ? field.top + 4 + 15 * put : field.top + field.height - 4;
    if (inside) this.line(field.left, at, field.left + field.width, at, this.ink.warn, { "stroke-dasharray": "6 4", "stroke-width": 1.4 });
    this.halo(words, field.left + field.width - 2, inside ? at + (at < field.top + 12 ? 14 : -5) : at + 6, { "text-anchor": "end", fill: this.ink.warn });
  }

  halo(words, x, y, more) {
    this.text(words, x, y, { stroke: this.ink.ground, "stroke-width": 4, "stroke-linejoin": "round", "paint-order": "stroke", ...more });
  }
}

/** From values to pixels. */
function scale([low, high], from, to) {
  return (value) => from + ((to - from) * (value - low)) / (high - low);
}

/** Rows of the legend that have room in `width`, and how high they are. */
function legend(sheet, entries, left, width) {
  if (entries.length < 2 && !entries.some(({ always }) => always)) return 0;
  let [x, y] = [left, 11];
  for (const { name, colour, kind = "square", dash } of entries) {
    const words = shortened(name, 44);
    const room = wide(words) + 30;
    if (x > left && x + room > left + width) [x, y] = [left, y + 18];
    if (dash !== undefined) sheet.line(x, y, x + 16, y, colour, { "stroke-width": 2.4, "stroke-dasharray": dash });
    else sheet.mark(kind, x + 8, y, 5, colour);
    sheet.text(words, x + 22, y + 0.5, { "dominant-baseline": "central" });
    x += room + 8;
  }
  return y + 12;
}
