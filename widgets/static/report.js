// Charts of a report, part 4 of 4: the whole report - its answer, warnings, charts as tabs, and beside them what the 3D view shows of it.
//
//   properties in   report {serial, title, mark, headline, warnings, charts, note}, side {shapes: [{name, on, colour, off}], paints, paint, scale, low, high,
//                   chosen {words, opens}}, ink {text, strong, line, ground, warn, accent, colours, sequential, diverging}, back, tall
//   messages out    {type: "choose", chart, place} | {type: "shape", name, on} | {type: "paint", index} | {type: "open"} | {type: "leave"} | {type: "size", tall}

const POINTS = "Point or use the arrow keys to read the values; click or press Enter to show one in the molecule.";
const LONG_HEADLINE = 110; // letters
const REACH = 28; // pixels from a pointer that still mean a point

function saved(blob, name) {
  const url = URL.createObjectURL(blob);
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** A chart that is drawn anew whenever its place changes; its items are read and chosen by pointer or keys. */
class Drawn {
  constructor(chart, choose, ink) {
    Object.assign(this, { chart, choose, ink, at: -1, items: [], chosen: "" });
    const aria = { role: "slider", "aria-label": `${chart.title}: values. ${POINTS}`, "aria-valuemin": "0", "aria-valuenow": "0", "aria-valuetext": "" };
    this.tip = make("div", { className: "tip", hidden: true });
    this.field = make("div", { className: "drawing", tabIndex: 0, title: POINTS, aria });
    this.root = make("div", { className: "chart" }, this.field, this.tip);
    this.field.addEventListener("pointermove", (event) => this.read(this.under(event)));
    this.field.addEventListener("pointerleave", () => this.read(-1));
    this.field.addEventListener("blur", () => this.read(-1));
    this.field.addEventListener("click", (event) => this.take(this.under(event)));
    this.field.addEventListener("keydown", (event) => this.press(event));
    this.watch = new ResizeObserver(() => this.draw());
    this.watch.observe(this.field);
  }

  /** The same chart with newer values: what is read and scrolled to stays. */
  renew(chart) {
    const { scrollTop: top, scrollLeft: left } = this.field;
    const at = this.tip.hidden ? -1 : this.at;
    this.chart = chart;
    this.draw();
    this.field.scrollTo(left, top);
    this.at = -1;
    this.read(at < this.items.length ? at : -1);
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.field;
    if (width < 40 || height < 40) return;
    const { sheet, items } = DRAW[this.chart.type](this.chart, { width, height: height - 2 }, this.ink);
    Object.assign(this, { sheet, items });
    this.field.replaceChildren(sheet.root);
    this.field.setAttribute("aria-valuemax", String(Math.max(items.length - 1, 0)));
    this.over = null;
    this.mark(this.chosen);
  }

  under(event) {
    const corner = this.sheet?.root.getBoundingClientRect();
    if (!corner) return -1;
    const [x, y] = [event.clientX - corner.left, event.clientY - corner.top];
    const away = ({ box, at }) => {
      if (box) return x >= box[0] && x <= box[0] + box[2] && y >= box[1] && y <= box[1] + box[3] ? 0 : Infinity;
      return Math.hypot(at[0] - x, at[1] - y);
    };
    let [best, least] = [-1, REACH];
    this.items.forEach((item, k) => away(item) < least && ([best, least] = [k, away(item)]));
    return best;
  }

  /** Say what an item is, beside it. */
  read(k) {
    if (k === this.at && !this.tip.hidden === k >= 0) return;
    this.at = k;
    const item = this.items[k];
    this.tip.hidden = !item;
    this.ring();
    if (!item) return;
    const [head, ...rest] = item.words;
    this.tip.replaceChildren(make("b", { textContent: head }), ...rest.map((words) => make("span", { textContent: words })), item.target ? make("small", { textContent: "click: show in 3D" }) : "");
    const [x, y] = item.box ? [item.box[0] + item.box[2] / 2, item.box[1] + Math.min(item.box[3] / 3, 30)] : item.at;
    const [left, top] = [x - this.field.scrollLeft, y - this.field.scrollTop];
    const side = left > this.field.clientWidth / 2;
    Object.assign(this.tip.style, { left: side ? "" : `${left + 14}px`, right: side ? `${this.root.clientWidth - left + 14}px` : "", top: `${Math.max(2, Math.min(top, this.root.clientHeight - 70))}px` });
    this.field.setAttribute("aria-valuenow", String(k));
    this.field.setAttribute("aria-valuetext", item.words.join(", "));
  }

  press(event) {
    const last = this.items.length - 1;
    const to = { ArrowRight: this.at + 1, ArrowDown: this.at + 1, ArrowLeft: this.at - 1, ArrowUp: this.at - 1, Home: 0, End: last }[event.key];
    if (to !== undefined && last >= 0) this.read(Math.min(Math.max(to, 0), last));
    else if (event.key === "Enter" || event.key === " ") this.take(this.at);
    else if (event.key === "Escape") this.read(-1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  take(k) {
    if (this.items[k]?.target) this.choose(this.items[k].place);
  }

  mark(place) {
    this.chosen = place;
    this.ring();
  }

  /** A frame around what is read, and a stronger one around what is chosen. */
  ring() {
    if (!this.sheet) return;
    this.over?.remove();
    this.over = document.createElementNS(SVG, "g");
    this.over.setAttribute("class", "over");
    this.sheet.into = this.over;
    this.items.forEach((item, k) => {
      const chosen = this.chosen !== "" && item.place.join() === this.chosen;
      if (!chosen && k !== this.at) return;
      const look = { fill: "none", stroke: chosen ? this.ink.accent : this.ink.text, "stroke-width": chosen ? 2 : 1 };
      if (item.box) this.sheet.add("rect", { x: item.box[0] + 1, y: item.box[1] + 1, width: Math.max(item.box[2] - 2, 1), height: Math.max(item.box[3] - 2, 1), rx: 3, ...look });
      else this.sheet.add("circle", { cx: item.at[0], cy: item.at[1], r: 8, ...look });
    });
    this.sheet.root.append(this.over);
    this.sheet.into = this.sheet.root;
  }

  /** The drawing by itself. */
  toSvg() {
    const copy = this.sheet.root.cloneNode(true);
    copy.querySelector(".over")?.remove();
    return new XMLSerializer().serializeToString(copy);
  }

  leave() {
    this.watch.disconnect();
  }
}

/** Whether words differ from those that an element was made of last. */
function changed(node, words) {
  const told = JSON.stringify(words);
  if (node.dataset.told === told) return false;
  node.dataset.told = told;
  return true;
}

class Report {
  constructor(model) {
    Object.assign(this, { model, tab: 0, table: false, serial: null });
    this.title = make("h2");
    this.mark = make("b", { className: "mark", title: "The study is not finished: this is what it has found by now." });
    this.headline = make("p", { className: "headline", role: "status" });
    this.warnings = make("details", { className: "warnings" });
    this.tabs = make("div", { className: "tabs", role: "tablist", aria: { "aria-label": "Charts" } });
    this.tabs.addEventListener("keydown", (event) => this.step(event));
    this.plain = button("Numbers", () => this.turn(this.tab, !this.table), { title: "The numbers of this chart as a table, or the chart again." });
    const save = (words, act, title) => button(words, act, { title });
    this.saves = [save("CSV", () => this.save("csv"), "Save the numbers of this chart as a table (CSV)"), save("SVG", () => this.save("svg"), "Save this chart as a drawing (SVG)"), save("PNG", () => this.save("png"), "Save this chart as a picture (PNG)")];
    this.back = button("", () => model.send_msg({ type: "leave" }), { className: "back", title: "Closes the report; the molecule and the plots are again those of the run, which has gone on meanwhile." });
    this.note = make("p", { className: "note" });
    this.place = make("div", { className: "place", role: "tabpanel" });
    this.side = make("aside", { aria: { "aria-label": "In the 3D view" } });
    const tools = make("div", { className: "tools", role: "toolbar", aria: { "aria-label": "This chart" } }, this.plain, ...this.saves);
    this.size = button("", () => model.send_msg({ type: "size", tall: !model.tall }), { title: "More room for the charts, or for the molecule." });
    this.head = make("header", {}, make("div", { className: "answer" }, this.headline), make("div", { className: "ways" }, this.size, this.back));
    this.about = make("div", { className: "about" }, this.mark, this.title, this.warnings);
    this.root = make("section", { className: "report", aria: { "aria-label": "Report" } }, this.head, make("div", { className: "under" }, this.about, tools), this.tabs, make("div", { className: "body" }, make("div", { className: "main" }, this.place, this.note), this.side));
    this.show();
  }

  get charts() {
    return this.model.report.charts ?? [];
  }

  show() {
    const { serial, title = "", mark = "", headline = "", warnings = [] } = this.model.report;
    if (serial !== this.serial) [this.tab, this.table, this.serial] = [0, false, serial];
    this.title.textContent = title;
    this.mark.textContent = mark;
    this.mark.hidden = !mark;
    this.headline.setAttribute("aria-live", mark ? "off" : "polite"); // what grows is not read out every two seconds
    if (this.headline.textContent !== headline) this.headline.textContent = headline;
    this.headline.classList.toggle("long", headline.length > LONG_HEADLINE);
    this.back.textContent = this.model.back;
    this.back.hidden = this.size.hidden = !this.model.back;
    this.size.textContent = this.model.tall ? "Smaller" : "Larger";
    const what = `${warnings.length} ${warnings.length === 1 ? "thing" : "things"} to know before these numbers are believed`;
    if (changed(this.warnings, warnings)) this.warnings.replaceChildren(make("summary", { textContent: what, title: "Unfold what to know." }), make("ul", {}, ...warnings.map((words) => make("li", { textContent: words }))));
    this.warnings.hidden = !warnings.length;
    this.lay();
    this.beside();
  }

  /** Tabs and the chart; a report that grows keeps the chart that is looked at, wherever its tab has gone. */
  lay() {
    const title = this.shown ? this.shown.chart.title : null;
    const same = this.shownOf === this.serial ? this.charts.findIndex((chart) => chart.title === title) : -1;
    const titles = this.charts.map((chart) => chart.title);
    if (changed(this.tabs, titles)) this.tabs.replaceChildren(...titles.map((words, k) => button(words, () => this.turn(k, false), { role: "tab", title: `Shows: ${words}` })));
    const known = same >= 0 && this.charts[same].type === this.shown.chart.type;
    if (!known) return this.turn(Math.min(this.tab, Math.max(this.charts.length - 1, 0)), this.table);
    this.tab = same;
    this.point();
    this.shown = this.shown.renew(this.charts[same]) ?? this.shown;
    if (!this.place.contains(this.shown.root)) this.place.replaceChildren(this.shown.root);
    this.tellNote();
  }

  /** Which tab is open. */
  point() {
    [...this.tabs.children].forEach((tab, place) => {
      tab.setAttribute("aria-selected", String(place === this.tab));
      tab.tabIndex = place === this.tab ? 0 : -1;
    });
  }

  tellNote() {
    const note = this.charts[this.tab].note;
    if (this.note.textContent !== note) this.note.textContent = note;
    this.note.hidden = !note;
    this.pointOut();
  }

  turn(k, table) {
    const chart = this.charts[k];
    [this.tab, this.table, this.shownOf] = [k, table, this.serial];
    this.shown?.leave?.();
    this.shown = null;
    this.point();
    if (!chart) return this.place.replaceChildren();
    const choose = (place) => this.model.send_msg({ type: "choose", chart: this.tab, place });
    const numbers = table || chart.type === "Table";
    this.shown = numbers ? new Numbers(chart, choose) : new Drawn(chart, choose, this.model.ink);
    this.place.replaceChildren(this.shown.root);
    this.place.setAttribute("aria-label", chart.title);
    this.plain.hidden = chart.type === "Table";
    this.plain.setAttribute("aria-pressed", String(table));
    for (const save of this.saves.slice(1)) save.disabled = numbers;
    this.tellNote();
  }

  step(event) {
    const to = { ArrowRight: this.tab + 1, ArrowLeft: this.tab - 1, Home: 0, End: this.charts.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.turn((to + this.charts.length) % this.charts.length, false);
    this.tabs.children[this.tab].focus();
  }

  pointOut() {
    const { chart, place } = this.model.side.chosen ?? {};
    this.shown?.mark(chart === this.tab ? (place ?? []).join() : "");
  }

  // -- beside the charts: what the 3D view shows

  beside() {
    const { shapes = [], paints = [], paint = -1, scale = [], low = 0, high = 0, chosen = null } = this.model.side;
    const focus = this.side.getRootNode().activeElement?.dataset?.key;
    const send = (message) => this.model.send_msg(message);
    const boxes = shapes.map(({ name, on, colour, off }) => {
      const box = make("input", { type: "checkbox", checked: on, disabled: Boolean(off) && !on, title: off && !on ? off : "Lays this shape over the others in the 3D view.", data: { key: `shape ${name}` } });
      box.addEventListener("change", () => send({ type: "shape", name, on: box.checked }));
      const swatch = make("i", { className: "swatch" });
      swatch.style.background = on ? colour : "transparent";
      return make("label", {}, box, swatch, make("span", { textContent: name }));
    });
    const select = make("select", { ariaLabel: "Colours", title: "What the colours of the molecule tell.", data: { key: "paint" } }, make("option", { value: -1, textContent: "Elements" }), ...paints.map((name, k) => make("option", { value: k, textContent: name })));
    select.value = String(paint);
    select.addEventListener("change", () => send({ type: "paint", index: Number(select.value) }));
    const ramp = make("div", { className: "ramp" });
    ramp.style.background = `linear-gradient(to right, ${scale.join(", ")})`;
    const colours = paint < 0 ? [] : [ramp, make("p", { className: "ends" }, make("span", { textContent: figures(low) }), make("span", { textContent: figures(high) }))];
    const open = chosen?.opens ? button("Open this molecule", () => send({ type: "open" }), { className: "open", title: "Opens it as a run of its own; the report stays among the runs.", data: { key: "open" } }) : null;
    const parts = [
      chosen && make("h3", { textContent: "Chosen" }), chosen && make("p", { className: "chosen", textContent: chosen.words, role: "status" }), open,
      paints.length && make("label", { className: "paint" }, make("h3", { textContent: "Colours" }), select), ...colours,
      shapes.length > 1 && make("h3", { textContent: "Shapes" }), shapes.length > 1 && make("div", { className: "shapes" }, ...boxes),
    ].filter(Boolean);
    this.side.replaceChildren(...parts);
    this.side.hidden = !parts.length;
    if (focus) this.side.querySelector(`[data-key="${CSS.escape(focus)}"]`)?.focus();
    this.pointOut();
  }

  // -- taking it home

  get file() {
    return this.charts[this.tab].title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") || "chart";
  }

  async save(kind) {
    const chart = this.charts[this.tab];
    if (kind === "csv") return saved(new Blob([toCsv(chart)], { type: "text/csv;charset=utf-8" }), `${this.file}.csv`);
    const text = this.shown.toSvg();
    if (kind === "svg") return saved(new Blob([text], { type: "image/svg+xml" }), `${this.file}.svg`);
    const { width, height } = this.shown.sheet, picture = make("canvas", { width: 2 * width, height: 2 * height }), image = new Image();
    image.src = `data:image/svg+xml,${encodeURIComponent(text)}`;
    await image.decode();
    picture.getContext("2d").drawImage(image, 0, 0, 2 * width, 2 * height);
    picture.toBlob((blob) => saved(blob, `${this.file}.png`), "image/png");
  }
}

export function render({ model }) {
  const report = new Report(model);
  globalThis.studioReport = report; // for tests and for the curious
  for (const name of ["report", "back", "tall"]) model.on(`change:${name}`, () => report.show());
  model.on("change:ink", () => report.turn(report.tab, report.table));
  model.on("change:side", () => report.beside());
  model.on("remove", () => report.shown?.leave?.());
  return report.root;
}

export default { render };
