// The table of the compare board: inputs beside results, a column for each run; rows that differ are marked.
//
//   properties in   state, empty while nothing is compared, {again: each second another number, heads: [{run, label, colour, dash, problem, note, live, known}], rows: [{name, cells, apart, differs, result}]}
//   messages out    {type: "open" | "again" | "revive" | "remove", run} | {type: "csv"}
//   messages in     {file, name, mime}: to be saved

const DASHES = ["", "7 4", "2 3", "10 3 2 3"];
const ACTS = [
  ["open", "Open", "Leave the board and go on with this run alone"],
  ["again", "Run again", "The same recipe once more, from its start, beside the others"],
  ["revive", "Go on", "Let the recorded run go on where it ended, live"],
  ["remove", "Take off", "Take this run off the board; it stays in the list"],
];

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function line({ colour, dash }) {
  const box = make("span", { className: "line" });
  box.innerHTML = `<svg viewBox="0 0 22 10" width="22" height="10" aria-hidden="true"><path d="M1 5h20" fill="none" stroke-width="3"/></svg>`;
  const path = box.querySelector("path");
  path.setAttribute("stroke", colour);
  path.setAttribute("stroke-dasharray", DASHES[dash]);
  return box;
}

class Sheet {
  constructor(model) {
    this.model = model;
    this.head = make("thead");
    this.body = make("tbody");
    const save = make("button", { textContent: "CSV", title: "Save inputs and results of all runs as a table", onclick: () => model.send_msg({ type: "csv" }) });
    const legend = make("p", { className: "note", textContent: "\u2260 marks what differs. Means leave out the first fifth of a run, in which it settles; \u00b1 is the standard error from blocks; \u0394 is the difference to the first run." });
    this.root = make("div", { className: "sheet" }, make("div", { className: "scroll" }, make("table", {}, this.head, this.body)), make("footer", {}, legend, save));
    this.show();
  }

  show() {
    const { heads, rows } = this.model.state;
    this.root.hidden = !heads;
    if (!heads) return;
    const shape = JSON.stringify([heads, rows.map(({ name, differs, result }) => [name, differs, result])]);
    if (shape !== this.shape) this.build(heads, rows);
    this.shape = shape;
    rows.forEach(({ cells, apart }, row) => cells.forEach((text, k) => this.fill(this.cells[row][k], text, apart[k])));
  }

  fill(cell, text, apart) {
    const said = apart ? `${text}\n\u0394 ${apart}` : text;
    if (cell.said === said) return;
    cell.said = said;
    cell.replaceChildren(text, ...(apart ? [make("small", { textContent: `\u0394 ${apart}` })] : []));
    cell.classList.toggle("small", text.startsWith("n too small"));
    cell.title = text.startsWith("n too small") ? "Too few recorded frames for a mean with an error: let it run on" : "";
  }

  build(heads, rows) {
    const focus = this.root.getRootNode().activeElement?.dataset?.act;
    this.head.replaceChildren(make("tr", {}, make("td"), ...heads.map((head) => this.top(head))));
    const first = rows.findIndex(({ result }) => result);
    this.cells = rows.map(({ cells }) => cells.map(() => make("td")));
    this.body.replaceChildren(...rows.flatMap((row, k) => [
      ...(k === 0 ? [this.title("What went in", heads)] : k === first ? [this.title("What came out", heads)] : []),
      make("tr", { className: `${row.differs ? "differs" : ""} ${row.result ? "result" : "input"}` }, this.name(row), ...this.cells[k]),
    ]));
    if (focus) this.root.querySelector(`[data-act="${focus}"]`)?.focus();
  }

  name({ name, differs }) {
    const mark = differs ? [make("i", { textContent: "\u2260 ", title: "The runs differ in this" })] : [];
    return make("th", { scope: "row" }, ...mark, name);
  }

  title(text, heads) {
    return make("tr", { className: "part" }, make("th", { colSpan: heads.length + 1, textContent: text, scope: "rowgroup" }));
  }

  top(head) {
    const acts = ACTS.filter(([act]) => act === "remove" || (head.known && !(act === "revive" && head.live)));
    const buttons = acts.map(([act, label, help]) => {
      const button = make("button", { textContent: label, title: help, onclick: () => this.model.send_msg({ type: act, run: head.run }) });
      button.dataset.act = `${act}-${head.run}`;
      return button;
    });
    const said = [head.problem, head.note].filter(Boolean).map((text, k) => make("p", { className: head.problem && k === 0 ? "problem" : "note", textContent: text }));
    return make("th", { scope: "col" }, make("div", { className: "who" }, line(head), head.label), make("div", { className: "acts" }, ...buttons), ...said);
  }

  save({ file, name, mime }) {
    const url = URL.createObjectURL(new Blob([file], { type: mime }));
    make("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }
}

export function render({ model }) {
  const sheet = new Sheet(model);
  model.on("change:state", () => sheet.show());
  model.on("msg:custom", (message) => sheet.save(message));
  return sheet.root;
}
