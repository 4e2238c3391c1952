// Charts of a report, part 3 of 4: numbers as a table - the chart of that kind, what stands behind every other one, and the file to take home.

/** The numbers of any chart: headings, and rows of words and numbers with the place that each is chosen by. */
function numbers(chart) {
  const targeted = (place, there) => ({ place, target: there });
  if (chart.type === "Table") return { columns: chart.columns, rows: chart.rows.map((cells, k) => ({ cells, ...targeted([k], Boolean(chart.targets[k])) })) };
  if (chart.type === "Bars") {
    const columns = ["", ...chart.groups.flatMap(({ name, errors }) => (errors.length ? [`${name}, ${chart.axis}`, "\u00b1"] : [`${name}, ${chart.axis}`]))];
    const row = (label, k) => [label, ...chart.groups.flatMap(({ values, errors }) => (errors.length ? [values[k], errors[k] ?? null] : [values[k]]))];
    return { columns, rows: chart.labels.map((label, k) => ({ cells: row(label, k), ...targeted([k], Boolean(chart.targets[k])) })) };
  }
  if (chart.type === "Curves") {
    const rows = chart.curves.flatMap((curve, k) => curve.x.map((x, i) => ({ cells: [curve.name, x, curve.y[i], curve.errors[i] ?? null], ...targeted([k, i], Boolean(curve.targets[i])) })));
    return { columns: ["", chart.x, chart.y, "\u00b1"], rows };
  }
  if (chart.type === "Heat" && chart.beside?.length) return cellsOf([chart, ...chart.beside]);
  if (chart.type === "Heat") return { columns: [`${chart.y} (${chart.unit})`, ...chart.columns], rows: chart.rows.map((row, j) => ({ cells: [row, ...chart.values[j]], ...targeted([j], Boolean(chart.targets[j])) })) };
  const points = chart.series.flatMap(([title, each], k) => each.map((point, i) => ({ cells: [point.name, title, point.x, point.x_error, point.y, point.y_error], ...targeted([k, i], point.targeted) })));
  return { columns: ["", "", chart.x, "\u00b1", chart.y, "\u00b1"], rows: points };
}

/** Maps side by side as one table, a row for each cell of each. */
function cellsOf(maps) {
  const [{ x, y }] = maps;
  const rows = maps.flatMap((map) => map.values.flatMap((row, j) => row.map((value, i) => ({ cells: [map.title, map.rows[j], map.columns[i], value, map.unit], place: [j], target: Boolean(map.targets[j]) }))));
  return { columns: ["map", y, x, "value", "unit"], rows };
}

/** The numbers as comma-separated text, whole and unrounded. */
function toCsv(chart) {
  const quoted = (cell) => (typeof cell === "number" ? String(cell) : `"${String(cell ?? "").replaceAll('"', '""')}"`).replace(/^""$/, "");
  const { columns, rows } = numbers(chart);
  return [columns, ...rows.map(({ cells }) => cells)].map((row) => row.map(quoted).join(",")).join("\n") + "\n";
}

/** Digits after the point that suit a column. */
function digitsOf(values) {
  const most = Math.max(0, ...values.map(Math.abs));
  if (values.every(Number.isInteger)) return 0;
  return most >= 1000 ? 0 : most >= 100 ? 1 : most >= 0.1 ? 2 : null;
}

const order = (one, other) => {
  const [a, b] = [one, other].map((each) => each === null || each === "");
  if (a || b) return a - b; // what has no number comes last, whichever way it is sorted
  return typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(String(other), undefined, { numeric: true });
};

/** A table whose headings sort it and whose rows can be chosen. */
class Numbers {
  constructor(chart, choose) {
    const { columns, rows } = numbers(chart);
    Object.assign(this, { chart, rows, choose, by: null, down: false });
    this.digits = columns.map((_, k) => digitsOf(rows.map(({ cells }) => cells[k]).filter((cell) => typeof cell === "number")));
    this.heads = columns.map((title, k) => {
      const sort = button(title || "name", () => this.sort(k), { title: "Sort by this column; again, the other way round." });
      return make("th", { scope: "col", className: rows.some(({ cells }) => typeof cells[k] === "number") ? "number" : "" }, sort);
    });
    this.lines = rows.map((row) => this.line(row));
    this.body = make("tbody", {}, ...this.lines);
    this.body.addEventListener("keydown", (event) => this.step(event));
    this.root = make("div", { className: "numbers-of", tabIndex: -1 }, make("table", { aria: { "aria-label": chart.title } }, make("thead", {}, make("tr", {}, ...this.heads)), this.body));
  }

  /** The same table with newer numbers: order, place and focus stay. */
  renew(chart) {
    const next = new Numbers(chart, this.choose);
    if (this.by !== null) for (let turns = this.down ? 2 : 1; turns > 0; turns--) next.sort(this.by);
    const [top, left, active] = [this.root.scrollTop, this.root.scrollLeft, this.root.getRootNode().activeElement];
    const [head, focus] = [this.heads.findIndex((each) => each.contains(active)), active?.closest?.("tr")?.dataset.place];
    this.root.replaceWith(next.root);
    next.root.scrollTo(left, top);
    if (head >= 0) next.heads[head].firstChild.focus({ preventScroll: true });
    else if (focus !== undefined) next.body.querySelector(`[data-place="${focus}"]`)?.focus({ preventScroll: true });
    return next;
  }

  line({ cells, place, target }) {
    const line = make("tr", { data: { place: place.join() } }, ...cells.map((cell, k) => this.cell(cell, this.digits[k])));
    if (!target) return line;
    Object.assign(line, { tabIndex: 0, className: "target", title: "Show this in the molecule." });
    line.addEventListener("click", () => this.choose(place));
    return line;
  }

  cell(cell, digits) {
    if (typeof cell === "number" || cell === null) return make("td", { className: "number", textContent: figures(cell, digits), title: cell === null ? "No number" : "" });
    return make("td", { textContent: cell, className: String(cell).length > 30 ? "wordy" : "" });
  }

  sort(k) {
    [this.down, this.by] = [this.by === k && !this.down, k];
    const sorted = this.rows.map((row, place) => ({ row, line: this.lines[place] })).sort((a, b) => {
      const way = order(a.row.cells[k], b.row.cells[k]);
      return this.down && ![a, b].some(({ row }) => row.cells[k] === null || row.cells[k] === "") ? -way : way;
    });
    this.body.append(...sorted.map(({ line }) => line));
    this.heads.forEach((head, place) => (place === k ? head.setAttribute("aria-sort", this.down ? "descending" : "ascending") : head.removeAttribute("aria-sort")));
  }

  step(event) {
    const line = event.target.closest("tr");
    const way = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    if (way) line[way]?.focus();
    else if ((event.key === "Enter" || event.key === " ") && line.classList.contains("target")) line.click();
    else return;
    event.preventDefault();
  }

  mark(place) {
    for (const line of this.lines) line.classList.toggle("chosen", line.dataset.place === place);
  }
}
