// Studies: what can be asked, the form of it, and what is at work. Fields keep their focus while anything else changes.
// It knows names and words and must not know what a study is.
//
//   properties in   groups [{title, items: [{kind, title}]}], asked, about, subject {label, title, choices: [{value, title}], value, off},
//                   fields [{name, title, help, kind, value, low, high, choices, optional, more}], problems {name: sentence},
//                   jobs [{number, title, state, words, fraction, left, acts}]
//   messages in     {file, name, mime}: to be saved
//   messages out    {type: "ready"} | {type: "ask", kind} | {type: "subject", value} | {type: "answer", name, value} | {type: "start"} | {type: "json"}
//                   {type: "cancel" | "open" | "watch" | "resume" | "dismiss", number}

const OWN = ["recording", "result", "structure", "table"]; // what is chosen among the user's own
const PAUSE = 200; // ms without a key pressed before an answer goes out
const WORDS = { running: "at work", waiting: "waits", done: "done", stopped: "stopped", failed: "failed", lost: "interrupted" };
const ACTS = {
  cancel: ["Stop", "Stops it; what is finished is kept, and it can go on at any time."],
  watch: ["Show what it has found", "Shows what it has found so far; while it is at work, the charts grow."],
  open: ["Show the result", "Shows what it found, in charts and in the 3D view; the run goes on behind."],
  resume: ["Go on", "Goes on from what is finished."],
  dismiss: ["\u00d7", "Takes it from this list; it stays among the runs."],
};

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

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** One question: its title, what answers it, and what is wrong with the answer. */
class Field {
  constructor({ name, title, help, kind, value, low, high, choices, optional }, answer) {
    Object.assign(this, { name, kind, optional, answer });
    this.problem = make("p", { className: "problem", role: "alert", hidden: true });
    const number = { type: "number", step: kind === "whole" ? 1 : "any", min: low ?? "", max: high ?? "", placeholder: optional ? "none" : "" };
    const makers = {
      yes: () => make("input", { type: "checkbox", checked: Boolean(value) }),
      whole: () => make("input", { ...number, value: value ?? "" }), number: () => make("input", { ...number, value: value ?? "" }),
      choice: () => this.select(choices, value), system: () => this.select(choices, ""), potential: () => this.select(choices, value ?? ""),
      potentials: () => this.boxes(choices, value),
      ...Object.fromEntries(OWN.map((own) => [own, () => this.select(choices, value ?? "")])),
    };
    this.input = (makers[kind] ?? (() => make("input", { type: "text", value: value ?? "", autocomplete: "off", spellcheck: false })))();
    const range = low !== null && high !== null ? ` From ${low} to ${high}.` : "";
    if (this.input.tagName === "SELECT") this.input.ariaLabel = title; // else the choices count as part of the label
    if (kind !== "potentials") this.input.title = `${help}${range}`;
    const told = make("span", { textContent: title, title: help });
    if (kind === "potentials") this.root = make("fieldset", { title: help }, make("legend", { textContent: title }), this.input, this.problem);
    else this.root = make("div", { className: "field" }, make("label", { className: kind === "yes" ? "tick" : "" }, ...(kind === "yes" ? [this.input, told] : [told, this.input])), this.problem);
    this.root.addEventListener(kind === "whole" || kind === "number" || this.input.type === "text" ? "input" : "change", () => this.changed());
  }

  select(choices, value) {
    const select = make("select", {}, ...choices.map((choice) => make("option", { value: choice.value, textContent: choice.title })));
    select.value = value;
    return select;
  }

  boxes(choices, chosen) {
    return make("div", { className: "boxes" }, ...choices.map(({ value, title }) => make("label", { className: "tick" }, make("input", { type: "checkbox", value, checked: (chosen ?? []).includes(value), title: `Ask ${title}.` }), make("span", { textContent: title }))));
  }

  get value() {
    if (this.kind === "yes") return this.input.checked;
    if (this.kind === "potentials") return [...this.input.querySelectorAll("input:checked")].map((box) => box.value);
    if (this.kind === "whole" || this.kind === "number") return this.input.value === "" ? null : this.input.valueAsNumber;
    return this.input.value === "" && this.optional ? null : this.input.value;
  }

  changed() {
    clearTimeout(this.pause);
    this.pause = setTimeout(() => this.answer(this.name, this.value), PAUSE);
  }

  tell(problem = "") {
    say(this.problem, problem);
    this.problem.hidden = !problem;
    const target = this.kind === "potentials" ? this.root : this.input;
    problem ? target.setAttribute("aria-invalid", "true") : target.removeAttribute("aria-invalid");
  }
}

/** One study at work, waiting or just ended. */
class Job {
  constructor(number, send) {
    this.title = make("b");
    this.state = make("span", { className: "state" });
    this.words = make("p", { role: "status" });
    this.bar = make("progress", { max: 1, ariaLabel: "Progress", title: "How much of the study is done." });
    this.acts = Object.fromEntries(Object.entries(ACTS).map(([act, [words, title]]) => [act, button(words, () => send({ type: act, number }), { className: act, title, ariaLabel: act === "dismiss" ? `Take study ${number} from this list` : words })]));
    this.root = make("li", { data: { number } }, make("div", { className: "head" }, this.title, this.acts.dismiss), this.bar, make("div", { className: "foot" }, this.state, this.words), make("div", { className: "acts" }, this.acts.open, this.acts.watch, this.acts.resume, this.acts.cancel));
  }

  update({ number, title, state, words, fraction, left, acts }) {
    say(this.title, `${number}  ${title}`);
    say(this.state, WORDS[state] ?? state);
    say(this.words, state === "done" ? "" : [words, left].filter(Boolean).join(" \u00b7 "));
    this.root.className = state;
    this.bar.hidden = state !== "running" && state !== "waiting";
    this.bar.value = fraction;
    for (const [act, control] of Object.entries(this.acts)) control.hidden = !acts.includes(act);
  }
}

class Studies {
  constructor(model) {
    Object.assign(this, { model, fields: new Map(), jobs: new Map() });
    const send = (this.send = (message) => model.send_msg(message));
    this.question = make("select", { title: "What you want to know.", ariaLabel: "Question" });
    this.question.addEventListener("change", () => send({ type: "ask", kind: this.question.value }));
    this.about = make("p", { className: "hint" });
    this.subject = make("select", { title: "What the study is about." });
    this.subject.addEventListener("change", () => send({ type: "subject", value: this.subject.value }));
    this.subjectLabel = make("span");
    this.subjectField = make("label", { className: "field" }, this.subjectLabel, this.subject);
    this.named = make("p", { className: "named" });
    this.off = make("p", { className: "off" });
    this.seen = make("div", { className: "fields" });
    this.more = make("div", { className: "fields" });
    this.fold = make("details", {}, make("summary", { textContent: "More settings", title: "Settings that rarely need another value." }), this.more);
    this.problem = make("p", { className: "problem", role: "alert", hidden: true });
    this.start = button("Start", () => this.begin(), { className: "main", title: "Begins in the background; the run that you see is not touched." });
    this.json = button("JSON", () => send({ type: "json" }), { className: "plain", title: "Saves these settings as a recipe file, for the command line, a notebook or a colleague." });
    this.list = make("ul", { ariaLabel: "Studies at work" });
    const ask = make("label", { className: "field" }, make("span", { textContent: "Question" }), this.question);
    this.form = make("div", { className: "form" }, ask, this.about, this.subjectField, this.named, this.off, this.seen, this.fold, this.problem, make("div", { className: "go" }, this.start, this.json));
    this.root = make("section", { className: "studies", ariaLabel: "Studies" }, this.form, this.list);
    for (const draw of ["offer", "tell", "ask", "judge", "work"]) this[draw]();
  }

  offer() {
    const { groups, asked } = this.model;
    this.question.replaceChildren(...groups.map(({ title, items }) => make("optgroup", { label: title }, ...items.map(({ kind, title: words }) => make("option", { value: kind, textContent: words })))));
    this.question.value = asked;
  }

  tell() {
    const { label = "", title = "", choices = [], value = "", off = "" } = this.model.subject;
    say(this.subjectLabel, label);
    this.subject.ariaLabel = label;
    this.subject.replaceChildren(...choices.map((choice) => make("option", { value: choice.value, textContent: choice.title })));
    this.subject.value = value;
    this.subjectField.hidden = !choices.length;
    say(this.named, choices.length || off ? "" : `About: ${title}`);
    say(this.off, off);
    this.named.hidden = !this.named.textContent;
    this.off.hidden = !off;
    this.judge();
  }

  ask() {
    const answer = (name, value) => this.send({ type: "answer", name, value });
    this.question.value = this.model.asked;
    say(this.about, this.model.about);
    this.fields = new Map(this.model.fields.map((field) => [field.name, new Field(field, answer)]));
    const where = (more) => this.model.fields.filter((field) => field.more === more).map(({ name }) => this.fields.get(name).root);
    this.seen.replaceChildren(...where(false));
    this.more.replaceChildren(...where(true));
    this.fold.hidden = !this.more.children.length;
    this.fold.open = false;
    this.judge();
  }

  judge() {
    const { problems, subject } = this.model;
    for (const [name, field] of this.fields) field.tell(problems[name]);
    if ([...this.fields].some(([name, { root }]) => problems[name] && this.more.contains(root))) this.fold.open = true;
    say(this.problem, problems[""] ?? "");
    this.problem.hidden = !problems[""];
    const wrong = Object.keys(problems).length > 0;
    this.start.disabled = this.json.disabled = Boolean(subject.off) || wrong || !this.model.asked;
    this.start.title = subject.off || (wrong ? "An answer above cannot be taken: it says why." : "Begins in the background; the run that you see is not touched.");
  }

  work() {
    const known = new Set(this.model.jobs.map(({ number }) => number));
    for (const [number, job] of this.jobs) if (!known.has(number)) job.root.remove(), this.jobs.delete(number);
    this.model.jobs.forEach((data, place) => {
      if (!this.jobs.has(data.number)) this.jobs.set(data.number, new Job(data.number, this.send));
      const job = this.jobs.get(data.number);
      job.update(data);
      if (this.list.children[place] !== job.root) this.list.insertBefore(job.root, this.list.children[place] ?? null);
    });
    this.list.hidden = !this.model.jobs.length;
    const newest = this.jobs.get(this.begun ? Math.max(...known) : NaN);
    if (newest && known.size > this.begun.size) newest.root.scrollIntoView({ block: "nearest" }), (this.begun = null);
  }

  /** The study that is begun now comes into sight. */
  begin() {
    this.begun = new Set(this.jobs.keys());
    this.send({ type: "start" });
  }

  save({ file, name, mime }) {
    const url = URL.createObjectURL(new Blob([file], { type: mime }));
    make("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }
}

export function render({ model }) {
  const studies = new Studies(model);
  model.on("change:groups", () => studies.offer());
  model.on("change:subject", () => studies.tell());
  for (const name of ["fields", "about", "asked"]) model.on(`change:${name}`, () => studies.ask());
  model.on("change:problems", () => studies.judge());
  model.on("change:jobs", () => studies.work());
  model.on("msg:custom", (message) => message.file && studies.save(message));
  model.send_msg({ type: "ready" });
  return studies.root;
}
