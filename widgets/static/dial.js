// The resolution dial: levels as radio buttons with what each is about. It knows rows and keys and must not know levels.
//
//   properties in   rows: [{name, title, meaning, particles, speed, day, clock, hint, blocked}], the finest first; value: the level that is on;
//                   wish: the level that is on its way, or ""
//   message out     {type: "turn", level}; what is checked follows `wish` and `value` alone, so that a refusal leaves no wrong mark

const PATIENCE = 450; // ms: arrow keys pass over levels, and each would start a run

function part(tag, className, text) {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

function level(row, group) {
  const label = part("label", row.blocked ? "level blocked" : "level", "");
  const radio = Object.assign(document.createElement("input"), { type: "radio", name: group, value: row.name, disabled: row.blocked });
  const hint = part("small", "why", row.hint);
  hint.id = `${group}-${row.name}`;
  radio.setAttribute("aria-describedby", hint.id);
  radio.setAttribute("aria-label", [row.title, `${row.particles} particles`, row.speed && `${row.speed} steps per second, ${row.day} ${row.clock === "time" ? "" : "CG "}nanoseconds per day`].filter(Boolean).join(", "));
  label.title = row.meaning;
  const number = (name, text) => part("span", name, text || "\u2013");
  const day = number("rate", row.day);
  if (row.clock !== "time" && row.day) {
    day.prepend(part("i", "cg", "CG"));
    day.title = `${row.clock}: that of beads, which is not the time of atoms and is never converted`;
  }
  label.append(radio, part("b", "name", row.title), number("count", row.particles), number("rate", row.speed), day, hint);
  return label;
}

export function render({ model, el }) {
  const group = `level-${Math.random().toString(36).slice(2)}`;
  const box = document.createElement("div");
  box.className = "dial";
  box.setAttribute("role", "radiogroup");
  box.setAttribute("aria-label", "Resolution: how the system is seen, the finest first");
  el.replaceChildren(box);
  let patience = 0;

  const check = () => {
    for (const radio of box.querySelectorAll("input")) {
      radio.checked = radio.value === (model.wish || model.value);
      radio.parentNode.classList.toggle("on", radio.value === model.value);
      radio.parentNode.classList.toggle("coming", radio.value === model.wish);
    }
  };
  const draw = () => {
    const focused = box.querySelector("input:focus")?.value;
    const head = part("div", "head", "");
    head.append(part("span", "count", "particles"), part("span", "rate", "steps/s"), part("span", "rate", "ns/day"));
    box.replaceChildren(head, ...model.rows.map((row) => level(row, group)));
    check();
    [...box.querySelectorAll("input")].find((radio) => radio.value === focused)?.focus();
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
  model.on("rows", draw);
  for (const name of ["value", "wish"]) model.on(name, check);
  draw();
}
