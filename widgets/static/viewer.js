// The live 3D view, part 6 of 6: one NGL stage that shows one molecule, or a few side by side, and moves atoms when a frame arrives.
//
// It knows how to draw and must not know what is simulated. Protocol over Panel's channel; lengths in angstrom, atoms count from 0:
//   properties in   scene {serial, keep, cells: [{pdb, label, focus, ligand, protein, mobile, water, highlight, tone}]}, and the parameters of `Pane`
//   both ways       camera: the orientation, 16 numbers, told when it has rested; mode: Escape goes back to "look"
//   messages in     {type: "frame", number, serial, cell, positions: float32 bytes} | {type: "centre", atoms, cell}
//                   {type: "snapshot", id, width, transparent} | {type: "ngl", text}
//   messages out    {type: "ready", serial} | {type: "ack", frames: [[cell, number]]} | {type: "failed", reason} | {type: "need-ngl"}
//                   {type: "pick", atom, cell, shift, alt} | {type: "pull", phase, atom, cell, target} | {type: "snapshot", id, png}

const REST = 500; // ms after which a camera or an atom counts as resting
const NEAREST = 10; // angstrom between the camera and a lone ion at first
const LARGEST = 4096; // pixels across a snapshot
const HELP = "3D view of the molecule. Arrow keys turn it, plus and minus zoom, C centres it, Escape lets go of an atom, or leaves picking.";
const BASE = `
  :host, .studio-viewer { display: block; width: 100%; height: 100%; }
  .studio-viewer { position: relative; min-height: 120px; overflow: hidden; border-radius: inherit; font: 12px/1.4 system-ui, sans-serif; }
  .studio-viewer .stage { position: absolute; inset: 0; touch-action: none; outline: none; cursor: grab; }
  .studio-viewer .stage:active { cursor: grabbing; }
  .studio-viewer .stage[data-mode="pick"] { cursor: crosshair; }
  .studio-viewer .stage:focus-visible { box-shadow: inset 0 0 0 2px var(--accent); }
  .studio-viewer .stage canvas { outline: none; }
  .studio-viewer svg { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none; }
  .studio-viewer .tip { position: absolute; pointer-events: none; padding: 3px 8px; border-radius: 5px; white-space: nowrap; z-index: 2;
    color: var(--ground); background: var(--notice); }
  .studio-viewer .tip[hidden] { display: none; }
  .studio-viewer .notice { position: absolute; inset: 0; display: grid; place-items: center; padding: 2rem; text-align: center;
    font-size: 1rem; color: var(--notice); background: var(--ground); z-index: 3; }
  .studio-viewer .notice:empty { display: none; }`;

const views = new Set(); // what is on the page now; a browser grants only a few WebGL contexts

class View {
  constructor(host, NGL, parts) {
    Object.assign(this, { host, NGL, parts, element: parts.stage, cells: [], serial: -1, lag: 16, sharpness: 1, drawn: new Map() });
    this.stage = new NGL.Stage(this.element, { tooltip: false, quality: "medium", sampleLevel: -1, ...this.light() });
    if (!this.stage.viewer?.renderer) throw new Error(NO_WEBGL);
    this.canvas.addEventListener("webglcontextlost", () => views.has(this) && this.say(LOST));
    this.space = new Space(this);
    this.marks = new Marks(this, parts.marks);
    this.hand = new Hand(this, this.element, parts.tip);
    this.stage.viewerControls.signals.changed.add(() => this.cameraMoved());
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.element);
  }

  get canvas() {
    return this.element.querySelector("canvas");
  }

  get theme() {
    return THEMES[this.host.get("dark") ? "dark" : "light"];
  }

  /** Whether several molecules stand in one place. */
  get overlaid() {
    return this.cells.length > 1 && this.host.get("overlay");
  }

  overlayColour(k) {
    const colours = OVERLAY_COLOURS[this.host.get("dark") ? "dark" : "light"];
    return colours[this.cells[k].scene.tone % colours.length];
  }

  light() {
    return { backgroundColor: this.theme.background, fogNear: 55, fogFar: 100, clipDist: 0, ambientIntensity: 0.35, lightIntensity: 1.0 };
  }

  say(reason) {
    this.parts.notice.textContent = reason;
    this.host.send({ type: "failed", reason });
  }

  /** Load the molecules into the same stage; only now the camera turns to them, unless it is to be kept. */
  async load() {
    const scene = this.host.get("scene");
    if (!scene?.cells || scene.serial === this.serial) return;
    this.serial = scene.serial;
    this.hand.release();
    const cells = await Promise.all(scene.cells.map((each, index) => new Cell(this, each, index).load()));
    const gone = scene.serial === this.serial ? this.cells : cells; // overtaken by a newer scene
    for (const { component } of gone) this.stage.removeComponent(component);
    if (gone === cells) return;
    const keep = scene.keep && this.cells.length > 0;
    this.cells = cells;
    for (const cell of cells) cell.anchor = cell.middle();
    this.space.arrange();
    this.draw();
    this.look(keep);
    this.host.send({ type: "ready", serial: this.serial });
  }

  look(keep) {
    const camera = this.host.get("camera");
    if (keep) this.cameraMoved();
    else if (camera.length === 16) this.orient(camera);
    else this.aim();
  }

  /** Turn the camera to the focus: face on, and from where the least of the rest stands in front of it; a molecule alone lies level. */
  aim() {
    const { Quaternion, Vector3 } = this.NGL, [{ component, scene, size }] = this.cells, first = this.cells[0];
    const inside = scene.focus.length > 0 && scene.focus.length < size;
    const turn = new Quaternion();
    if (inside) turn.setFromUnitVectors(first.clearest(), new Vector3(0, 0, 1));
    else turn.set(0, 0, Math.SQRT1_2, Math.SQRT1_2).multiply(component.structure.getPrincipalAxes().getRotationQuaternion()); // the long axis lies level
    const { width, height } = this.space.part(0), narrow = Math.max(1, height / width);
    const away = this.cells.map((cell) => Math.abs(cell.component.getZoom(inside ? atoms(cell.scene.focus) : undefined)));
    const centre = this.cells.length > 1 ? new Vector3() : component.getCenter(inside ? atoms(scene.focus) : undefined);
    const own = Math.max(1, this.stage.viewer.height / this.stage.viewer.width); // NGL has thought of the whole canvas
    this.stage.animationControls.rotate(turn, 0);
    this.stage.animationControls.zoomMove(centre, ((inside ? -1.6 : -1.15) * Math.max(NEAREST, ...away) * narrow) / own, 0);
  }

  /** Bring atoms to the middle: those named, or the picked ones, or the focus. The direction of sight stays. */
  centre(indices = this.host.get("picked"), k = this.host.get("marked_cell")) {
    const cell = this.cells[k];
    if (!cell) return;
    const known = indices.filter((atom) => atom < cell.size);
    this.stage.animationControls.move(cell.middle(known.length ? known : undefined).add(this.space.offset(k)), 250);
  }

  orient(camera) {
    this.told = JSON.stringify(camera);
    this.stage.viewerControls.orient(new this.NGL.Matrix4().fromArray(camera));
  }

  /** Where the camera stands, as 16 numbers. */
  orientation() {
    this.stage.viewer.rotationGroup.updateMatrix(); // NGL itself does so with the next picture only
    return this.stage.viewerControls.getOrientation().toArray();
  }

  /** Tell Python of the camera, but only once it rests. */
  cameraMoved() {
    clearTimeout(this.telling);
    this.telling = setTimeout(() => {
      const camera = this.orientation();
      if (JSON.stringify(camera) === this.told) return;
      this.told = JSON.stringify(camera);
      this.host.set("camera", camera);
    }, REST);
  }

  cameraSet() {
    const camera = this.host.get("camera");
    if (camera.length === 16 && JSON.stringify(camera) !== this.told) this.orient(camera);
  }

  draw() {
    for (const cell of this.cells) cell.draw();
    this.marks.renew();
  }

  outline() {
    for (const cell of this.cells) cell.outline();
    this.stage.viewer.requestRender();
  }

  /** Another colour of the page, or another way to see the atoms; the camera stays. Of several changes at once, one drawing. */
  restyle() {
    this.styling ??= requestAnimationFrame(() => this.restyled());
  }

  restyled() {
    this.styling = undefined;
    if (!views.has(this)) return;
    this.stage.setParameters(this.light());
    dress(this.parts.box, this.host);
    this.space.arrange();
    this.draw();
  }

  resize() {
    this.stage.handleResize();
    this.space.arrange();
    this.sharpen(this.sharpness);
    this.marks.renew();
  }

  /** On a machine without graphics hardware: fewer pixels while the atoms move, all of them when they rest. */
  pace(elapsed) {
    this.lag = 0.8 * this.lag + 0.2 * Math.min(elapsed, 400);
    if (this.lag > 30 && this.sharpness > 0.45) this.sharpen(this.sharpness * 0.8);
    clearTimeout(this.rest);
    this.rest = setTimeout(() => this.rested(), REST);
  }

  rested() {
    if (this.host.get("surface")) for (const cell of this.cells) cell.drawSurface();
    if (this.sharpness < 1) this.sharpen(1);
  }

  sharpen(sharpness) {
    this.sharpness = sharpness;
    this.lag = 16;
    this.stage.viewer.renderer.setPixelRatio(sharpness * window.devicePixelRatio); // NGL itself knows no such setting
    this.stage.viewer.render(); // now, not with the next frame: the resize has wiped the canvas
  }

  /** Move the atoms, then acknowledge once the browser is ready to paint: a hidden or busy page asks for nothing. */
  take({ number, serial, cell: k, positions }) {
    const cell = this.cells[k];
    if (serial === this.serial && positions.byteLength === 12 * (cell?.size ?? -1)) cell.move(new Float32Array(positions));
    this.drawn.set(k, number); // two frames of a molecule in one picture count as one
    if (this.painting) return;
    this.painting = true;
    requestAnimationFrame((start) => {
      this.painting = false;
      this.host.send({ type: "ack", frames: [...this.drawn] });
      this.drawn.clear();
      requestAnimationFrame((end) => this.pace(end - start));
    });
  }

  /** The picture as it is, `width` pixels wide, marks included. */
  async snapshot({ id, width, transparent }) {
    const { renderer } = this.stage.viewer, { clientWidth, clientHeight } = this.element;
    const across = Math.min(width || clientWidth, LARGEST), shape = clientHeight / clientWidth;
    const picture = Object.assign(document.createElement("canvas"), { width: across, height: Math.round(across * shape) || 0 });
    if (!picture.width || !picture.height) return this.host.send({ type: "snapshot", id, png: "" });
    renderer.setClearAlpha(transparent ? 0 : 1);
    renderer.setPixelRatio(across / clientWidth);
    this.stage.viewer.render();
    const brush = picture.getContext("2d");
    brush.drawImage(this.canvas, 0, 0, picture.width, picture.height);
    renderer.setClearAlpha(1);
    this.sharpen(this.sharpness);
    brush.drawImage(await this.marks.picture(picture.width, picture.height), 0, 0);
    this.host.send({ type: "snapshot", id, png: picture.toDataURL("image/png").split(",")[1] });
  }

  listen() {
    const { host } = this, load = () => this.load().catch((error) => this.say(`The molecule cannot be drawn (${error.message}).`));
    const watch = (names, react) => names.forEach((name) => host.watch(name, react));
    watch(["scene"], load);
    watch(["highlight", "warned"], () => this.outline());
    watch(["picked", "cuts", "measures", "labels"], () => this.marks.renew());
    watch(["marked_cell"], () => this.draw());
    watch(["spring_label"], () => this.marks.pull && this.marks.renew());
    watch(["dark", "accent", "overlay", "paint", "cartoon", "look", "water", "surface", "hydrogens"], () => this.restyle());
    watch(["mode"], () => dress(this.parts.box, host));
    watch(["camera"], () => this.cameraSet());
    host.on("frame", (message) => this.take(message));
    host.on("centre", (message) => this.centre(message.atoms, message.cell));
    host.on("snapshot", (message) => this.snapshot(message));
    return load();
  }

  /** Where an atom is on the screen, for tests and the console. */
  place(atom, k = 0) {
    return this.space.place(atom, k);
  }

  dispose() {
    if (!views.delete(this)) return;
    for (const timer of [this.rest, this.telling]) clearTimeout(timer);
    this.hand.dispose();
    this.observer.disconnect();
    const context = this.stage.viewer.renderer.getContext();
    this.stage.dispose();
    context.getExtension("WEBGL_lose_context")?.loseContext();
    this.element.replaceChildren();
  }
}

/** The page's colours and the pointer's shape, as the host has them now. */
function dress(box, host) {
  const theme = THEMES[host.get("dark") ? "dark" : "light"];
  for (const [name, value] of [["--ground", theme.background], ["--notice", theme.ink], ["--accent", host.get("accent")]]) box.style.setProperty(name, value);
  box.querySelector(".stage").dataset.mode = host.get("mode");
}

function frameOf(el, host) {
  const [box, style, stage, tip, notice] = ["div", "style", "div", "div", "div"].map((tag) => document.createElement(tag));
  const marks = document.createElementNS(SVG, "svg");
  Object.assign(box, { className: "studio-viewer" });
  Object.assign(style, { textContent: BASE });
  Object.assign(stage, { className: "stage", tabIndex: 0, role: "application", ariaLabel: HELP });
  Object.assign(tip, { className: "tip", hidden: true, role: "tooltip" });
  Object.assign(notice, { className: "notice", role: "status" });
  marks.setAttribute("aria-hidden", "true");
  box.append(style, stage, marks, tip, notice);
  dress(box, host);
  el.replaceChildren(box);
  return { box, stage, marks, tip, notice };
}

async function render({ model, el }) {
  const host = connect(model);
  for (const old of views) if (!old.element.isConnected) old.dispose(); // the host drew anew without saying so
  const parts = frameOf(el, host);
  try {
    const NGL = await library(host);
    const view = new View(host, NGL, parts);
    views.add(view);
    globalThis.studioViewer = view; // for the browser's console
    host.onRemove(() => view.dispose());
    await view.listen();
  } catch (error) {
    const reason = error.message === NO_WEBGL ? NO_WEBGL : `${NO_NGL} (${error.message})`;
    parts.notice.textContent = reason;
    host.send({ type: "failed", reason });
  }
}

export default { render };
