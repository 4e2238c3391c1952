// The live plots: some panels side by side over one time axis, drawn on canvases. One module for a Panel server and for JupyterLab,
// where Bokeh's own models do not hear of later points without a server.
//
// It knows lines and must not know what they mean. Protocol, in both directions over the host's own channel:
//   properties in   panels [title], clock, ink {text, line, ground, colours}, marker (ps or null)
//   both ways       shown [title of each slot], last (ps that are shown, 0: the whole run)
//   messages in     {number, start, end, slots: [{period, curves: [{label, colour, dash, fresh, now, time, values}]}]}: float64; fresh: in place
//                   of the points before, otherwise after them; | {file, name, mime}: to be saved
//   messages out    {type: "ready"} | {type: "ack", number} | {type: "time", time} | {type: "save", format}

const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3]];
const CROWD = 3000; // points of a line beyond which those out of sight are dropped
const ROW = 4; // lines whose values have room above a plot; of more they stand beside it
const HELP = "Point or use the arrow keys to read the values; click or press Enter to see the molecule at that moment.";
const FORMATS = {
  csv: "Save all numbers that are kept, of all panels, as a table (CSV)",
  png: "Save the panels that you see as a picture (PNG)",
  svg: "Save the panels that you see as a drawing (SVG)",
};

function make(tag, properties = {}, ...children) {
  const { aria = {}, ...rest } = properties;
  const element = Object.assign(document.createElement(tag), rest);
  for (const [name, value] of Object.entries(aria)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A number as people read it, with a true minus sign. */
function figures(value, digits) {
  if (!Number.isFinite(value)) return "\u2013";
  const text = value.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "\u2212");
}

/** Round numbers between `low` and `high`, about `count` of them, and the digits that tell them apart. */
function ticks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  const at = Array.from({ length: Math.max(last - first + 1, 0) }, (_, index) => (first + index) * step);
  return { at, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

/** Index of the value of ascending `times` that is nearest to `time`; -1 if there is none. */
function nearest(times, time) {
  let [low, high] = [0, times.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (times[middle] > time) high = middle;
    else low = middle;
  }
  return high >= 0 && Math.abs(times[high] - time) < Math.abs(times[low] - time) ? high : Math.min(low, high);
}

function joined(before, bytes, fresh) {
  const points = Array.from(new Float64Array(bytes));
  return fresh || !before ? points : before.concat(points);
}

/** One panel: what it shows is chosen above it, with the values at the cursor beside the choice. */
class Slot {
  constructor(board, place) {
    Object.assign(this, { board, place, curves: [], period: null, digits: 1 });
    this.choice = make("select", { title: "What this plot shows", aria: { "aria-label": `What plot ${place + 1} shows` } });
    this.choice.addEventListener("change", () => board.choose(place, this.choice.value));
    this.keys = make("span", { className: "keys" });
    const role = { role: "slider", "aria-label": `Plot ${place + 1}: moment to read. ${HELP}`, "aria-valuemin": "0", "aria-valuemax": "0", "aria-valuenow": "0" };
    this.canvas = make("canvas", { tabIndex: 0, title: HELP, aria: role });
    this.field = make("div", { className: "field" }, this.canvas);
    this.root = make("section", { className: "slot" }, make("header", {}, this.choice, this.keys), this.field);
    this.canvas.addEventListener("pointermove", (event) => board.point(this.timeAt(event)));
    this.canvas.addEventListener("pointerleave", () => board.point(null));
    this.canvas.addEventListener("click", (event) => board.go(this.timeAt(event)));
    this.canvas.addEventListener("blur", () => board.point(null));
    this.canvas.addEventListener("keydown", (event) => this.press(event));
  }

  get times() {
    return this.curves.reduce((longest, curve) => (curve.time.length > longest.length ? curve.time : longest), []);
  }

  offer(titles, title) {
    this.choice.replaceChildren(...titles.map((each) => make("option", { value: each, textContent: each })));
    this.choice.value = title;
  }

  take({ period, curves }, start) {
    this.period = period;
    this.root.classList.toggle("many", curves.length > ROW);
    this.curves = curves.map(({ time, values, fresh, ...look }, index) => {
      const before = this.curves[index];
      const curve = { ...look, time: joined(before?.time, time, fresh), values: joined(before?.values, values, fresh) };
      const gone = curve.time.length > CROWD ? curve.time.findIndex((each) => each >= start) : 0;
      if (gone > 0) for (const name of ["time", "values"]) curve[name] = curve[name].slice(gone);
      return curve;
    });
  }

  /** The moment of a pointer, at the nearest point drawn; null where nothing is. */
  timeAt(event) {
    const { start, end } = this.board;
    const share = (event.offsetX - this.area.left) / this.area.width;
    const times = this.times;
    const index = nearest(times, start + Math.min(Math.max(share, 0), 1) * (end - start));
    return index < 0 ? null : times[index];
  }

  press(event) {
    const times = this.times;
    const now = this.board.cursor === null ? times.length : nearest(times, this.board.cursor);
    const far = event.shiftKey ? 10 : 1;
    const to = { ArrowLeft: now - far, ArrowDown: now - far, ArrowRight: now + far, ArrowUp: now + far, Home: 0, End: times.length - 1 }[event.key];
    if (event.key === "Enter") this.board.go(this.board.cursor);
    else if (event.key === "Escape") this.board.point(null);
    else if (to !== undefined && times.length) this.board.point(times[Math.min(Math.max(to, 0), times.length - 1)]);
    else return;
    event.preventDefault();
  }

  valueAt(curve, time) {
    if (time === null) return curve.now;
    const index = nearest(curve.time, time);
    const near = Math.abs(curve.time[index] - time) <= 0.02 * (this.board.end - this.board.start); // not where a run ended long before
    return near ? curve.values[index] : NaN;
  }

  /** Lowest and highest value of the axis: all that is drawn and some room; a full turn for angles. */
  get span() {
    if (this.period) return [-this.period / 2, this.period / 2];
    let [low, high] = [Infinity, -Infinity];
    for (const { values } of this.curves)
      for (const value of values) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
    if (low > high) return [0, 1];
    const room = 0.08 * (high - low) || Math.max(1e-3 * Math.abs(high), 0.5);
    return [low - room, high + room];
  }

  draw() {
    const pen = this.pen();
    if (!pen) return;
    const { ink, start, end, cursor, marker } = this.board;
    const { left, top, width, height } = this.area;
    const [low, high] = this.span;
    const x = (time) => left + (width * (time - start)) / (end - start);
    const y = (value) => top + (height * (high - value)) / (high - low);
    this.axes(pen, x, y, low, high);
    pen.save();
    pen.beginPath();
    pen.rect(left, top - 1, width + 1, height + 2);
    pen.clip();
    for (const curve of this.curves) this.line(pen, curve, x, y);
    this.moment(pen, marker, x, [4, 3], ink.accent);
    this.moment(pen, cursor, x, [], ink.text);
    for (const curve of cursor === null ? [] : this.curves) this.dot(pen, curve, cursor, x, y);
    pen.restore();
    this.legend();
  }

  /** A cleared canvas at the screen's own resolution, and where the lines go; none while it has no size. */
  pen() {
    const place = this.field.getBoundingClientRect(); // on whole pixels: between two of them lines would blur
    const left = Math.ceil(place.left) - place.left;
    Object.assign(this.canvas.style, { left: `${left}px`, width: `${Math.max(Math.floor(place.width - left), 0)}px` });
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth || !clientHeight) return null;
    const dots = window.devicePixelRatio || 1;
    const size = [Math.round(clientWidth * dots), Math.round(clientHeight * dots)];
    if (this.canvas.width !== size[0] || this.canvas.height !== size[1]) [this.canvas.width, this.canvas.height] = size;
    const { fontSize, fontFamily } = getComputedStyle(this.canvas);
    const em = parseFloat(fontSize);
    this.area = { left: 4 * em, top: 0.6 * em, width: Math.max(clientWidth - 5.4 * em, 1), height: Math.max(clientHeight - 2.4 * em, 1), em };
    const pen = this.canvas.getContext("2d");
    pen.setTransform(dots, 0, 0, dots, 0, 0);
    pen.clearRect(0, 0, clientWidth, clientHeight);
    pen.font = `${fontSize} ${fontFamily}`;
    pen.lineJoin = "round";
    return pen;
  }

  axes(pen, x, y, low, high) {
    const { left, top, width, height, em } = this.area;
    const { ink, start, end } = this.board;
    const across = ticks(start, end, Math.max(width / (5.5 * em), 2));
    const up = this.period ? { at: [-0.5, -0.25, 0, 0.25, 0.5].map((part) => part * this.period), digits: 0 } : ticks(low, high, Math.max(height / (2.6 * em), 2));
    this.digits = this.period ? 0 : up.digits + 1;
    Object.assign(pen, { strokeStyle: ink.line, fillStyle: ink.text, lineWidth: 1 });
    pen.beginPath();
    for (const value of up.at) pen.moveTo(left, Math.round(y(value)) + 0.5), pen.lineTo(left + width, Math.round(y(value)) + 0.5);
    for (const time of across.at) pen.moveTo(Math.round(x(time)) + 0.5, top + height), pen.lineTo(Math.round(x(time)) + 0.5, top + height + 4);
    pen.stroke();
    Object.assign(pen, { textAlign: "right", textBaseline: "middle" });
    for (const value of up.at) pen.fillText(figures(value, up.digits), left - 0.5 * em, y(value));
    Object.assign(pen, { textAlign: "center", textBaseline: "alphabetic" });
    const last = across.at.at(-1);
    let edge = Infinity; // where the label after this one begins: the last has the unit, and may need the room of another
    for (const time of [...across.at].reverse()) {
      const text = figures(time, across.digits) + (time === last ? this.board.unit : "");
      const half = pen.measureText(text).width / 2;
      const middle = Math.min(x(time), left + width - Math.max(em, half));
      if (middle + half > edge) continue;
      pen.fillText(text, middle, top + height + 1.5 * em);
      edge = middle - half - 0.5 * em;
    }
  }

  /** A line with gaps where values are missing; dots for angles, which jump from one edge to the other. */
  line(pen, { time, values, colour, dash }, x, y) {
    Object.assign(pen, { strokeStyle: this.board.ink.colours[colour], fillStyle: this.board.ink.colours[colour], lineWidth: 1.6 });
    if (this.period) {
      time.forEach((each, index) => pen.fillRect(x(each) - 1, y(values[index]) - 1, 2, 2));
      return;
    }
    pen.setLineDash(DASHES[dash % DASHES.length]);
    pen.beginPath();
    let drawing = false;
    for (let index = 0; index < time.length; index++) {
      if (!Number.isFinite(values[index])) drawing = false;
      else if (drawing) pen.lineTo(x(time[index]), y(values[index]));
      else pen.moveTo(x(time[index]), y(values[index])), (drawing = true);
    }
    pen.stroke();
    pen.setLineDash([]);
  }

  moment(pen, time, x, dash, colour) {
    if (time === null || time === undefined) return;
    Object.assign(pen, { strokeStyle: colour, lineWidth: 1 });
    pen.setLineDash(dash);
    pen.beginPath();
    pen.moveTo(Math.round(x(time)) + 0.5, this.area.top);
    pen.lineTo(Math.round(x(time)) + 0.5, this.area.top + this.area.height);
    pen.stroke();
    pen.setLineDash([]);
  }

  dot(pen, curve, cursor, x, y) {
    if (!Number.isFinite(this.valueAt(curve, cursor))) return;
    const index = nearest(curve.time, cursor);
    Object.assign(pen, { fillStyle: this.board.ink.colours[curve.colour] });
    pen.beginPath();
    pen.arc(x(curve.time[index]), y(curve.values[index]), 3, 0, 7);
    pen.fill();
  }

  legend() {
    const { ink, cursor, start, end } = this.board;
    const words = this.curves.map((curve) => figures(this.valueAt(curve, cursor), this.digits));
    this.keys.replaceChildren(
      ...this.curves.map(({ label, colour, dash }, index) => {
        const style = ["solid", "dashed", "dotted", "double"][dash % DASHES.length];
        const mark = make("i", {});
        mark.style.borderTop = `3px ${style} ${ink.colours[colour]}`;
        return make("span", {}, mark, label, make("b", { textContent: words[index] }));
      }),
    );
    const time = cursor ?? end;
    const aria = { valuemin: start, valuemax: end, valuenow: time, valuetext: `${figures(time, 3)}${this.board.unit}: ${this.curves.map(({ label }, index) => `${label} ${words[index]}`).join(", ")}` };
    for (const [name, value] of Object.entries(aria)) this.canvas.setAttribute(`aria-${name}`, value);
  }
}

/** All panels of one view, and the tools beside them. */
class Board {
  constructor(model) {
    Object.assign(this, { model, start: 0, end: 1, cursor: null, due: 0, samples: 0 });
    this.slots = model.shown.map((_, place) => new Slot(this, place));
    this.at = make("output", { title: "The moment whose values are shown" });
    this.recent = make("button", { type: "button", textContent: "Last 10 ps", title: "Show the last 10 only, or the whole run" });
    this.recent.addEventListener("click", () => (this.model.last = this.model.last ? 0 : 10));
    const saves = Object.entries(FORMATS).map(([format, title]) => {
      const button = make("button", { type: "button", textContent: format.toUpperCase(), title });
      button.addEventListener("click", () => model.send_msg({ type: "save", format }));
      return button;
    });
    this.tools = make("div", { className: "tools", aria: { role: "toolbar", "aria-label": "Plots" } }, this.at, this.recent, make("div", { className: "saves" }, ...saves));
    this.root = make("div", { className: "plots" }, ...this.slots.map((slot) => slot.root), this.tools);
    this.resize = new ResizeObserver(() => this.redraw());
    for (const slot of this.slots) this.resize.observe(slot.field);
    this.offer();
    this.light();
  }

  get marker() {
    return this.model.marker;
  }

  /** The unit at the end of the axis; that of beads says that it is another time. */
  get unit() {
    const { clock } = this.model;
    return clock === "time" ? " ps" : clock.endsWith("steps") ? ` ${clock}` : ` ps ${clock}`;
  }

  get ink() {
    return this.model.ink;
  }

  offer() {
    for (const slot of this.slots) slot.offer(this.model.panels, this.model.shown[slot.place] ?? "");
  }

  choose(place, title) {
    this.model.shown = this.model.shown.map((each, index) => (index === place ? title : each));
  }

  light() {
    this.recent.setAttribute("aria-pressed", String(this.model.last > 0));
    this.recent.textContent = `Last 10${this.model.clock.endsWith("steps") ? "" : this.unit}`;
    this.redraw();
  }

  take({ number, start, end, slots }) {
    Object.assign(this, { start, end: Math.max(end, start + 0.01) });
    slots.forEach((news, place) => this.slots[place]?.take(news, start));
    this.samples = this.slots[0]?.times.length ?? 0;
    this.redraw();
    this.model.send_msg({ type: "ack", number });
  }

  save({ file, name, mime }) {
    const url = URL.createObjectURL(new Blob([file], { type: mime }));
    make("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }

  point(time) {
    if (time === this.cursor) return;
    this.cursor = time;
    this.redraw();
  }

  go(time) {
    if (time === null) return;
    this.point(time);
    this.model.send_msg({ type: "time", time });
  }

  redraw() {
    this.due ||= requestAnimationFrame(() => {
      this.due = 0;
      for (const slot of this.slots) slot.draw();
      this.at.value = `${figures(this.cursor ?? this.end, 3)}${this.unit.replace(" time", "").replace("thousand steps", "k")}`;
      this.at.classList.toggle("past", this.cursor !== null);
    });
  }

  leave() {
    cancelAnimationFrame(this.due);
    this.resize.disconnect();
  }
}

export function render({ model }) {
  const board = new Board(model);
  globalThis.studioPlots = board; // for tests and for the curious
  for (const name of ["panels", "shown"]) model.on(`change:${name}`, () => board.offer());
  for (const name of ["ink", "last", "marker", "clock"]) model.on(`change:${name}`, () => board.light());
  model.on("msg:custom", (message) => (message.file ? board.save(message) : board.take(message)));
  model.on("remove", () => board.leave());
  model.send_msg({ type: "ready" });
  return board.root;
}
