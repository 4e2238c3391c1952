// The resolution dial: levels as radio buttons with what each is about. It knows rows and keys and must not know levels.
//
//   properties in   rows: [{name, title, meaning, particles, speed, day, clock, hint, blocked}], the finest first; value: the level that is on;
//                   wish: the level that is on its way, or ""; busy: what is said while there are no rows
//   message out     {type: "turn", level}; what is checked follows `wish` and `value` alone, so that a refusal leaves no wrong mark

const PATIENCE = 450; // ms: arrow keys pass over levels, and each would start a run

function part(tag, className, text) {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

/** One row, and how it is shown anew: nodes stay, so that a click that a fresh number falls into is not lost. */
function level(name, group) {
  const radio = Object.assign(document.createElement("input"), { type: "radio", name: group, value: name });
  const [title, count, rate, day, hint] = [part("b", "name", ""), part("span", "count", ""), part("span", "rate", ""), part("span", "rate", ""), part("small", "why", "")];
  hint.id = `${group}-${name}`;
  radio.setAttribute("aria-describedby", hint.id);
  const label = part("label", "level", "");
  label.append(radio, title, count, rate, day, hint);
  const show = (row) => {
    radio.disabled = row.blocked;
    radio.setAttribute("aria-label", [row.title, `${row.particles} particles`, row.speed && `${row.speed} steps per second, ${row.day} ${row.clock === "time" ? "" : "CG "}nanoseconds per day`].filter(Boolean).join(", "));
    label.title = row.meaning;
    label.classList.toggle("blocked", row.blocked);
    for (const [node, text] of [[title, row.title], [count, row.particles], [rate, row.speed], [day, row.day]]) node.textContent = text || "\u2013";
    hint.textContent = row.hint;
    const coarse = row.clock !== "time" && row.day;
    if (coarse) day.prepend(part("i", "cg", "CG"));
    day.title = coarse ? `${row.clock}: that of beads, which is not the time of atoms and is never converted` : "";
  };
  return { name, label, show };
}

export function render({ model, el }) {
  const group = `level-${Math.random().toString(36).slice(2)}`;
  const box = document.createElement("div");
  box.className = "dial";
  box.setAttribute("role", "radiogroup");
  box.setAttribute("aria-label", "Resolution: how the system is seen, the finest first");
  const wait = part("p", "busy", "");
  wait.setAttribute("role", "status");
  el.replaceChildren(box, wait);
  let patience = 0;

  const check = () => {
    for (const radio of box.querySelectorAll("input")) {
      radio.checked = radio.value === (model.wish || model.value);
      radio.parentNode.classList.toggle("on", radio.value === model.value);
      radio.parentNode.classList.toggle("coming", radio.value === model.wish);
    }
  };
  let levels = [];
  const draw = () => {
    if (levels.map((each) => each.name).join() !== model.rows.map((row) => row.name).join()) {
      levels = model.rows.map((row) => level(row.name, group));
      const head = part("div", "head", "");
      head.append(part("span", "count", "particles"), part("span", "rate", "steps/s"), part("span", "rate", "ns/day"));
      box.replaceChildren(head, ...levels.map((each) => each.label));
      check(); // not with each fresh number: what was clicked a moment ago is not a wish yet
    }
    wait.textContent = model.rows.length ? "" : model.busy;
    levels.forEach((each, place) => each.show(model.rows[place]));
  };
  const turn = (name) => {
    model.send_msg({ type: "turn", level: name });
    setTimeout(check, 1500);
  };
  let byMouse = false;
  box.addEventListener("pointerdown", () => (byMouse = true));
  box.addEventListener("keydown", () => (byMouse = false));
  box.addEventListener("change", (event) => {
    clearTimeout(patience);
    patience = setTimeout(turn, byMouse ? 0 : PATIENCE, event.target.value);
  });
  for (const name of ["rows", "busy"]) model.on(name, draw);
  for (const name of ["value", "wish"]) model.on(name, check);
  draw();
}
