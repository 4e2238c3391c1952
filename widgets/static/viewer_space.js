// The live 3D view, part 3 of 6: from atoms to pixels and back - one camera, and a part of the canvas for each molecule.
//
// In a grid every molecule stands with its middle at the origin, and the same camera looks at each through a window of its own: so all
// turn alike, each about its own middle, and none leaves its part however close the camera comes.

const SLACK = 9; // pixels beside an atom that still mean it

class Space {
  constructor(view) {
    Object.assign(this, { view, viewer: view.stage.viewer });
    const draw = this.viewer.__renderModelGroup.bind(this.viewer);
    this.viewer.__renderModelGroup = (camera, target) => (this.parts > 1 ? this.drawParts(draw, camera, target) : draw(camera, target));
  }

  /** How many parts the canvas has; laid over each other, molecules share one. */
  get parts() {
    return this.view.overlaid ? 1 : this.view.cells.length;
  }

  /** The part of the canvas that molecule `k` has: left, top, width, height in CSS pixels. */
  part(k) {
    const { width, height } = this.viewer, count = this.parts;
    if (count <= 1) return { left: 0, top: 0, width, height };
    const columns = count === 2 && height > width ? 1 : 2;
    const [w, h] = [width / columns, height / Math.ceil(count / columns)];
    return { left: (k % columns) * w, top: Math.floor(k / columns) * h, width: w, height: h };
  }

  /** After every change of size, molecules or overlay: the camera takes the shape of a part, molecules move to their places. */
  arrange() {
    const { width, height } = this.part(0);
    this.viewer.perspectiveCamera.aspect = width / height;
    const { cells } = this.view;
    if (cells.length > 1) for (const cell of cells) cell.component.setPosition((this.view.overlaid ? cells[0] : cell).anchor.clone().negate());
    this.viewer.requestRender();
  }

  drawParts(draw, camera, target) {
    const { renderer, modelGroup, height } = this.viewer, all = modelGroup.children;
    renderer.setScissorTest(false);
    renderer.clear();
    renderer.setScissorTest(true);
    const owner = this.owners();
    for (const { index } of this.view.cells) {
      const part = this.part(index);
      const corner = [part.left, height - part.top - part.height, part.width, part.height];
      renderer.setViewport(...corner);
      renderer.setScissor(...corner);
      modelGroup.children = all.filter((group) => owner.get(group) === index);
      draw(camera, target);
    }
    modelGroup.children = all;
    renderer.setScissorTest(false);
    renderer.setViewport(0, 0, this.viewer.width, height);
  }

  /** Which molecule each drawn group belongs to. */
  owners() {
    const owner = new Map();
    for (const { component, index } of this.view.cells) {
      for (const { repr } of component.reprList) for (const buffer of repr.bufferList) owner.set(buffer.group, index);
    }
    return owner;
  }

  offset(k) {
    return this.view.cells[k].component.position;
  }

  /** A point of molecule `k` (angstrom) on the screen: x, y in CSS pixels from the view's corner, depth, and whether it can be seen. */
  project(point, k = 0) {
    const { viewer } = this, part = this.part(k), v = point.clone();
    viewer.camera.updateMatrixWorld();
    v.add(this.offset(k)).add(viewer.translationGroup.position).applyQuaternion(viewer.rotationGroup.quaternion).project(viewer.camera);
    const [x, y] = [((v.x + 1) / 2) * part.width, ((1 - v.y) / 2) * part.height];
    const inside = v.z < 1 && v.z > -1 && x >= 0 && y >= 0 && x <= part.width && y <= part.height;
    return { x: part.left + x, y: part.top + y, depth: v.z, inside };
  }

  /** Where atom `atom` of molecule `k` is on the screen. */
  place(atom, k = 0) {
    return this.project(this.view.cells[k].position(atom), k);
  }

  /** The point of molecule `k` (angstrom) under a pixel, at a depth that `project` gave. */
  unproject(x, y, depth, k = 0) {
    const { viewer, view } = this, part = this.part(k);
    const v = new view.NGL.Vector3((2 * (x - part.left)) / part.width - 1, 1 - (2 * (y - part.top)) / part.height, depth);
    viewer.camera.updateMatrixWorld();
    v.unproject(viewer.camera).applyQuaternion(viewer.rotationGroup.quaternion.clone().inverse());
    return v.sub(viewer.translationGroup.position).sub(this.offset(k));
  }

  /** The molecule whose part holds a pixel. */
  partAt(x, y) {
    const found = this.view.cells.findIndex((_, k) => {
      const part = this.part(k);
      return x >= part.left && x < part.left + part.width && y >= part.top && y < part.top + part.height;
    });
    return Math.max(found, 0);
  }

  /** The atom under a pixel, {atom, cell}: the first that the line of sight meets, or else the nearest one drawn; none far away. */
  atomAt(x, y) {
    const candidates = this.view.overlaid ? this.view.cells.map(({ index }) => index) : [this.partAt(x, y)];
    const found = candidates.flatMap((k) => this.hits(x, y, k));
    const best = (key) => found.reduce((least, hit) => (hit[key] < (least?.[key] ?? Infinity) ? hit : least), null);
    return best("front") ?? best("aside");
  }

  /** Atoms of molecule `k` near a pixel: `front` is the depth of the first point met, `aside` the distance in pixels of a miss. */
  hits(x, y, k) {
    const { viewer, view } = this, { Matrix4 } = view.NGL, part = this.part(k), { camera } = viewer;
    const cell = view.cells[k], shift = this.offset(k).clone().add(viewer.translationGroup.position);
    camera.updateMatrixWorld();
    const toEye = new Matrix4().makeRotationFromQuaternion(viewer.rotationGroup.quaternion).multiply(new Matrix4().makeTranslation(shift.x, shift.y, shift.z));
    const m = toEye.premultiply(camera.matrixWorldInverse).elements;
    const zoom = (camera.projectionMatrix.elements[5] * part.height) / 2; // pixels per angstrom at a distance of one angstrom
    const [right, down] = [x - part.left - part.width / 2, y - part.top - part.height / 2];
    const { x: xs, y: ys, z: zs } = cell.component.structure.atomStore, found = [];
    for (let atom = 0; atom < cell.size; atom++) {
      if (!cell.reach[atom]) continue;
      const [ax, ay, az] = [xs[atom], ys[atom], zs[atom]];
      const away = -(m[2] * ax + m[6] * ay + m[10] * az + m[14]);
      if (away < camera.near) continue;
      const scale = zoom / away, reach = cell.reach[atom] * scale;
      const aside = Math.hypot((m[0] * ax + m[4] * ay + m[8] * az + m[12]) * scale - right, (m[1] * ax + m[5] * ay + m[9] * az + m[13]) * -scale - down);
      if (aside <= reach) found.push({ atom, cell: k, front: away - Math.sqrt(reach * reach - aside * aside) / scale });
      else if (aside <= reach + SLACK) found.push({ atom, cell: k, aside });
    }
    return found;
  }
}
