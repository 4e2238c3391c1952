// What tests/access.py asks a page, inside whatever shadow roots: an object of functions, evaluated as one expression.
(() => {
  const up = (node) => node.assignedSlot ?? node.parentElement ?? node.getRootNode().host;
  const classes = (node) => [...(node.classList ?? [])];

  function* each(root) {
    for (const node of root.querySelectorAll("*")) {
      yield node;
      if (node.shadowRoot) yield* each(node.shadowRoot);
    }
  }

  /** The area or the dialog that holds a node. */
  const area = (node) => (node ? (node.tagName === "DIALOG" ? "dialog" : (classes(node).find((name) => name.startsWith("area-")) ?? area(up(node)))) : "");

  /** Who a node of the accessibility tree is: an element, not its text. */
  const elementOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node : node.parentElement);

  /** The line of help of a control: its own, that of its group, or Panel's tooltip beside its label. */
  function help(start) {
    for (let node = elementOf(start), depth = 0; node && depth < 8; node = up(node), depth++) {
      const said = ["aria-description", "title"].map((name) => node.getAttribute(name)?.trim()).find(Boolean);
      if (said) return said;
      if (node.matches(".bk-input-group") && node.querySelector(".bk-description")) return "a tooltip";
      if (node.matches("[role=radiogroup], [role=group], fieldset") && node.getAttribute("aria-describedby")) return "a description of the group";
      if (node.matches("[class*='area-'], dialog, body")) return "";
    }
    return "";
  }

  function where(start) {
    const names = [], element = elementOf(start);
    for (let node = element; node; node = up(node)) names.unshift(...classes(node).filter((name) => /^area-|section|stack/.test(name)));
    return `${names.join(" > ")} <${element.tagName.toLowerCase()} class="${classes(element).join(" ")}">`;
  }

  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const pen = canvas.getContext("2d", { willReadFrequently: true });

  /** Colours one over the other, as the browser lays them. */
  function paint(colours) {
    pen.clearRect(0, 0, 1, 1);
    for (const colour of colours) {
      pen.fillStyle = colour;
      pen.fillRect(0, 0, 1, 1);
    }
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  }

  const linear = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);

  function ratio(one, other) {
    const [a, b] = [luminance(one), luminance(other)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }

  const behind = (node) => (node instanceof Element ? [...behind(up(node)), getComputedStyle(node).backgroundColor] : ["#fff"]);
  const opacity = (node) => (node instanceof Element ? getComputedStyle(node).opacity * opacity(up(node)) : 1);
  const off = (node) => node instanceof Element && (node.disabled || node.getAttribute("aria-disabled") === "true" || off(up(node)));
  const words = (node) => [...node.childNodes].filter(({ nodeType }) => nodeType === Node.TEXT_NODE).map(({ data }) => data).join("").trim();
  const FIELDS = "input:not([type=checkbox], [type=radio], [type=file], [type=range]), select, textarea";
  const UNREAD = "svg, option, script, style, noscript, title";

  function* faint(node, text, edge) {
    const style = getComputedStyle(node), grounds = behind(node), ground = paint(grounds), said = words(node);
    const name = `${area(node)} ${[node.tagName.toLowerCase(), ...classes(node)].join(".")}`;
    if (said && style.clipPath === "none") {
      const ink = `color-mix(in srgb, ${style.color} ${100 * opacity(node)}%, transparent)`, seen = ratio(paint([...grounds, ink]), ground);
      if (seen < text) yield [seen.toFixed(2), name, said.slice(0, 40)];
    }
    if (node.matches(FIELDS)) {
      const outside = paint(behind(up(node))), drawn = parseFloat(style.borderTopWidth) ? ratio(paint([...grounds, style.borderTopColor]), outside) : 0;
      if (Math.max(drawn, ratio(ground, outside)) < edge) yield [drawn.toFixed(2), name, "its edge"];
    }
  }

  function contrast({ text, edge }) {
    const seen = (node) => node.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && node.getClientRects().length;
    return [...each(document)].filter((node) => seen(node) && !off(node) && !node.closest(UNREAD)).flatMap((node) => [...faint(node, text, edge)]);
  }

  /** What has the focus. */
  function focus() {
    let node = document.activeElement;
    while (node?.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
    const { width, height } = node.getBoundingClientRect(), { boxShadow, outlineStyle } = getComputedStyle(node);
    const name = [node.ariaLabel, node.labels?.[0]?.innerText, node.innerText, node.title].find(Boolean) ?? "";
    return { tag: node.tagName.toLowerCase(), role: node.getAttribute("role"), name: name.trim(), value: node.value ?? "", area: area(node), shown: width * height > 0, ring: boxShadow !== "none" || outlineStyle !== "none" };
  }

  /** What is cut or scrolls though it must not: the page itself, and what stands out of the window. */
  function cut() {
    const { scrollWidth, scrollHeight } = document.documentElement, found = [];
    if (scrollWidth > innerWidth || scrollHeight > innerHeight) found.push(`the page scrolls: ${scrollWidth} x ${scrollHeight} in ${innerWidth} x ${innerHeight}`);
    for (const node of each(document)) {
      const box = node.getBoundingClientRect(), own = classes(node).find((name) => name.startsWith("area-"));
      if (own && (box.left < -1 || box.top < -1 || box.right > innerWidth + 1 || box.bottom > innerHeight + 1) && getComputedStyle(up(node)).overflowY === "visible")
        found.push(`${own} stands out: ${[box.left, box.top, box.right, box.bottom].map(Math.round)}`);
    }
    return found;
  }

  return { help, where, contrast, focus, cut };
})()
