// The tour: a light on one area of the screen after the other, with a card of words beside it.
//
//   parameters in    steps: [[selector, title, text]]; welcome; aside
//   both ways        step: the one that is shown, -1 for none
//
// A native modal dialog does what is hard: it is above everything, keeps the focus inside, ends with Escape and gives the focus back.

const SEEN = "potential-studio.tour";
const GAP = 14; // pixels between the light and the card
const EDGE = 10; // pixels that the card keeps from the window's edge
const PATIENCE = 60; // looks for the screen at the first visit, before the tour is left to who asks for it
const LOOK = 250; // ms between two of them

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

const outermost = (node) => {
  const root = node.getRootNode();
  return root instanceof ShadowRoot ? outermost(root.host) : node;
};

/** The first element that is seen, also inside shadow roots. */
function find(root, selector) {
  for (const node of root.querySelectorAll("*")) {
    if (node.matches(selector) && node.getClientRects().length) return node;
    const inside = node.shadowRoot && find(node.shadowRoot, selector);
    if (inside) return inside;
  }
  return null;
}

/** Whether this browser may be shown around unasked: it was not before, and it can remember. */
function stranger() {
  try {
    return localStorage.getItem(SEEN) === null;
  } catch {
    return false;
  }
}

/** Where a card of this size stands: beside, below or above the light, or in it, and always in the window. */
function placeOf({ width, height }, light, view) {
  const across = Math.max(EDGE, Math.min(light.left, view.width - width - EDGE));
  const down = Math.max(EDGE, Math.min(light.top, view.height - height - EDGE));
  const places = [[light.right + GAP, down], [light.left - GAP - width, down], [across, light.bottom + GAP], [across, light.top - GAP - height]];
  const fits = ([x, y]) => x >= EDGE && y >= EDGE && x + width <= view.width - EDGE && y + height <= view.height - EDGE;
  const within = [(light.left + light.right - width) / 2, Math.max(EDGE, light.bottom - GAP - height)];
  return places.find(fits) ?? within;
}

class Card {
  constructor(model, el) {
    const button = (text, help, act, look = "quiet") => make("button", { type: "button", className: look, textContent: text, title: help, onclick: act });
    Object.assign(this, { model, el, title: make("h2", { id: "title" }), text: make("p", { id: "text" }), count: make("span", { className: "count" }) });
    this.back = button("Back", "The step before (left arrow)", () => this.go(-1));
    this.next = button("", "The next step (right arrow)", () => this.go(1), "primary");
    this.skip = button("Skip the tour", "End the tour (Escape); the button Tour starts it again", () => this.end());
    this.light = make("div", { className: "light" });
    const words = make("div", { ariaLive: "polite" }, this.count, this.title, this.text);
    this.card = make("div", { className: "card" }, words, make("div", { className: "ways" }, this.skip, this.back, this.next));
    this.dialog = make("dialog", {}, this.light, this.card);
    this.dialog.setAttribute("aria-labelledby", "title");
    this.dialog.setAttribute("aria-describedby", "text");
    this.dialog.addEventListener("cancel", () => this.end());
    el.replaceChildren(this.dialog);
  }

  go(by) {
    const step = this.model.step + by;
    this.model.step = step < this.model.steps.length ? Math.max(step, 0) : -1;
  }

  end() {
    this.model.step = -1;
  }

  key(event) {
    event.stopImmediatePropagation(); // no key of the page or of a notebook counts meanwhile
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by) this.go(by);
  }

  show() {
    const { step, steps, aside } = this.model, wanted = step >= 0 && !aside;
    if (!wanted) return this.hide();
    const [selector, title, text] = steps[step];
    this.area = find(outermost(this.el).parentNode, selector);
    this.area?.scrollIntoView({ block: "nearest" });
    Object.assign(this.title, { textContent: title });
    Object.assign(this.text, { textContent: text });
    this.count.textContent = `${step + 1} of ${steps.length}`;
    this.next.textContent = step + 1 < steps.length ? "Next" : "Done";
    this.back.hidden = step === 0;
    if (!this.dialog.open) this.open();
    this.next.focus();
  }

  open() {
    try {
      localStorage.setItem(SEEN, "seen"); // at once: a page that loads itself again in the middle does not start over
    } catch {} // it was asked for, and works without
    this.dialog.showModal();
    this.off = new AbortController();
    window.addEventListener("keydown", (event) => this.key(event), { capture: true, signal: this.off.signal });
    const follow = () => {
      if (!this.dialog.open) return;
      this.point();
      requestAnimationFrame(follow);
    };
    follow();
  }

  /** Light on the area, wherever it is by now; lengths are in the page's own scale. */
  point() {
    const scale = this.dialog.currentCSSZoom ?? 1, view = { width: innerWidth, height: innerHeight };
    const middle = { left: view.width / 2, right: view.width / 2, top: view.height / 3, bottom: view.height / 3 };
    const seen = this.area?.isConnected ? this.area.getBoundingClientRect() : middle;
    const { left, top, right, bottom } = { left: Math.max(seen.left, 0), top: Math.max(seen.top, 0), right: Math.min(seen.right, view.width), bottom: Math.min(seen.bottom, view.height) };
    const [x, y] = placeOf(this.card.getBoundingClientRect(), { left, top, right, bottom }, view);
    const px = (length) => `${Math.round(length) / scale}px`;
    Object.assign(this.light.style, { left: px(left), top: px(top), width: px(right - left), height: px(bottom - top) });
    Object.assign(this.card.style, { left: px(x), top: px(y) });
  }

  hide() {
    this.off?.abort();
    this.dialog.close();
  }
}

export function render({ model, el }) {
  const card = new Card(model, el);
  let looks = 0;
  const welcome = () => {
    const [[selector]] = model.steps, ready = find(document, selector) && !document.querySelector("dialog[open]");
    if (ready && !model.aside && model.step < 0 && stranger()) model.step = 0;
    else if (looks++ < PATIENCE && model.step < 0) waiting = setTimeout(welcome, LOOK);
  };
  let waiting = model.welcome && stranger() ? setTimeout(welcome, LOOK) : undefined;
  model.on(["step", "aside"], () => card.show());
  model.on("remove", () => (clearTimeout(waiting), card.hide()));
  card.show();
}
