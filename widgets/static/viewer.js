// The live 3D view: one NGL stage that moves atoms when a frame arrives. One module for Panel and for anywidget.
//
// It knows how to draw and must not know what is simulated. NGL comes out of the bundle that nglview installed, so nothing
// is vendored and nothing is fetched from outside. Protocol, in both directions over the host's own channel:
//   properties in   scene {serial, pdb, focus, ligand, protein, mobile, water}, highlight, water, dark, accent
//   message in      {frame, serial, positions}: float32, angstrom, x y z of each atom in the order of the PDB text
//   messages out    {type: "ready", serial} | {type: "ack", frame} | {type: "failed", reason}

const THEMES = {
  light: { background: "#f6f8fa", cartoon: "#c3cedb", carbon: "#8796a8", water: "#9cc3e6", ligand: "#4b5563" },
  dark: { background: "#10151c", cartoon: "#46566a", carbon: "#8a9bb0", water: "#3f6d96", ligand: "#93a4b8" },
};
const NO_WEBGL = "This browser cannot draw in 3D: WebGL is switched off or missing. Turn on hardware acceleration in the browser's settings, or open this page in another browser. Everything else works.";
const NO_NGL = "The 3D viewer could not be loaded. Run `potential-studio doctor`; it says what is missing.";
const LOST = "The graphics driver dropped the picture. Reload the page to see it again; the simulation was not affected.";
const BASE = `
  :host, .studio-viewer { display: block; width: 100%; height: 100%; }
  .studio-viewer { position: relative; min-height: 120px; overflow: hidden; border-radius: inherit; }
  .studio-viewer .stage { position: absolute; inset: 0; }
  .studio-viewer .notice { position: absolute; inset: 0; display: grid; place-items: center; padding: 2rem; text-align: center;
    font: 1rem/1.5 system-ui, sans-serif; color: var(--notice); background: var(--ground); }
  .studio-viewer .notice:empty { display: none; }`;

let library; // the promise of NGL: read once per page
const views = new Set(); // what is on the page now; a browser grants only a few WebGL contexts

/** NGL, taken from nglview's AMD bundle by playing the part of the module loader. */
async function readNGL(source) {
  let exported;
  const base = new Proxy({}, { get: () => class {} });
  const define = (_needs, factory) => (exported = factory(base));
  new Function("define", await source())(define);
  if (!exported?.NGL) throw new Error("nglview's bundle has no NGL");
  return exported.NGL;
}

async function fetchText(url) {
  const answer = await fetch(new URL(url, document.baseURI));
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return answer.text();
}

/** What Panel and anywidget have in common. */
function connect(model) {
  const panel = typeof model.send_msg === "function";
  const floats = (view) => new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  return {
    get: (name) => (panel ? model[name] : model.get(name)),
    watch: (name, react) => model.on(`change:${name}`, react),
    send: (message) => (panel ? model.send_msg(message) : model.send(message)),
    onFrame: (react) =>
      model.on("msg:custom", (event, buffers) => {
        react(event, panel ? new Float32Array(event.positions) : floats(buffers[0]));
      }),
    onRemove: (react) => panel && model.on("remove", react),
  };
}

/** Atom indices as an NGL selection; ranges of none select none. */
const atoms = (indices) => (indices?.length ? `@${indices.join(",")}` : "none");
const heavy = (indices) => (indices?.length ? `${atoms(indices)} and (not hydrogen or polarh)` : "none");
const element = (carbon) => ({ colorScheme: "element", colorValue: carbon });
const plain = (colour) => ({ colorScheme: "uniform", colorValue: colour });

class View {
  constructor(host, NGL, element, notice) {
    Object.assign(this, { host, NGL, element, notice, component: null, serial: -1, looks: {}, lag: 16, sharpness: 1 });
    this.stage = new NGL.Stage(element, { tooltip: false, quality: "medium", sampleLevel: -1, ...this.light() });
    if (!this.stage.viewer?.renderer) throw new Error(NO_WEBGL);
    this.canvas().addEventListener("webglcontextlost", () => views.has(this) && this.say(LOST));
    this.observer = new ResizeObserver(() => {
      this.stage.handleResize();
      this.sharpen(this.sharpness);
    });
    this.observer.observe(element);
  }

  canvas() {
    return this.element.querySelector("canvas");
  }

  theme() {
    return THEMES[this.host.get("dark") ? "dark" : "light"];
  }

  light() {
    return { backgroundColor: this.theme().background, fogNear: 55, fogFar: 100, clipDist: 0, ambientIntensity: 0.35, lightIntensity: 1.0 };
  }

  say(reason) {
    this.notice.textContent = reason;
    this.host.send({ type: "failed", reason });
  }

  /** Load the molecule into the same stage; the camera turns to it only now. */
  async load() {
    const scene = this.host.get("scene");
    if (!scene?.pdb || scene.serial === this.serial) return;
    this.serial = scene.serial;
    const blob = new Blob([scene.pdb], { type: "text/plain" });
    const component = await this.stage.loadFile(blob, { ext: "pdb", defaultRepresentation: false, asTrajectory: false, firstModelOnly: true });
    if (scene.serial !== this.serial) return this.stage.removeComponent(component); // overtaken by a newer molecule
    if (this.component) this.stage.removeComponent(this.component);
    this.component = component;
    this.draw();
    this.aim();
    this.host.send({ type: "ready", serial: this.serial });
  }

  /** Turn the camera to the focus: face on, and from where the least of the rest stands in front of it; a molecule alone lies level. */
  aim() {
    const { structure } = this.component;
    const { focus } = this.host.get("scene");
    const inside = focus.length > 0 && focus.length < structure.atomCount;
    const sele = inside ? new this.NGL.Selection(atoms(focus)) : undefined;
    const turn = new this.NGL.Quaternion();
    if (inside) turn.setFromUnitVectors(this.clearest(focus), new this.NGL.Vector3(0, 0, 1));
    else turn.set(0, 0, Math.SQRT1_2, Math.SQRT1_2).multiply(structure.getPrincipalAxes().getRotationQuaternion()); // the long axis lies level
    this.stage.animationControls.rotate(turn, 0);
    this.stage.animationControls.zoomMove(this.component.getCenter(sele?.string), (inside ? 1.6 : 1.15) * this.component.getZoom(sele?.string), 0);
  }

  /** The direction, of many on a sphere, along which the fewest atoms stand before the focus and in which it spreads least. */
  clearest(focus) {
    const { x, y, z } = this.component.structure.atomStore;
    const centre = [x, y, z].map((axis) => focus.reduce((sum, atom) => sum + axis[atom], 0) / focus.length);
    const from = (atom) => [x[atom] - centre[0], y[atom] - centre[1], z[atom] - centre[2]];
    const own = focus.map(from);
    const reach = Math.max(...own.map((v) => v[0] ** 2 + v[1] ** 2 + v[2] ** 2));
    const others = this.host.get("scene").protein.map(from);
    const along = (v, d) => v[0] * d[0] + v[1] * d[1] + v[2] * d[2];
    const cost = (d) => {
      const inFront = others.filter((v) => along(v, d) > 0 && along(v, v) - along(v, d) ** 2 < reach).length;
      return inFront / (others.length || 1) + own.reduce((sum, v) => sum + along(v, d) ** 2, 0) / (own.length * reach || 1);
    };
    const directions = Array.from({ length: 200 }, (_, k) => {
      const [height, angle] = [1 - (2 * k + 1) / 200, k * Math.PI * (3 - Math.sqrt(5))]; // a Fibonacci spiral covers the sphere evenly
      const radius = Math.sqrt(1 - height * height);
      return [radius * Math.cos(angle), radius * Math.sin(angle), height];
    });
    return new this.NGL.Vector3(...directions.reduce((best, d) => (cost(d) < cost(best) ? d : best)));
  }

  /** Say for every kind of atom how it looks. */
  draw() {
    if (!this.component) return;
    const [scene, theme] = [this.host.get("scene"), this.theme()];
    this.component.removeAllRepresentations();
    this.looks = {};
    const add = (name, kind, sele, looks) => sele !== "none" && (this.looks[name] = this.component.addRepresentation(kind, { sele, multipleBond: "off", ...looks }));
    add("cartoon", "cartoon", atoms(scene.protein), { ...plain(theme.cartoon), quality: "low", radiusScale: 0.6, aspectRatio: 4.5 });
    add("mobile", scene.mobile.length > 1500 ? "line" : "licorice", heavy(scene.mobile), { ...element(theme.carbon), radius: 0.13 });
    add("water", "line", atoms(scene.water), { ...plain(theme.water), visible: this.host.get("water") });
    add("ligand", "ball+stick", atoms(scene.ligand), { ...element(theme.ligand), radius: 0.17, aspectRatio: 1.8, multipleBond: "symmetric" });
    this.glow();
  }

  /** The ML region glows: an outline in the accent colour, made of the far side of a thicker molecule. */
  glow() {
    if (!this.component) return;
    if (this.looks.glow) this.component.removeRepresentation(this.looks.glow);
    delete this.looks.glow;
    const highlight = this.host.get("highlight");
    if (!highlight.length) return;
    this.looks.glow = this.component.addRepresentation("licorice", {
      sele: atoms(highlight), ...plain(this.host.get("accent")), radius: 0.34, multipleBond: "off", disableImpostor: true, side: "back", sphereDetail: 1, radialSegments: 12,
    });
  }

  restyle() {
    this.stage.setParameters(this.light());
    this.element.parentElement.style.setProperty("--ground", this.theme().background);
    this.draw();
  }

  /** On a machine without graphics hardware: fewer pixels while the atoms move, all of them when they rest. */
  pace(elapsed) {
    this.lag = 0.8 * this.lag + 0.2 * Math.min(elapsed, 400);
    if (this.lag > 30 && this.sharpness > 0.45) this.sharpen(this.sharpness * 0.8);
    clearTimeout(this.rest);
    if (this.sharpness < 1) this.rest = setTimeout(() => this.sharpen(1), 600);
  }

  sharpen(sharpness) {
    this.sharpness = sharpness;
    this.lag = 16;
    this.stage.viewer.renderer.setPixelRatio(sharpness * window.devicePixelRatio); // NGL itself knows no such setting
    this.stage.viewer.render(); // now, not with the next frame: the resize has wiped the canvas
  }

  /** Move the atoms, then acknowledge once the browser is ready to paint: a hidden or busy page asks for nothing. */
  move(message, positions) {
    if (message.serial === this.serial && positions.length === 3 * (this.component?.structure.atomCount ?? -1)) {
      this.component.structure.updatePosition(positions);
      for (const buffer of this.looks.glow?.repr.bufferList ?? []) buffer.updateNormals = true; // or NGL leaves the spheres of a mesh behind
      this.component.updateRepresentations({ position: true });
      this.stage.viewer.requestRender();
    }
    this.newest = message.frame;
    if (this.painting) return; // two frames in one picture count as one
    this.painting = true;
    requestAnimationFrame((start) => {
      this.painting = false;
      this.host.send({ type: "ack", frame: this.newest });
      requestAnimationFrame((end) => this.pace(end - start));
    });
  }

  listen() {
    const { host } = this;
    host.watch("scene", () => this.load());
    host.watch("highlight", () => this.glow());
    host.watch("water", () => this.looks.water?.setVisibility(host.get("water")));
    for (const name of ["dark", "accent"]) host.watch(name, () => this.restyle());
    host.onFrame((message, positions) => this.move(message, positions));
  }

  dispose() {
    if (!views.delete(this)) return;
    clearTimeout(this.rest);
    this.observer.disconnect();
    const context = this.stage.viewer.renderer.getContext();
    this.stage.dispose();
    context.getExtension("WEBGL_lose_context")?.loseContext();
    this.element.replaceChildren();
  }
}

function frameOf(el, host) {
  const [box, style, stage, notice] = ["div", "style", "div", "div"].map((tag) => document.createElement(tag));
  const theme = THEMES[host.get("dark") ? "dark" : "light"];
  Object.assign(box, { className: "studio-viewer" });
  Object.assign(style, { textContent: BASE });
  Object.assign(stage, { className: "stage" });
  Object.assign(notice, { className: "notice" });
  notice.setAttribute("role", "status");
  box.style.setProperty("--ground", theme.background);
  box.style.setProperty("--notice", host.get("dark") ? "#c9d4e0" : "#334155");
  box.append(style, stage, notice);
  el.replaceChildren(box);
  return { stage, notice };
}

async function render({ model, el }) {
  const host = connect(model);
  for (const old of views) if (!old.element.isConnected) old.dispose(); // the host drew anew without saying so
  const { stage, notice } = frameOf(el, host);
  let view;
  const remove = () => view?.dispose();
  try {
    library ??= readNGL(() => fetchText(host.get("ngl_url")));
    const NGL = await library;
    view = new View(host, NGL, stage, notice);
    views.add(view);
    globalThis.studioViewer = view; // for the browser's console
    host.onRemove(remove);
    view.listen();
    await view.load();
  } catch (error) {
    library = view ? library : undefined;
    const reason = error.message === NO_WEBGL ? NO_WEBGL : `${NO_NGL} (${error.message})`;
    notice.textContent = reason;
    host.send({ type: "failed", reason });
  }
  return remove; // anywidget calls it; Panel says "remove" above
}

export default { render };
