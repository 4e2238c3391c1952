// A row of buttons with names, help and keys. What they do is Python's business.
//
//   parameters in   tools: [{name, label, help, icon, bare, keys, off, pressed, look}]; title
//   messages out    {press: name}
//   messages in     {file: bytes, name, mime}: to be saved
//
// A button that is off stays in reach of the keyboard and says why. Keys count while the focus is in the same part of the page, or nowhere.

const TYPING = "input:not([type=radio]):not([type=checkbox]):not([type=range]), textarea, select, [contenteditable]";
const PRESSED = "button, a, summary, input, [role=button], [role=slider]"; // what the space bar has a meaning for
const NAMES = { " ": "Space" };

const outermost = (node) => {
  const root = node.getRootNode();
  return root instanceof ShadowRoot ? outermost(root.host) : node;
};

/** Whether a key may press a button of this bar. */
function counts(event, bar) {
  const path = event.composedPath(), [target] = path;
  if (event.defaultPrevented || event.repeat || event.ctrlKey || event.metaKey || event.altKey || !bar.getClientRects().length) return false;
  if (target.matches?.(TYPING) || (event.key === " " && target.matches?.(PRESSED))) return false;
  if (path.some((node) => node.matches?.('dialog, [role="dialog"], [aria-modal="true"]'))) return false;
  return document.activeElement === document.body || path.includes(outermost(bar));
}

/** Say on a button what it is now; it keeps its place and the focus. */
function dress(button, { label, help, icon, bare, keys, off, pressed, look }) {
  const said = `${icon}|${label}|${bare}`;
  if (button.dataset.said !== said) {
    button.dataset.said = said;
    button.innerHTML = icon;
    if (!bare) button.append(Object.assign(document.createElement("span"), { textContent: label }));
  }
  const key = keys.length ? ` (${NAMES[keys[0]] ?? keys[0].toUpperCase()})` : "";
  Object.assign(button, { className: `${look}${bare ? " bare" : ""}`, title: off ? `${help} ${off}` : `${help}${key}` });
  const marks = { "aria-label": label, "aria-description": off || help, "aria-disabled": off ? "true" : null, "aria-pressed": pressed === null ? null : String(pressed) };
  for (const [name, value] of Object.entries(marks)) value === null ? button.removeAttribute(name) : button.setAttribute(name, value);
}

function save({ file, name, mime }) {
  const url = URL.createObjectURL(new Blob([file], { type: mime }));
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export function render({ model, el }) {
  const bar = document.createElement("div"), off = new AbortController(), buttons = new Map();
  const press = ({ name, off: why }) => why || model.send_msg({ press: name });
  const tool = (name) => model.tools.find((each) => each.name === name);
  Object.assign(bar, { className: "tools" });
  bar.setAttribute("role", "toolbar");
  bar.setAttribute("aria-label", model.title);
  const make = (name) => {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.dataset.name = name;
    button.addEventListener("click", () => press(tool(name)));
    buttons.set(name, button);
    return button;
  };
  const draw = () => {
    const names = model.tools.map(({ name }) => name);
    for (const [name, button] of buttons) if (!names.includes(name)) button.remove(), buttons.delete(name);
    names.forEach((name, place) => {
      const button = buttons.get(name) ?? make(name);
      dress(button, tool(name));
      if (bar.children[place] !== button) bar.insertBefore(button, bar.children[place] ?? null);
    });
  };
  const key = (event) => {
    const pressed = model.tools.find(({ keys }) => keys.includes(event.key.length === 1 ? event.key.toLowerCase() : event.key));
    if (!pressed || !counts(event, bar)) return;
    event.preventDefault();
    event.stopImmediatePropagation(); // a notebook has its own meaning for many keys
    press(pressed);
  };
  window.addEventListener("keydown", key, { capture: true, signal: off.signal });
  model.on("tools", draw);
  model.on("msg:custom", (message) => message.file && save(message));
  model.on("remove", () => off.abort());
  draw();
  el.replaceChildren(bar);
}
