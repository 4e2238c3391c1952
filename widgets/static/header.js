// The header's part in the page: light and size as this browser remembers them, the way past the controls, the lists of keys, the address,
// and names and help for those who cannot point.
//
//   parameters in    address, watching; keys, mouse: [[what, meaning]]; touring
//   both ways        dark, large
//   messages in      {open: "keys" | "share"}
//   messages out     {do: "tour" | "unshare"}

const STORED = "potential-studio.";
const HERE_ONLY = ["localhost", "127.0.0.1", "[::1]"];
const TIDY = 1000; // ms between two looks for controls that came without names
const PRESSED = "a[href], button, input, select, textarea, [tabindex]";

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function recall(name) {
  try {
    return localStorage.getItem(STORED + name);
  } catch {
    return null; // a browser that remembers nothing
  }
}

function remember(name, value) {
  try {
    localStorage.setItem(STORED + name, value);
  } catch {} // as above
}

/** The first element that is seen, also inside shadow roots. */
function find(root, selector) {
  for (const node of root.querySelectorAll("*")) {
    if (node.matches(selector) && node.getClientRects().length) return node;
    const inside = node.shadowRoot && find(node.shadowRoot, selector);
    if (inside) return inside;
  }
  return null;
}

/** The light and the size: as remembered, or else as the system has it - in a notebook, as JupyterLab has it. */
function keepLight(model, off) {
  const night = matchMedia("(prefers-color-scheme: dark)"), lab = () => document.body.dataset.jpThemeLight;
  const system = () => (lab() ? lab() === "false" : night.matches);
  const light = () => (recall("light") ? recall("light") === "dark" : system());
  let shown;
  const follow = () => (model.dark = shown = light());
  follow();
  model.large = recall("size") === "large";
  night.addEventListener("change", () => recall("light") ?? follow(), { signal: off.signal });
  model.on("dark", () => {
    if (model.dark !== shown) remember("light", model.dark ? "dark" : "light"); // somebody chose it
    shown = model.dark;
  });
  model.on("large", () => remember("size", model.large ? "large" : "normal"));
}

function sheet(id, title, ...content) {
  const close = make("button", { type: "button", textContent: "Close", title: "Back to the page (Escape)" });
  const box = make("dialog", { className: "sheet" }, make("header", {}, make("h2", { id, textContent: title }), close), ...content);
  close.onclick = () => box.close();
  box.setAttribute("aria-labelledby", id);
  return box;
}

function list(title, pairs) {
  const rows = pairs.flatMap(([keys, meaning]) => [make("dt", {}, make("kbd", { textContent: keys })), make("dd", { textContent: meaning })]);
  return make("section", {}, make("h3", { textContent: title }), make("dl", {}, ...rows));
}

function keysOf(model) {
  const tour = make("button", { type: "button", className: "primary", textContent: "Take the tour", title: "Five steps through this screen" });
  const box = sheet("keys", "Keys and mouse", list("Keys", model.keys), list("Mouse, in the picture", model.mouse), tour);
  tour.hidden = !model.touring;
  tour.onclick = () => (box.close(), model.send_msg({ do: "tour" }));
  return box;
}

function sharing(model) {
  const field = make("input", { type: "text", readOnly: true, ariaLabel: "Address for the audience", title: "Whoever opens it watches what you see" });
  const copy = make("button", { type: "button", className: "primary", textContent: "Copy", title: "Put the address into the clipboard" });
  const stop = make("button", { type: "button", textContent: "Stop sharing", title: "The address is not valid any more; nobody watches" });
  const told = make("p", { role: "status" });
  const here = "Only this machine reaches this server. Start it with --host and --password to let others in.";
  const hint = make("p", { className: "hint", textContent: HERE_ONLY.includes(location.hostname) ? here : "They see the picture move and change nothing." });
  const box = sheet("share", "Let others watch", make("p", { textContent: "Whoever opens this address sees your picture live." }), make("div", { className: "line" }, field, copy), hint, told, stop);
  copy.onclick = async () => {
    field.select();
    await navigator.clipboard?.writeText(field.value).catch(() => {}); // not allowed to: it is selected, Ctrl+C works
    copy.textContent = "Copied";
  };
  stop.onclick = () => (box.close(), model.send_msg({ do: "unshare" }));
  const show = () => {
    field.value = model.address && new URL(model.address, document.baseURI).href;
    told.textContent = model.watching === 1 ? "1 person is watching." : `${model.watching} people are watching.`;
    copy.textContent = "Copy";
  };
  model.on(["address", "watching"], show);
  show();
  return box;
}

/** The help of one of Panel's widgets, as text: a sentence, or a tooltip around one. */
function helpOf({ description, tooltip, tags }) {
  const told = tags?.find?.((tag) => tag.startsWith?.("help: "));
  if (told) return told.slice(6);
  const open = (help) => (Array.isArray(help) ? help.map(open).join(" ") : typeof help === "string" ? help : help ? open(help.content ?? help.html) : "");
  return new DOMParser().parseFromString(open(description ?? tooltip), "text/html").body.textContent.trim();
}

/** The name of a slider: its own, or what stands before it. */
function nameOf({ model, el }) {
  const before = el.previousElementSibling?.shadowRoot?.querySelector(".bk-clearfix")?.innerText ?? "";
  return model.title || before.split(":")[0];
}

/** Say to those who cannot point what Panel's widgets show to the mouse only; Tab passes by what the arrow keys do as well. */
function complete(view) {
  const root = view.el?.shadowRoot, help = helpOf(view.model);
  for (const button of root?.querySelectorAll(".bk-spin-btn") ?? []) Object.assign(button, { tabIndex: -1, ariaHidden: "true" });
  for (const handle of root?.querySelectorAll(".noUi-handle") ?? []) Object.assign(handle, { ariaLabel: nameOf(view), ariaDescription: help || "The arrow keys change it." });
  for (const header of root?.querySelectorAll("button.card-header") ?? []) header.title ||= "Fold this section, or unfold it";
  if (help) for (const label of root?.querySelectorAll("label:has(> input)") ?? []) label.title ||= help;
  if (help) for (const field of root?.querySelectorAll("button.bk-btn, input, select, textarea") ?? []) field.ariaDescription = help;
}

function keepComplete(off) {
  const look = () => document.hidden || [...(globalThis.Bokeh?.index?.query(({ model }) => model) ?? [])].forEach(complete);
  const timer = setInterval(look, TIDY);
  off.signal.addEventListener("abort", () => clearInterval(timer));
  setTimeout(look);
}

/** A way past all controls, seen when the keyboard reaches it. */
function skip() {
  const link = make("a", { href: "#live", className: "skip", textContent: "Skip to the live view", title: "Past the controls, to the picture" });
  link.onclick = (event) => {
    const area = find(document, ".area-live");
    event.preventDefault();
    (find(document, '[role="application"]') ?? (area?.shadowRoot && find(area.shadowRoot, PRESSED)))?.focus();
  };
  return link;
}

export function render({ model, el }) {
  const off = new AbortController(), boxes = { keys: keysOf(model), share: sharing(model) };
  keepLight(model, off);
  keepComplete(off);
  const sheets = Object.values(boxes);
  window.addEventListener("keydown", (event) => sheets.some((box) => box.open) && event.stopImmediatePropagation(), { capture: true, signal: off.signal });
  model.on("touring", () => (boxes.keys.querySelector(".primary").hidden = !model.touring));
  model.on("msg:custom", ({ open }) => boxes[open] && !boxes[open].open && boxes[open].showModal());
  model.on("remove", () => off.abort());
  el.replaceChildren(skip(), ...sheets);
}
