// The molecule on paper: a drawing whose atoms are buttons. It knows circles and keys and must not know chemistry.
//
//   properties in   drawing {svg, caption, atoms: [{index, x, y, label}] in units of the picture}, picked, marked: atom indices
//   message out     {type: "pick", atom}

const SPACE = "http://www.w3.org/2000/svg";
const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

function circle(className, { x, y }, radius) {
  const node = document.createElementNS(SPACE, "circle");
  for (const [name, value] of Object.entries({ class: className, cx: x, cy: y, r: radius })) node.setAttribute(name, value);
  return node;
}

/** An atom that can be pressed; all of a drawing are one stop of the Tab key, and arrows go from atom to atom. */
function spot(atom, radius) {
  const node = document.createElementNS(SPACE, "g");
  for (const [name, value] of Object.entries({ class: "atom", role: "button", tabindex: -1, "aria-label": atom.label })) node.setAttribute(name, value);
  node.dataset.atom = atom.index;
  const title = document.createElementNS(SPACE, "title");
  title.textContent = atom.label;
  node.append(title, circle("halo", atom, 1.25 * radius), circle("ring", atom, 1.15 * radius), circle("target", atom, Math.max(1.1 * radius, 12)));
  return node;
}

/** How large a spot may be without touching its neighbour. */
function radius(atoms) {
  const gaps = atoms.flatMap((one, i) => atoms.slice(i + 1).map((other) => Math.hypot(one.x - other.x, one.y - other.y)));
  return Math.min(12, Math.max(5, 0.42 * Math.min(Infinity, ...gaps)));
}

export function render({ model, el }) {
  const box = document.createElement("div");
  box.className = "paper";
  el.replaceChildren(box);
  let spots = [];

  const mark = () => {
    for (const node of spots) {
      const atom = Number(node.dataset.atom);
      node.setAttribute("aria-pressed", model.picked.includes(atom));
      node.classList.toggle("marked", model.marked.includes(atom));
    }
  };
  const draw = () => {
    const focused = spots.findIndex((node) => node.matches(":focus"));
    const { svg: picture = "", caption = "", atoms = [] } = model.drawing;
    box.innerHTML = picture;
    const svg = box.querySelector("svg");
    spots = [];
    if (!svg) return;
    svg.setAttribute("role", "group");
    svg.setAttribute("aria-label", caption);
    const size = radius(atoms);
    spots = atoms.map((atom) => spot(atom, size));
    spots[0]?.setAttribute("tabindex", 0);
    svg.append(...spots);
    mark();
    if (focused >= 0) go(focused);
  };
  const go = (place) => {
    const index = (place + spots.length) % spots.length;
    spots.forEach((node, i) => node.setAttribute("tabindex", i === index ? 0 : -1));
    spots[index]?.focus();
  };
  const pick = (node) => node && model.send_msg({ type: "pick", atom: Number(node.dataset.atom) });

  box.addEventListener("click", (event) => pick(event.target.closest(".atom")));
  box.addEventListener("keydown", (event) => {
    const at = spots.indexOf(event.target.closest(".atom"));
    if (at < 0) return;
    if (event.key in STEPS) go(at + STEPS[event.key]);
    else if (event.key === "Enter" || event.key === " ") pick(spots[at]);
    else return;
    event.preventDefault();
  });
  model.on("drawing", draw);
  for (const name of ["picked", "marked"]) model.on(name, mark);
  draw();
}
