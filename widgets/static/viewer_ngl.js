// The live 3D view, part 1 of 6: where NGL comes from, and how this page talks to Python.
//
// The six parts (ngl, cell, space, marks, hand, viewer) are joined in this order into one ES module, because Panel loads one. NGL comes
// out of the bundle that nglview installed, so nothing is vendored and nothing is fetched from outside.

const NO_WEBGL = "This browser cannot draw in 3D: WebGL is switched off or missing. Turn on hardware acceleration in the browser's settings, or open this page in another browser. Everything else works.";
const NO_NGL = "The 3D viewer could not be loaded. Run `potential-studio doctor`; it says what is missing.";
const LOST = "The graphics driver dropped the picture. Reload the page to see it again; the simulation was not affected.";
const NGL_PATIENCE = 30_000; // ms that Python has to send NGL where no server offers it

/** NGL, taken from nglview's AMD bundle by playing the part of the module loader. */
function unpackNGL(text) {
  let exported;
  const base = new Proxy({}, { get: () => class {} });
  new Function("define", text)((_needs, factory) => (exported = factory(base)));
  if (!exported?.NGL) throw new Error("nglview's bundle has no NGL");
  return exported.NGL;
}

/** The text of nglview's bundle: from the server's own route, or, in a notebook, from Python through the view's channel. */
async function bundleText(host) {
  try {
    const answer = await fetch(new URL(host.get("ngl_url"), document.baseURI));
    if (answer.ok && !answer.headers.get("content-type")?.includes("html")) return await answer.text();
  } catch {
    // no such server: ask below
  }
  return new Promise((resolve, reject) => {
    host.on("ngl", (message) => (message.text ? resolve(new TextDecoder().decode(message.text)) : reject(new Error("nglview is not installed"))));
    setTimeout(() => reject(new Error("nobody answered")), NGL_PATIENCE);
    host.send({ type: "need-ngl" });
  });
}

/** The promise of NGL, kept by the page: it is read once, whoever asks first. */
function library(host) {
  globalThis.studioNGL ??= bundleText(host).then(unpackNGL);
  globalThis.studioNGL.catch(() => delete globalThis.studioNGL); // the next view may have better luck
  return globalThis.studioNGL;
}

/** Panel's model as this module uses it: properties, messages by type, and the end. */
function connect(model) {
  const hearers = {};
  model.on("msg:custom", (message) => hearers[message.type]?.(message));
  return {
    get: (name) => model[name],
    set: (name, value) => (model[name] = value),
    watch: (name, react) => model.on(`change:${name}`, react),
    send: (message) => model.send_msg(message),
    on: (type, react) => (hearers[type] = react),
    onRemove: (react) => model.on("remove", react),
  };
}
