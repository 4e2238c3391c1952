// The live 3D view, part 2 of 6: one molecule on the stage - what each kind of atom looks like, and how far a pointer reaches for it.

const THEMES = {
  light: { background: "#f6f8fa", cartoon: "#c3cedb", carbon: "#8796a8", water: "#9cc3e6", ligand: "#4b5563", ink: "#334155", picked: "#7c3aed", warned: "#d55e00" },
  dark: { background: "#10151c", cartoon: "#46566a", carbon: "#8a9bb0", water: "#3f6d96", ligand: "#93a4b8", ink: "#c9d4e0", picked: "#fde047", warned: "#f97316" },
};
// colours of the plots, told apart by every kind of colour vision
const OVERLAY_COLOURS = { dark: ["#e69f00", "#1fb487", "#56b4e9", "#d98bb5"], light: ["#a86400", "#007a58", "#1f78b4", "#a8457d"] };
const HIDDEN = { all: "", polar: "", none: " and not hydrogen" };
const HIDDEN_IN_PROTEIN = { all: "", polar: " and (not hydrogen or polarh)", none: " and not hydrogen" };
const FOCUS = { "ball+stick": { radius: 0.17, aspectRatio: 1.8, multipleBond: "symmetric" }, licorice: { radius: 0.2 }, spacefill: {} };
const STOUT = { radius: 0.24, aspectRatio: 1.35 }; // bonds that are to be seen for their colours
const BEADS = { radius: 0.3, aspectRatio: 4 }; // one ball for each residue, angstrom
const BEAD_REACH = 1.3; // angstrom around a bead that count as its own
const CHARGES = { ARG: "positive", LYS: "positive", HIP: "positive", ASP: "negative", GLU: "negative" };
const CHARGED = { light: { positive: "#2b6cb0", negative: "#d55e00" }, dark: { positive: "#56a0e9", negative: "#e8702a" } };
const REACH = { "ball+stick": 0.45, licorice: 0.4, spacefill: 1.5, line: 0.4, cartoon: 0.9 }; // angstrom around an atom that count as its own

/** Atom indices as an NGL selection; ranges of none select none. */
const atoms = (indices, but = "") => (indices?.length ? `@${indices.join(",")}${but && ` and (${but.replace(/^ and /, "")})`}` : "none");
const element = (carbon) => ({ colorScheme: "element", colorValue: carbon });
/** Colours by place, {"7": "#e69f00", "3-4": ...}, over a way to colour the rest; NGL asks for atoms and for halves of bonds. */
function painted(NGL, paint, rest) {
  const known = (name) => (name in paint ? parseInt(paint[name].slice(1), 16) : null);
  const scheme = NGL.ColormakerRegistry.addScheme(function (parameters) {
    const plainly = NGL.ColormakerRegistry.getScheme({ ...parameters, scheme: rest.colorScheme, value: new NGL.Color(rest.colorValue).getHex() });
    this.atomColor = (atom) => known(String(atom.index)) ?? plainly.atomColor(atom);
    this.bondColor = (bond, fromTo) => {
      const [one, other] = [bond.atomIndex1, bond.atomIndex2];
      const end = bond.structure.getAtomProxy(fromTo ? one : other);
      return known(`${Math.min(one, other)}-${Math.max(one, other)}`) ?? this.atomColor(end);
    };
  });
  return { colorScheme: scheme };
}

/** Beads by the charge of their residues, which is what acts far off; the others in one colour. */
function charged(NGL, colours, rest) {
  const number = (colour) => new NGL.Color(colour).getHex();
  const scheme = NGL.ColormakerRegistry.addScheme(function () {
    this.atomColor = (atom) => number(colours[CHARGES[atom.resname]] ?? rest);
  });
  return { colorScheme: scheme };
}

const plain = (colour) => ({ colorScheme: "uniform", colorValue: colour });

class Cell {
  constructor(view, scene, index) {
    Object.assign(this, { view, scene, index, component: null, looks: {}, reach: null, schemes: [] });
  }

  async load() {
    const blob = new Blob([this.scene.pdb], { type: "text/plain" });
    this.component = await this.view.stage.loadFile(blob, { ext: "pdb", defaultRepresentation: false, asTrajectory: false, firstModelOnly: true });
    return this;
  }

  get size() {
    return this.component.structure.atomCount;
  }

  /** Where an atom is now, in the molecule's own coordinates, angstrom. */
  position(atom) {
    const { x, y, z } = this.component.structure.atomStore;
    return new this.view.NGL.Vector3(x[atom], y[atom], z[atom]);
  }

  /** The middle of what is looked at. */
  middle(indices = this.scene.focus) {
    const sum = indices.reduce((total, atom) => total.add(this.position(atom)), new this.view.NGL.Vector3());
    return indices.length ? sum.divideScalar(indices.length) : this.component.structure.atomCenter();
  }

  /** An atom in words, as `Structure.label` says it. */
  label(atom) {
    const proxy = this.component.structure.getAtomProxy(atom);
    if (this.scene.beads) return `bead of ${proxy.resname} ${proxy.chainname}${proxy.resno}${proxy.inscode ?? ""} (${atom + 1})`;
    return `${proxy.element} ${proxy.atomname} of ${proxy.resname} ${proxy.chainname}${proxy.resno}${proxy.inscode ?? ""} (atom ${atom + 1})`;
  }

  /** A way to colour atoms, under the colours that a report gives to some of them. */
  coloured(rest) {
    if (!this.paint) return rest;
    const look = painted(this.view.NGL, this.paint, rest);
    this.schemes.push(look.colorScheme);
    return look;
  }

  /** Beads as their charges, atoms as their elements; in one place with others, each molecule in a colour of its own. */
  plainly(carbon, own) {
    if (!this.scene.beads || own) return element(own ?? carbon);
    const look = charged(this.view.NGL, CHARGED[this.view.host.get("dark") ? "dark" : "light"], carbon);
    this.schemes.push(look.colorScheme);
    return look;
  }

  /** The colours that a report gives to places of this molecule; none without. */
  get paint() {
    const paint = this.index === 0 ? this.view.host.get("paint") : {};
    return Object.keys(paint).length ? paint : null;
  }

  /** Say for every kind of atom how it looks. */
  draw() {
    const { scene, view } = this, { host, theme } = view;
    const own = view.overlaid && !this.paint ? view.overlayColour(this.index) : null; // two meanings of colour at once cannot be read
    const [look, hydrogens] = [host.get("look"), host.get("hydrogens")];
    const alone = !scene.ligand.length && look !== "auto"; // without a ligand, the focus itself takes the look
    this.component.removeAllRepresentations();
    for (const scheme of this.schemes.splice(0)) view.NGL.ColormakerRegistry.removeScheme(scheme);
    Object.assign(this, { looks: {}, reach: new Float32Array(this.size) });
    if (host.get("cartoon") && !scene.beads) {
      this.add("cartoon", "cartoon", atoms(scene.protein), { ...this.coloured(plain(own ?? theme.cartoon)), quality: "low", radiusScale: 0.6, aspectRatio: 4.5 }, atoms(scene.protein, ".CA"));
    }
    if (!alone) {
      const kind = scene.beads ? "ball+stick" : scene.mobile.length > 1500 ? "line" : "licorice";
      this.add("mobile", kind, atoms(scene.mobile, HIDDEN_IN_PROTEIN[hydrogens]), { ...this.coloured(this.plainly(theme.carbon, own)), radius: 0.13, ...(scene.beads ? BEADS : {}) });
      if (scene.beads) this.reach.fill(BEAD_REACH);
    }
    if (host.get("water")) this.add("water", "line", atoms(scene.water, HIDDEN[hydrogens]), plain(theme.water));
    const shown = alone ? scene.focus : scene.ligand;
    const kind = look === "auto" ? "ball+stick" : look;
    this.add("ligand", kind, atoms(shown, HIDDEN[hydrogens]), { ...this.coloured(this.plainly(theme.ligand, own)), ...FOCUS[kind], ...(this.paint && kind === "ball+stick" ? STOUT : {}) });
    this.drawSurface();
    this.outline();
  }

  add(name, kind, sele, looks, touched = sele) {
    if (sele === "none") return;
    this.looks[name] = this.component.addRepresentation(kind, { sele, multipleBond: "off", ...looks });
    const set = this.component.structure.getAtomSet(new this.view.NGL.Selection(touched));
    set.forEach((atom) => (this.reach[atom] = REACH[kind]));
  }

  /** The protein's surface, thin enough to see what lies behind. It is made anew only when the atoms rest, as it is slow. */
  drawSurface() {
    this.remove("surface");
    if (!this.view.host.get("surface") || !this.scene.protein.length) return;
    const looks = { surfaceType: "av", probeRadius: 1.4, scaleFactor: 1.2, opacity: 0.3, side: "front", useWorker: false, ...plain(this.view.theme.cartoon) };
    this.looks.surface = this.component.addRepresentation("surface", { sele: atoms(this.scene.protein), ...looks });
  }

  remove(name) {
    if (this.looks[name]) this.component.removeRepresentation(this.looks[name]);
    delete this.looks[name];
  }

  /** The ML region glows and doubtful atoms are outlined: the far side of a thicker molecule, in one colour. */
  outline() {
    const { host, theme } = this.view, marked = host.get("marked_cell") === this.index, full = host.get("look") === "spacefill";
    const glow = this.index === 0 ? host.get("highlight") : this.scene.highlight;
    const outlines = { glow: [glow, host.get("accent"), this.paint ? 0.46 : 0.34], warned: [marked ? host.get("warned") : [], theme.warned, 0.42] };
    for (const [name, [indices, colour, radius]] of Object.entries(outlines)) {
      this.remove(name);
      const shape = full ? { radiusScale: 0.8 + radius } : { radius, multipleBond: "off", radialSegments: 12 };
      const looks = { ...plain(colour), ...shape, disableImpostor: true, side: "back", sphereDetail: 1 };
      const sele = atoms(indices, HIDDEN[host.get("hydrogens")]);
      if (sele !== "none") this.looks[name] = this.component.addRepresentation(full ? "spacefill" : "licorice", { sele, ...looks });
    }
  }

  move(positions) {
    this.component.structure.updatePosition(positions);
    for (const name of ["glow", "warned"]) {
      for (const buffer of this.looks[name]?.repr.bufferList ?? []) buffer.updateNormals = true; // or NGL leaves the spheres of a mesh behind
    }
    for (const [name, look] of Object.entries(this.looks)) if (name !== "surface") look.update({ position: true });
    this.view.stage.viewer.requestRender();
  }

  /** The direction, of many on a sphere, along which the fewest atoms stand before the focus and in which it spreads least. */
  clearest() {
    const { focus, protein } = this.scene;
    const centre = this.middle().toArray();
    const { x, y, z } = this.component.structure.atomStore;
    const from = (atom) => [x[atom] - centre[0], y[atom] - centre[1], z[atom] - centre[2]];
    const own = focus.map(from);
    const reach = Math.max(...own.map((v) => v[0] ** 2 + v[1] ** 2 + v[2] ** 2));
    const others = protein.map(from);
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
    return new this.view.NGL.Vector3(...directions.reduce((best, d) => (cost(d) < cost(best) ? d : best)));
  }
}
