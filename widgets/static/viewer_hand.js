// The live 3D view, part 5 of 6: the hand - mouse, pen, touch and keys: turn, move, come closer, pick an atom, pull an atom.
//
// NGL's own mouse is put to sleep: it listens at the document, where an event inside a shadow root no longer names the canvas, and a click
// of it moves the camera. Here only what the user does moves the camera.

const TURN = 0.008; // radians per pixel
const KEY_TURN = Math.PI / 24;
const STILL = 4; // pixels that a click may wander
const HOVER_DELAY = 90; // ms
const PULL_INTERVAL = 33; // ms between two messages of a pull
const PULL_REPEAT = 1000; // ms after which a hand that holds still says so: a pull that is never heard of again ends
const KEYS = {
  ArrowLeft: (hand) => hand.turn(-KEY_TURN / TURN, 0),
  ArrowRight: (hand) => hand.turn(KEY_TURN / TURN, 0),
  ArrowUp: (hand) => hand.turn(0, -KEY_TURN / TURN),
  ArrowDown: (hand) => hand.turn(0, KEY_TURN / TURN),
  "+": (hand) => hand.closer(0.1),
  "=": (hand) => hand.closer(0.1),
  "-": (hand) => hand.closer(-0.1),
  c: (hand) => hand.view.centre(),
  Escape: (hand) => hand.escape(),
};

class Hand {
  constructor(view, surface, tip) {
    Object.assign(this, { view, surface, tip, pointers: new Map(), press: null, pull: null, off: new AbortController() });
    const { mouseObserver, keyBehavior } = view.stage;
    mouseObserver.dispose();
    keyBehavior.dispose(); // "r" would turn the camera back
    const on = (target, kind, react, passive = true) => target.addEventListener(kind, react, { signal: this.off.signal, passive });
    on(surface, "pointerdown", (event) => this.down(event));
    on(surface, "pointermove", (event) => this.moved(event));
    on(surface, "pointerup", (event) => this.up(event));
    for (const kind of ["pointercancel", "lostpointercapture"]) on(surface, kind, (event) => this.lost(event));
    on(surface, "pointerleave", () => this.leave());
    on(surface, "contextmenu", (event) => event.preventDefault(), false);
    on(surface, "wheel", (event) => this.wheel(event), false);
    on(surface, "keydown", (event) => this.key(event), false);
    on(window, "blur", () => this.release());
    on(document, "visibilitychange", () => document.hidden && this.release());
  }

  at(event) {
    const { left, top } = this.surface.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }

  down(event) {
    const { host, space } = this.view, point = this.at(event);
    this.surface.focus({ preventScroll: true });
    this.surface.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, point);
    this.leave();
    if (this.pointers.size > 1) return this.release(); // the second finger turns a pull into a pinch
    this.press = { ...point, still: true, button: event.button, shift: event.shiftKey };
    const pulls = host.get("pulls") && event.button === 0 && (host.get("mode") === "pull" || event.ctrlKey || event.metaKey);
    const hit = pulls ? space.atomAt(point.x, point.y) : null;
    if (hit) this.grab(hit, point);
  }

  moved(event) {
    const point = this.at(event), before = this.pointers.get(event.pointerId);
    if (!before) return event.pointerType === "mouse" && this.hover(point);
    if (this.press.still && Math.hypot(point.x - this.press.x, point.y - this.press.y) < STILL) return;
    this.press.still = false;
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, each]) => each);
    this.pointers.set(event.pointerId, point);
    const [dx, dy] = [point.x - before.x, point.y - before.y];
    if (this.pull) this.drag(point);
    else if (others.length) this.pinch(before, point, others[0]);
    else if (this.press.button === 2 || this.press.shift) this.slide(dx, dy);
    else if (this.press.button === 1) this.closer(dy * -0.005);
    else this.turn(dx, dy);
  }

  up(event) {
    if (this.press?.still && this.press.button === 0 && this.view.host.get("mode") === "pick" && this.pointers.size === 1) this.pick(event);
    this.lost(event);
  }

  /** A pointer is gone, in whatever way: a pull always ends. */
  lost(event) {
    this.pointers.delete(event.pointerId);
    if (!this.pointers.size) this.release();
  }

  leave() {
    clearTimeout(this.hovering);
    this.tip.hidden = true;
    this.view.marks.hover(null);
  }

  /** Turn as a ball under the pointer would. */
  turn(dx, dy) {
    const { stage, NGL } = this.view, [across, down] = [new NGL.Quaternion(), new NGL.Quaternion()];
    across.setFromAxisAngle(new NGL.Vector3(0, 1, 0), dx * TURN);
    down.setFromAxisAngle(new NGL.Vector3(1, 0, 0), -dy * TURN);
    stage.viewerControls.rotate(across.multiply(down).multiply(stage.viewer.rotationGroup.quaternion));
  }

  /** Move what is seen by so many pixels. */
  slide(dx, dy) {
    const { stage, space, NGL } = this.view;
    const middle = stage.viewer.translationGroup.position.clone().negate().sub(space.offset(0));
    const { x, y, depth } = space.project(middle);
    stage.viewerControls.translate(new NGL.Vector3().subVectors(space.unproject(x + dx, y + dy, depth), middle));
  }

  closer(share) {
    this.view.stage.viewerControls.zoom(Math.max(-0.5, Math.min(0.5, share)));
  }

  pinch(before, after, other) {
    const apart = (point) => Math.hypot(point.x - other.x, point.y - other.y) || 1;
    this.closer(1 - apart(before) / apart(after));
    this.slide((after.x - before.x) / 2, (after.y - before.y) / 2);
  }

  wheel(event) {
    event.preventDefault(); // or the page scrolls too
    this.closer(-event.deltaY * (event.deltaMode ? 0.03 : 0.001));
  }

  key(event) {
    const act = event.ctrlKey || event.metaKey || event.altKey ? null : KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act(this);
  }

  /** What is under a pointer that rests, in words. */
  hover(point) {
    clearTimeout(this.hovering);
    this.tip.hidden = true;
    this.hovering = setTimeout(() => {
      const hit = this.view.space.atomAt(point.x, point.y);
      this.view.marks.hover(hit);
      if (!hit) return;
      const right = point.x > this.surface.clientWidth / 2;
      Object.assign(this.tip, { textContent: this.view.cells[hit.cell].label(hit.atom), hidden: false });
      Object.assign(this.tip.style, { left: `${point.x + (right ? -14 : 14)}px`, top: `${point.y + 14}px`, transform: right ? "translateX(-100%)" : "" });
    }, HOVER_DELAY);
  }

  pick(event) {
    const { x, y } = this.at(event), hit = this.view.space.atomAt(x, y);
    if (hit) this.view.host.send({ type: "pick", atom: hit.atom, cell: hit.cell, shift: event.shiftKey, alt: event.altKey });
  }

  grab({ atom, cell }, point) {
    const start = this.view.space.place(atom, cell); // the target moves in the plane of the screen in which the atom was
    this.pull = this.view.marks.pull = { atom, cell, depth: start.depth, pointer: point, aside: { x: start.x - point.x, y: start.y - point.y } };
    this.view.marks.renew();
    this.tell("start");
    this.repeat = setInterval(() => this.tell("move"), PULL_REPEAT);
  }

  drag(point) {
    this.pull.pointer = point;
    this.view.marks.follow();
    this.waiting ??= setTimeout(() => this.tell("move"), PULL_INTERVAL);
  }

  tell(phase) {
    const { atom, cell, depth, pointer, aside } = this.pull;
    clearTimeout(this.waiting);
    this.waiting = undefined;
    const target = this.view.space.unproject(pointer.x + aside.x, pointer.y + aside.y, depth, cell).toArray();
    this.view.host.send({ type: "pull", phase, atom, cell, target });
  }

  /** Let go of the pulled atom; or else leave the mode of picking or pulling. */
  escape() {
    if (this.pull) this.release();
    else this.view.host.set("mode", "look");
  }

  /** Let go of the pulled atom, if one is pulled. */
  release() {
    if (!this.pull) return;
    clearInterval(this.repeat);
    this.tell("end");
    this.pull = this.view.marks.pull = null;
    this.view.marks.renew();
  }

  dispose() {
    this.release();
    this.leave();
    this.off.abort();
  }
}
