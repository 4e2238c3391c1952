// The clock of the compare board: play, scrub, pace, grid or overlay, leave; below it each run with its line, its time and how it is.
//
//   properties in   state, empty while nothing is compared, {again: each second another number, time, end, unit, playing, live, overlay, pace, chips: [{run, label, colour, dash, problem, time, unit, state}], note}
//   messages out    {type: "play", on} | {type: "seek", time} | {type: "pace", pace} | {type: "overlay", on} | {type: "leave"}

const PACES = [0.3, 1, 3, 10, 30, 100];
const DASHES = ["", "7 4", "2 3", "10 3 2 3"];
const SHAPES = { play: "M7 4.5v15l12.5-7.5z", pause: "M6.5 4.5h4v15h-4zM13.5 4.5h4v15h-4z" };
const figures = (value, digits = 2) => (value ?? NaN).toFixed(digits).replace("NaN", "\u2013");

function make(tag, properties = {}, ...children) {
  const { aria = {}, ...rest } = properties;
  const element = Object.assign(document.createElement(tag), rest);
  for (const [name, value] of Object.entries(aria)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function drawing(width, height, ...shapes) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [name, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" })) svg.setAttribute(name, value);
  for (const { tag, ...properties } of shapes) {
    const shape = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(properties)) shape.setAttribute(name, value);
    svg.append(shape);
  }
  return svg;
}

const line = ({ colour, dash }) => drawing(22, 10, { tag: "path", d: "M1 5h20", stroke: colour, "stroke-width": 3, "stroke-dasharray": DASHES[dash], fill: "none" });
const icon = (name) => drawing(24, 24, { tag: "path", d: SHAPES[name], fill: "currentColor" });

class Bar {
  constructor(model) {
    Object.assign(this, { model, held: false, chips: [] });
    const send = (message) => model.send_msg(message);
    this.play = make("button", { className: "play", onclick: () => send({ type: "play", on: !this.state.playing }) });
    this.now = make("output", { className: "now", title: "Simulated time that is shown" });
    this.scrub = make("input", { type: "range", min: 0, step: "any", title: "All runs show this moment; a live run waits meanwhile", aria: { "aria-label": "Simulated time" } });
    for (const name of ["pointerdown", "keydown"]) this.scrub.addEventListener(name, () => (this.held = true));
    for (const name of ["pointerup", "keyup", "blur", "pointercancel"]) this.scrub.addEventListener(name, () => (this.held = false));
    this.scrub.addEventListener("input", () => {
      this.now.value = `${figures(Number(this.scrub.value))} ${this.state.unit}`;
      send({ type: "seek", time: Number(this.scrub.value) });
    });
    this.pace = make("select", { title: "How fast recordings play: picoseconds per second" }, ...PACES.map((each) => make("option", { value: each, textContent: `${each} ps/s` })));
    this.pace.addEventListener("change", () => send({ type: "pace", pace: Number(this.pace.value) }));
    this.grid = make("button", { textContent: "Grid", title: "Side by side, one camera", onclick: () => send({ type: "overlay", on: false }) });
    this.over = make("button", { textContent: "Overlay", title: "In one place: each is laid over the start of the first, by the heavy atoms that both have", onclick: () => send({ type: "overlay", on: true }) });
    const leave = make("button", { textContent: "Leave", title: "Back to the present run as it was; all runs stay in the list", onclick: () => send({ type: "leave" }) });
    const view = make("div", { className: "pair", role: "group", aria: { "aria-label": "How molecules lie" } }, this.grid, this.over);
    this.list = make("ul", { aria: { "aria-label": "Compared runs" } });
    this.note = make("p", { className: "note" });
    const row = make("div", { className: "row" }, this.play, this.now, this.scrub, this.pace, view, leave);
    this.root = make("div", { className: "bar" }, row, this.list, this.note);
    this.show();
  }

  show() {
    const state = (this.state = this.model.state);
    this.root.hidden = !state.chips;
    if (!state.chips) return;
    const verb = state.playing ? "Pause" : "Play";
    if (this.play.title !== `${verb} all`) {
      Object.assign(this.play, { title: `${verb} all` });
      this.play.setAttribute("aria-label", `${verb} all`);
      this.play.replaceChildren(icon(verb.toLowerCase()));
    }
    this.scrub.max = Math.max(state.end, 0.001);
    for (const option of this.pace.options) option.textContent = `${option.value} ${state.unit}/s`;
    if (!this.held) {
      this.scrub.value = state.time;
      this.now.value = `${figures(state.time)} ${state.unit}`;
    }
    if (this.pace !== this.root.getRootNode().activeElement) this.pace.value = PACES.includes(state.pace) ? state.pace : 3;
    this.pace.disabled = state.live;
    this.pace.title = state.live ? "Live runs go as fast as they can" : `How fast recordings play: ${state.unit} per second`;
    this.grid.setAttribute("aria-pressed", String(!state.overlay));
    this.over.setAttribute("aria-pressed", String(state.overlay));
    this.note.textContent = state.note;
    this.note.hidden = !state.note;
    this.showChips(state.chips);
  }

  showChips(chips) {
    const shape = JSON.stringify(chips.map(({ label, colour, dash }) => [label, colour, dash]));
    if (shape !== this.shape) {
      this.shape = shape;
      this.chips = chips.map(() => ({ time: make("b"), state: make("small") }));
      this.list.replaceChildren(...chips.map((chip, k) => make("li", {}, line(chip), make("span", { textContent: chip.label }), this.chips[k].time, this.chips[k].state)));
    }
    chips.forEach(({ time, unit, state, problem }, k) => {
      this.chips[k].time.textContent = time === null ? "" : `${figures(time)} ${unit}`;
      this.chips[k].state.textContent = state;
      this.list.children[k].title = problem;
      this.list.children[k].classList.toggle("bad", Boolean(problem));
    });
  }
}

export function render({ model }) {
  const bar = new Bar(model);
  model.on("change:state", () => bar.show());
  return bar.root;
}
