// The sketcher: Ketcher over the page, in a frame of its own, so that neither its styles nor its memory stay when it is closed.
//
// Nothing is fetched: the code comes from Python in packed pieces over the component's own channel, once per page, when somebody asks
// for it first. So it is the same in the app and in a notebook, with the network off. Messages:
//   out   {type: "need", name, piece} | {type: "taken", smiles} | {type: "failed", reason} | {type: "ready", ms}
//   in    {name, piece, total, data: ArrayBuffer} | {name, reason} | {type: "open", smiles}

const KINDS = { "widget.js": "text/javascript", "widget.css": "text/css" };
const PENCIL =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="16" height="16" fill="currentColor" aria-hidden="true"><path d="m4 16.6 10.8-10.8 3.4 3.4L7.4 20H4zM16 4.6l1.6-1.6L21 6.4 19.4 8z"/></svg>';

let library; // the promise of the addresses of Ketcher's two files: unpacked once per page

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** One file, asked for piece by piece: the next piece is asked for when the last has arrived. */
function file(model, heard, name, tell) {
  return new Promise((resolve, reject) => {
    const pieces = [];
    heard.set(name, (message) => {
      if (message.reason) return reject(new Error(message.reason));
      pieces[message.piece] = message.data;
      tell((message.piece + 1) / message.total);
      if (message.piece + 1 < message.total) return model.send_msg({ type: "need", name, piece: message.piece + 1 });
      const unpacked = new Blob(pieces).stream().pipeThrough(new DecompressionStream("gzip"));
      resolve(new Response(unpacked, { headers: { "Content-Type": KINDS[name] } }).blob().then(URL.createObjectURL));
    });
    model.send_msg({ type: "need", name, piece: 0 });
  });
}

async function load(model, heard, tell) {
  library ??= (async () => ({ css: await file(model, heard, "widget.css", () => {}), js: await file(model, heard, "widget.js", tell) }))();
  try {
    return await library;
  } catch (problem) {
    library = undefined; // another try may do better
    throw problem;
  }
}

/** Ketcher in `frame`; resolves when it can be drawn with. */
function begin(frame, { css, js }) {
  return new Promise((resolve, reject) => {
    frame.addEventListener("load", async () => {
      const page = frame.contentWindow;
      page.addEventListener("error", (event) => reject(new Error(event.message)));
      // the part of a notebook's model that Ketcher's widget asks for
      page.model = { get: () => "", set() {}, save_changes() {}, off() {}, send() {}, on: (name) => name === "msg:custom" && queueMicrotask(() => resolve(page.ketcher)) };
      const script = page.document.createElement("script");
      script.type = "module";
      script.textContent = `import widget from "${js}"; widget.render({ model, el: document.getElementById("root"), experimental: {} });`;
      page.document.body.append(script);
    });
    frame.srcdoc = `<!doctype html><html lang="en"><head><link rel="stylesheet" href="${css}"><style>html, body, #root, #root > * { width: 100% !important; height: 100% !important; margin: 0; resize: none !important; border: 0 !important; overflow: hidden; }</style></head><body><div id="root"></div></body></html>`;
  });
}

function dialog() {
  const parts = {
    status: make("p", { className: "status", role: "status" }),
    take: make("button", { type: "button", className: "take", textContent: "Use this molecule", disabled: true }),
    leave: make("button", { type: "button", textContent: "Cancel" }),
    frame: make("iframe", { title: "Drawing of a molecule" }),
  };
  const head = make("header", {}, make("h2", { textContent: "Draw a molecule" }), parts.status, parts.leave, parts.take);
  return { ...parts, box: make("dialog", { className: "sketcher", ariaLabel: "Draw a molecule" }, head, parts.frame) };
}

export function render({ model, el }) {
  const heard = new Map();
  const button = make("button", { type: "button", className: "bk-btn bk-btn-default", title: model.help });
  button.innerHTML = PENCIL;
  button.append(make("span", { textContent: model.label }));
  el.replaceChildren(button);

  async function open(smiles) {
    const parts = dialog();
    const began = performance.now();
    let ketcher;
    const say = (text) => (parts.status.textContent = text);
    parts.box.addEventListener("close", () => (parts.box.remove(), button.focus()));
    parts.leave.addEventListener("click", () => parts.box.close());
    parts.take.addEventListener("click", async () => {
      try {
        const drawn = await ketcher.getSmiles();
        if (!drawn) return say("Nothing is drawn yet.");
        model.send_msg({ type: "taken", smiles: drawn });
        parts.box.close();
      } catch {
        say("This drawing cannot be written as a molecule. Check its bonds and labels.");
      }
    });
    el.append(parts.box);
    parts.box.showModal();
    say("Loading the sketcher");
    try {
      ketcher = await begin(parts.frame, await load(model, heard, (part) => say(`Loading the sketcher: ${Math.round(100 * part)} %`)));
      if (smiles) await ketcher.setMolecule(smiles).catch(() => say("The molecule of the field could not be drawn; start anew."));
      else say("");
      parts.status.textContent = parts.status.textContent.startsWith("Loading") ? "" : parts.status.textContent;
      parts.take.disabled = false;
      model.send_msg({ type: "ready", ms: Math.round(performance.now() - began) });
    } catch (problem) {
      say(`The sketcher could not be loaded: ${problem.message} Type a SMILES or open a file instead.`);
      model.send_msg({ type: "failed", reason: String(problem.message) });
    }
  }

  button.addEventListener("click", () => open(model.smiles));
  model.on("msg:custom", (message) => (message.type === "open" ? open(message.smiles) : heard.get(message.name)?.(message)));
}
