// The list of runs: rows that stay where they are while their words change, a menu, dialogs, and files that arrive in pieces.
// It knows numbers and words and must not know what a run is.
//
//   properties in   rows [{id, title, note, seen, time, state, words, when, picture, recorded, study}], present {id, state, words, time}, chosen,
//                   binned, bin_size, more, summary, hint, problem, toast {text, undo}, kinds [{name, title, meaning}], progress {text, fraction}
//   messages in     {type: "picture", id, stamp, png} | {type: "about", id, sections: [{title, rows}]} | {type: "piece", number, name, data, last}
//   messages out    {type: "open" | "duplicate" | "delete" | "restore" | "about", id} | {type: "name", id, title, note} | {type: "take", id, kind}
//                   {type: "choose", id, on} | {type: "find", words} | {type: "bin", on} | {type: "pictures", ids} | {type: "arrived", number}
//                   {type: "compare" | "more" | "undo" | "empty" | "stop"}

const MOST_COMPARED = 4;
const PAUSE = 250; // ms without a key pressed before the search goes out
const TOAST = 12000; // ms that a sentence stays
const DOTS = '<svg viewBox="0 0 24 24" width="16" height="16" fill="currentColor" aria-hidden="true"><circle cx="5" cy="12" r="2"/><circle cx="12" cy="12" r="2"/><circle cx="19" cy="12" r="2"/></svg>';
const FILM = '<svg viewBox="0 0 24 24" width="20" height="20" fill="none" stroke="currentColor" stroke-width="1.5" aria-hidden="true"><circle cx="8" cy="9" r="3"/><circle cx="16" cy="15" r="3.5"/><path d="m10.2 11 3 2"/></svg>';

const CHART = FILM.replace(/<circle.*<\/svg>/, '<path d="M4 20h16M7 20v-7M12 20V5M17 20v-11" stroke-width="2.5"/></svg>');

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children.filter(Boolean));
  return node;
}

function button(words, act, properties = {}) {
  const node = make("button", { type: "button", textContent: words, ...properties });
  node.addEventListener("click", act);
  return node;
}

/** Text is only written when it is another one: a screen reader and a selection are not disturbed. */
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** One row; `update` writes into it what changed. */
class Row {
  constructor(list, id) {
    this.list = list;
    this.id = id;
    this.check = make("input", { type: "checkbox", ariaLabel: `Compare run ${id}`, title: "Choose two to four runs to compare." });
    this.check.addEventListener("change", () => list.send({ type: "choose", id, on: this.check.checked }));
    this.image = make("img", { alt: "", hidden: true });
    this.picture = make("span", { className: "picture", innerHTML: FILM });
    this.picture.append(this.image);
    [this.number, this.title, this.seen, this.when, this.words, this.time, this.note] = ["b", "span", "span", "span", "span", "span", "span"].map((tag) => make(tag));
    this.title.className = "name";
    this.seen.className = "seen";
    this.time.className = "time";
    this.note.className = "note";
    this.state = make("span", { className: "state" }, make("i"), this.words);
    const text = make("span", { className: "text" }, make("span", { className: "head" }, this.number, this.title), make("span", { className: "foot" }, this.seen, this.time), make("span", { className: "foot" }, this.state, this.when), this.note);
    this.open = button("", () => list.send({ type: "open", id }), { className: "open" });
    this.open.append(this.picture, text);
    this.more = button("", () => list.menu(this), { className: "more", innerHTML: DOTS, ariaLabel: `More about run ${id}`, ariaHasPopup: "menu", title: "Name, copy, inputs, take home, delete" });
    this.back = button("Restore", () => list.send({ type: "restore", id }), { className: "plain", title: "Takes the run out of the bin." });
    this.remove = button("Remove", () => list.send({ type: "delete", id }), { className: "plain", title: "Takes the run from the list, into the bin." });
    say(this.number, String(id));
    this.root = make("li", {}, this.check, this.open, this.more, this.back, this.remove);
    this.root.dataset.id = id;
  }

  update(data, { binned, present, chosen }) {
    const here = present.id === this.id;
    const { state, words } = here ? present : data;
    const lost = state === "missing";
    this.data = data;
    this.here = here;
    say(this.title, data.title);
    say(this.seen, data.seen);
    say(this.when, data.when);
    say(this.words, words);
    say(this.time, (here && present.time) || data.time);
    say(this.note, lost ? "Put the folder back, or remove the run from the list." : data.note);
    this.note.hidden = !this.note.textContent;
    this.root.className = `run ${state}${here ? " here" : ""}`;
    this.open.disabled = lost || binned;
    this.open.title = lost || binned ? "" : here ? "This run is on screen." : data.study ? "Shows what the study found." : "Shows the run where it ended.";
    here ? this.open.setAttribute("aria-current", "true") : this.open.removeAttribute("aria-current");
    this.check.hidden = binned || lost || data.study;
    if (data.study && this.picture.firstElementChild.tagName === "svg" && !this.drawn) (this.drawn = true), (this.picture.firstElementChild.outerHTML = CHART);
    this.more.hidden = binned || lost;
    this.back.hidden = !binned;
    this.remove.hidden = binned || !lost;
    this.check.checked = chosen.includes(this.id);
    this.check.disabled = !this.check.checked && chosen.length >= MOST_COMPARED;
  }

  show(address) {
    this.image.src = address;
    this.image.hidden = false;
  }
}

class List {
  constructor(model) {
    this.model = model;
    this.rows = new Map();
    this.pictures = new Map(); // by id: which version, and its address
    this.pieces = [];
    this.filter = make("input", { type: "search", autocomplete: "off", spellcheck: false, title: "Part of a title, a number, a level or a potential." });
    this.filter.addEventListener("input", () => this.search());
    this.list = make("ul", { className: "runs" });
    this.list.addEventListener("keydown", (event) => this.step(event));
    this.hint = make("p", { className: "hint" });
    this.problem = make("p", { className: "problem", role: "alert" });
    this.further = button("", () => this.send({ type: "more" }), { className: "plain wide" });
    this.compare = button("", () => this.send({ type: "compare" }), { className: "wide main", title: "Shows the chosen runs side by side, on one camera and one time axis." });
    this.summary = make("span");
    this.bin = button("", () => this.send({ type: "bin", on: !model.binned }), { className: "link" });
    this.empty = button("Empty the bin", () => this.ask(), { className: "plain wide", title: "Removes these runs from the disk, for good." });
    this.toast = make("p", { className: "toast", role: "status" });
    this.progress = make("div", { className: "sending", hidden: true });
    this.progress.append(make("p", { role: "status" }), make("progress", { max: 1, ariaLabel: "File" }), button("Cancel", () => this.send({ type: "stop" }), { className: "plain" }));
    this.popup = make("div", { className: "menu", popover: "auto", role: "menu" });
    this.popup.addEventListener("keydown", (event) => this.walk(event));
    this.dialog = make("dialog", { className: "sheet" });
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    const label = make("label", {}, make("span", { textContent: "Find a run" }), this.filter);
    const foot = make("p", { className: "sum" }, this.summary, this.bin);
    this.root = make("section", { ariaLabel: "Runs" }, label, this.toast, this.progress, this.problem, this.hint, this.list, this.further, this.compare, this.empty, foot, this.popup, this.dialog);
  }

  send(message) {
    this.model.send_msg(message);
  }

  search() {
    clearTimeout(this.pause);
    this.pause = setTimeout(() => this.send({ type: "find", words: this.filter.value }), PAUSE);
  }

  /** What is there now, written into what stands there already. */
  draw() {
    const { rows, binned, more, hint, problem, bin_size: size } = this.model;
    const ids = new Set(rows.map((data) => data.id));
    for (const [id, row] of this.rows) {
      if (ids.has(id)) continue;
      if (row.root.contains(row.root.getRootNode().activeElement)) this.filter.focus(); // not lost with the row
      row.root.remove();
      this.rows.delete(id);
    }
    rows.forEach((data, place) => {
      if (!this.rows.has(data.id)) this.rows.set(data.id, new Row(this, data.id));
      const { root } = this.rows.get(data.id);
      if (this.list.children[place] !== root) this.list.insertBefore(root, this.list.children[place] ?? null);
    });
    say(this.hint, hint);
    say(this.problem, problem);
    say(this.summary, this.model.summary);
    say(this.further, `Show more: ${more} further ${more === 1 ? "run" : "runs"}`);
    say(this.bin, binned ? "Back to the runs" : `Bin (${size})`);
    this.hint.hidden = !hint;
    this.problem.hidden = !problem;
    this.further.hidden = !more;
    this.bin.hidden = !binned && !size;
    this.empty.hidden = !binned || !rows.length;
    this.words();
    this.look();
  }

  /** The words of each row, and the button for comparing. */
  words() {
    const { rows, binned, present, chosen } = this.model;
    for (const data of rows) this.rows.get(data.id)?.update(data, { binned, present, chosen });
    this.compare.hidden = binned || !chosen.length;
    this.compare.disabled = chosen.length < 2;
    say(this.compare, chosen.length < 2 ? "Choose one more to compare" : `Compare ${chosen.length} runs`);
  }

  /** Ask for the pictures that are not here yet. */
  look() {
    const wanted = this.model.rows.filter(({ id, picture }) => picture && this.pictures.get(id)?.stamp !== picture);
    for (const { id } of this.model.rows) this.pictures.has(id) && this.rows.get(id).image.hidden && this.rows.get(id).show(this.pictures.get(id).address);
    if (wanted.length) this.send({ type: "pictures", ids: wanted.map(({ id }) => id) });
  }

  picture({ id, stamp, png }) {
    const before = this.pictures.get(id);
    if (before) URL.revokeObjectURL(before.address);
    const address = URL.createObjectURL(new Blob([png], { type: "image/png" }));
    this.pictures.set(id, { stamp, address });
    this.rows.get(id)?.show(address);
  }

  /** Arrows go from run to run. */
  step(event) {
    const way = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const row = event.target.closest(".run");
    if (!way || !row || event.target.type === "checkbox") return;
    event.preventDefault();
    (way > 0 ? row.nextElementSibling : row.previousElementSibling)?.querySelector(".open").focus();
  }

  // -- the menu of a run

  menu(row) {
    const { id } = row;
    const items = [
      ["Name and note\u2026", () => this.name(row)],
      ["Duplicate", () => this.send({ type: "duplicate", id }), "A new run of the same inputs, from its start."],
      ["Inputs and provenance\u2026", () => this.send({ type: "about", id })],
      ["Take home\u2026", () => this.take(row)],
      ["Delete", () => this.send({ type: "delete", id }), row.here ? "Open another run first: this one is on screen." : "Into the bin, from where it can be taken back.", row.here],
    ];
    const entries = items.map(([words, act, title = "", disabled = false]) => button(words, () => (this.popup.hidePopover(), act()), { role: "menuitem", tabIndex: -1, title, disabled }));
    this.popup.replaceChildren(...entries);
    this.popup.ariaLabel = `Run ${id}`;
    this.popup.showPopover();
    const at = row.more.getBoundingClientRect();
    const { width, height } = this.popup.getBoundingClientRect();
    this.popup.style.left = `${Math.max(4, Math.min(at.right - width, innerWidth - width - 4))}px`;
    this.popup.style.top = `${at.bottom + height + 6 > innerHeight ? Math.max(4, at.top - height - 2) : at.bottom + 2}px`;
    entries[0].focus();
  }

  walk(event) {
    const items = [...this.popup.querySelectorAll("button:not([disabled])")];
    const at = items.indexOf(event.target);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (event.key === "Tab") this.popup.hidePopover();
    if (to === undefined) return;
    event.preventDefault();
    items[(to + items.length) % items.length].focus();
  }

  // -- dialogs

  sheet(title, ...content) {
    const close = button("Close", () => this.dialog.close(), { className: "plain" });
    const heading = make("h2", { textContent: title, id: "sheet-title" });
    this.dialog.setAttribute("aria-labelledby", "sheet-title");
    this.dialog.replaceChildren(make("header", {}, heading, close), ...content);
    this.dialog.showModal();
  }

  name({ id, data }) {
    const title = make("input", { type: "text", value: data.title, maxLength: 200 });
    const note = make("textarea", { value: data.note, rows: 4, maxLength: 5000, title: "Anything that helps to find or to understand the run." });
    const form = make("form", { method: "dialog" }, make("label", {}, make("span", { textContent: "Title" }), title), make("label", {}, make("span", { textContent: "Note" }), note));
    form.append(make("button", { type: "submit", className: "main", textContent: "Save" }));
    form.addEventListener("submit", () => this.send({ type: "name", id, title: title.value, note: note.value }));
    this.sheet(`Run ${id}`, form);
    title.focus();
    title.select();
  }

  take({ id, data }) {
    const moving = ["xtc", "dcd", "pdb", "topology", "csv"]; // of runs only
    const without = data.study ? [] : ["zip", ...moving];
    const kinds = this.model.kinds.filter(({ name }) => !data.study || !moving.includes(name)).map(({ name, title, meaning }) => {
      const disabled = !data.recorded && without.includes(name);
      const act = button("", () => (this.dialog.close(), this.send({ type: "take", id, kind: name })), { disabled, title: disabled ? "Nothing of this run is recorded yet." : "" });
      act.append(make("b", { textContent: title }), make("small", { textContent: meaning }));
      return make("li", {}, act);
    });
    const hint = make("p", { className: "hint", textContent: data.recorded || data.study ? "The file comes to your downloads." : "Nothing of this run is recorded yet: let it play first." });
    this.sheet(`Take run ${id} home`, hint, make("ul", { className: "kinds" }, ...kinds));
  }

  about({ id, sections }) {
    const parts = sections.map(({ title, rows }) => {
      const cells = rows.map(([what, how]) => make("tr", {}, what && make("th", { textContent: what, scope: "row" }), make("td", { textContent: how, colSpan: what ? 1 : 2 })));
      return make("section", {}, make("h3", { textContent: title }), make("table", {}, make("tbody", {}, ...cells)));
    });
    this.sheet(`Run ${id}: inputs and provenance`, make("div", { className: "account", tabIndex: 0 }, ...parts));
  }

  ask() {
    const go = button("Remove for good", () => (this.dialog.close(), this.send({ type: "empty" })), { className: "main" });
    const words = "The runs in the bin are removed from the disk. This cannot be undone.";
    this.sheet("Empty the bin?", make("p", { textContent: words }), go);
  }

  // -- what was done, and files

  tell() {
    const { text = "", undo = false } = this.model.toast;
    clearTimeout(this.fading);
    this.toast.replaceChildren(text, undo ? button("Undo", () => this.send({ type: "undo" }), { className: "link" }) : "");
    this.toast.hidden = !text;
    const hide = () => (this.toast.matches(":focus-within, :hover") ? (this.fading = setTimeout(hide, TOAST)) : (this.toast.hidden = true));
    if (text) this.fading = setTimeout(hide, TOAST);
  }

  advance() {
    const { text = "", fraction = 0 } = this.model.progress;
    const [words, bar] = this.progress.children;
    this.progress.hidden = !text;
    say(words, text);
    bar.value = fraction;
  }

  piece({ number, name, data, last }) {
    if (this.delivery !== number) this.pieces = [];
    this.delivery = number;
    this.pieces.push(data);
    this.send({ type: "arrived", number });
    if (!last) return;
    const url = URL.createObjectURL(new Blob(this.pieces));
    this.pieces = [];
    make("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  }

  leave() {
    for (const { address } of this.pictures.values()) URL.revokeObjectURL(address);
    clearTimeout(this.pause);
    clearTimeout(this.fading);
  }
}

export function render({ model, el }) {
  const list = new List(model);
  el.replaceChildren(list.root);
  for (const name of ["rows", "binned", "bin_size", "more", "summary", "hint", "problem"]) model.on(name, () => list.draw());
  for (const name of ["present", "chosen"]) model.on(name, () => list.words());
  model.on("toast", () => list.tell());
  model.on("progress", () => list.advance());
  model.on("msg:custom", (message) => list[message.type]?.(message));
  model.on("remove", () => list.leave());
  list.draw();
  list.tell();
  list.advance();
}
