// The live 3D view, part 4 of 6: marks over the picture - rings, measures, cut bonds, numbers, the spring, the parts' names.
//
// An SVG over the canvas. Marks are made when what is marked changes, and follow their atoms after every picture.

const SVG = "http://www.w3.org/2000/svg";
const FONT = "12px system-ui, sans-serif";
const MOST_NUMBERS = 300; // atoms with a number of their own: more cannot be read

const middleOf = (points) => ({
  x: points.reduce((sum, { x }) => sum + x, 0) / points.length,
  y: points.reduce((sum, { y }) => sum + y, 0) / points.length,
});

const beside = ({ x, y, inside }) => ({ x: x + 11, y: y - 11, inside });

class Marks {
  constructor(view, svg) {
    Object.assign(this, { view, svg, follows: [], pull: null, hovered: null });
    view.stage.viewer.signals.rendered.add(() => this.follow());
  }

  node(tag, attributes) {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return this.svg.appendChild(node);
  }

  line(colour, width, dash = "") {
    const ground = this.node("polyline", { fill: "none", stroke: this.view.theme.background, "stroke-width": width + 2.5, opacity: 0.7 });
    const line = this.node("polyline", { fill: "none", stroke: colour, "stroke-width": width, "stroke-dasharray": dash, "stroke-linecap": "round" });
    return (points) => {
      const text = points.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
      for (const node of [ground, line]) node.setAttribute("points", text);
    };
  }

  text(words, colour, anchor = "middle") {
    const { background } = this.view.theme;
    const style = `font: ${FONT}; font-variant-numeric: tabular-nums; paint-order: stroke; stroke-linejoin: round`;
    const node = this.node("text", { fill: colour, stroke: background, "stroke-width": 4, "text-anchor": anchor, "dominant-baseline": "middle", style });
    node.textContent = words;
    return ({ x, y, inside = true }) => {
      node.setAttribute("visibility", inside ? "visible" : "hidden");
      node.setAttribute("x", x.toFixed(1));
      node.setAttribute("y", y.toFixed(1));
    };
  }

  ring(colour, radius) {
    const circles = [this.view.theme.background, colour].map((stroke, k) => this.node("circle", { fill: "none", stroke, r: radius, "stroke-width": 5 - 2.5 * k }));
    return ({ x, y, inside }) => {
      for (const circle of circles) {
        circle.setAttribute("visibility", inside ? "visible" : "hidden");
        circle.setAttribute("cx", x.toFixed(1));
        circle.setAttribute("cy", y.toFixed(1));
      }
    };
  }

  /** Make all marks anew, as the properties say. */
  renew() {
    const { view } = this, { host, theme } = view;
    this.svg.replaceChildren();
    this.follows = [];
    if (!view.cells.length) return;
    const k = Math.min(host.get("marked_cell"), view.cells.length - 1), { size, scene } = view.cells[k];
    const known = (indices) => indices.every((atom) => atom < size);
    const add = (mark, where) => this.follows.push(() => mark(where()));
    const at = (atom) => () => view.space.place(atom, k);
    const picked = host.get("picked").filter((atom) => atom < size);
    for (const pair of host.get("cuts").filter(known)) this.cut(pair, k);
    for (const measure of host.get("measures").filter((each) => known(each.atoms))) this.measure(measure, k);
    for (const atom of picked) add(this.ring(theme.picked, 10), at(atom));
    for (const atom of this.numbered(k, picked, scene)) add(this.text(String(atom + 1), theme.ink, "start"), () => beside(at(atom)()));
    if (this.hovered) add(this.ring(theme.ink, 8), () => view.space.place(this.hovered.atom, this.hovered.cell));
    if (this.pull) this.spring();
    this.names();
    this.follow();
  }

  numbered(k, picked, scene) {
    const choice = this.view.host.get("labels");
    if (choice === "picked") return picked;
    if (choice !== "ligand") return [];
        const { structure } = this.view.cells[k].component, shown = scene.ligand.length ? scene.ligand : scene.focus;
    return shown.filter((atom) => structure.getAtomProxy(atom).number !== 1).slice(0, MOST_NUMBERS);
  }

  measure({ atoms: chain, text }, k) {
    const { theme, space } = this.view;
    const [draw, write] = [this.line(theme.picked, 1.6, "5 4"), this.text(text, theme.ink)];
    this.follows.push(() => {
      const points = chain.map((atom) => space.place(atom, k));
      const { x, y } = middleOf(chain.length === 3 ? [points[1]] : points.slice(points.length === 4 ? 1 : 0, points.length === 4 ? 3 : 2));
      draw(points);
      write({ x, y: y - 12 });
    });
  }

  /** A bond that the region's edge cuts: dashed along the bond, and a bar across. */
  cut(pair, k) {
    const { theme, space } = this.view;
    const [along, across] = [this.line(theme.warned, 4, "5 6"), this.line(theme.warned, 4)];
    this.follows.push(() => {
      const [a, b] = pair.map((atom) => space.place(atom, k)), { x, y } = middleOf([a, b]);
      const length = Math.hypot(b.x - a.x, b.y - a.y) || 1, [dx, dy] = [(10 * (b.x - a.x)) / length, (10 * (b.y - a.y)) / length];
      along([a, b]);
      across([{ x: x - dy, y: y + dx }, { x: x + dy, y: y - dx }]);
    });
  }

  /** The spring from the pulled atom to the pointer, and what it says. */
  spring() {
    const { host, theme, space } = this.view, { atom, cell } = this.pull;
    const left = this.pull.pointer.x > this.svg.clientWidth - 330; // no room for the words on the right
    const [draw, write, grip] = [this.line(theme.picked, 2.2), this.text(host.get("spring_label"), theme.ink, left ? "end" : "start"), this.ring(theme.picked, 5)];
    this.follows.push(() => {
      const [a, b] = [space.place(atom, cell), { ...this.pull.pointer, inside: true }];
      const length = Math.hypot(b.x - a.x, b.y - a.y), side = length > 30 ? 6 / length : 0;
      draw(Array.from({ length: 15 }, (_, i) => {
        const [t, swing] = [i / 14, i > 2 && i < 12 ? (i % 2 ? side : -side) : 0];
        return { x: a.x + t * (b.x - a.x) - swing * (b.y - a.y), y: a.y + t * (b.y - a.y) + swing * (b.x - a.x) };
      }));
      grip(b);
      write({ x: b.x + (left ? -14 : 14), y: b.y });
    });
  }

  /** What each part shows, and the lines between the parts. */
  names() {
    const { view } = this, { cells, space, theme } = view;
    if (cells.length < 2) return;
    for (const { scene, index } of cells) {
      const { left, top, width, height } = space.part(index);
      const colour = view.overlaid ? view.overlayColour(index) : theme.ink;
      this.text(scene.label, colour, "start")({ x: left + 12, y: top + height - 16 - (view.overlaid ? 18 * index : 0) }); // tools lie over the upper edge
      if (!view.overlaid) this.node("rect", { x: left, y: top, width, height, fill: "none", stroke: theme.cartoon, "stroke-width": 0.5 });
    }
  }

  hover(hit) {
    if (hit?.atom === this.hovered?.atom && hit?.cell === this.hovered?.cell) return;
    this.hovered = hit;
    this.renew();
  }

  follow() {
    for (const follow of this.follows) follow();
  }

  /** The marks as a picture of `width` by `height` pixels, for a snapshot. */
  async picture(width, height) {
    const copy = this.svg.cloneNode(true), { clientWidth, clientHeight } = this.svg;
    copy.setAttribute("xmlns", SVG);
    copy.setAttribute("viewBox", `0 0 ${clientWidth} ${clientHeight}`);
    copy.setAttribute("width", width);
    copy.setAttribute("height", height);
    const image = new Image();
    image.src = `data:image/svg+xml,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
    await image.decode();
    return image;
  }
}
