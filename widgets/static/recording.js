// The scrubber: one bar under the picture. The slider follows the hand at once; the frame follows as fast as frames can be read.
//
//   properties in   ready, shown, frames, frame, time, end (ps), clock, playing, speed, speeds, loop, warning
//   messages in     {type: "sought"}: the last wish for a frame is granted, the next may come
//   messages out    {type: "show" | "live" | "branch"} | {type: "play", on} | {type: "seek", frame} | {type: "speed", value} | {type: "loop", on}

const SHAPES = {
  look: '<path d="M12 4a8 8 0 1 1-7.6 10.5l2-.7A5.9 5.9 0 1 0 7.6 8H11v2H4V3h2v3.7A8 8 0 0 1 12 4z"/><path d="M11 8h2v4.2l3 1.8-1 1.7-4-2.4z"/>',
  play: '<path d="M7 4.5v15l12.5-7.5z"/>',
  pause: '<path d="M6.5 4.5h4v15h-4zM13.5 4.5h4v15h-4z"/>',
  before: '<path d="M18 4.5v15L8.5 12z"/><path d="M5 4.5h2.5v15H5z"/>',
  after: '<path d="M6 4.5v15l9.5-7.5z"/><path d="M16.5 4.5H19v15h-2.5z"/>',
  loop: '<path d="M7 7h9V4l5 4.2-5 4.3V9.5H7a2.5 2.5 0 0 0-2.5 2.5v1H2v-1A5 5 0 0 1 7 7zm10 10H8v3l-5-4.2 5-4.3v3h9a2.5 2.5 0 0 0 2.5-2.5v-1H22v1a5 5 0 0 1-5 5z"/>',
};

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

const icon = (name) => `<svg viewBox="0 0 24 24" width="16" height="16" fill="currentColor" aria-hidden="true">${SHAPES[name]}</svg>`;

function button(name, words, help, act, withWords = false) {
  const node = make("button", { type: "button", title: help, innerHTML: name ? icon(name) : "" });
  if (withWords) node.append(make("span", { textContent: words }));
  else node.ariaLabel = words;
  node.addEventListener("click", act);
  return node;
}

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function render({ model, el }) {
  const send = (message) => model.send_msg(message);
  let wanted = null; // the frame that the hand asks for, while there is one
  let busy = false;

  const seek = (frame) => {
    wanted = Math.min(Math.max(frame, 0), model.frames - 1);
    draw();
    if (busy) return;
    busy = true;
    send({ type: "seek", frame: wanted });
  };
  const sought = () => {
    busy = false;
    if (wanted !== null && wanted !== model.frame) return seek(wanted);
    wanted = null;
    draw();
  };
  const at = () => wanted ?? model.frame;

  const look = button("look", "Look back at the recording", "Pauses the run and shows what was recorded so far, frame by frame or as a film.", () => send({ type: "show" }), true);
  const play = button("play", "Play", "", () => send({ type: "play", on: !model.playing }));
  const before = button("before", "One frame back", "One frame back", () => seek(at() - 1));
  const after = button("after", "One frame on", "One frame on", () => seek(at() + 1));
  const slider = make("input", { type: "range", min: 0, step: 1, ariaLabel: "Frame of the recording", title: "Drag, or use the arrow keys; space plays and pauses." });
  slider.addEventListener("input", () => seek(Number(slider.value)));
  slider.addEventListener("keydown", (event) => {
    if (event.key !== " ") return;
    event.preventDefault();
    send({ type: "play", on: !model.playing });
  });
  const clock = make("span", { className: "when" });
  const speed = make("select", { ariaLabel: "Speed of the film", title: "Speed of the film; 1 is 15 recorded frames per second." });
  speed.append(...model.speeds.map((value) => make("option", { value, textContent: `\u00d7 ${value}` })));
  speed.addEventListener("change", () => send({ type: "speed", value: Number(speed.value) }));
  const loop = button("loop", "Begin again at the end", "Begin again at the end", () => send({ type: "loop", on: !model.loop }));
  const branch = button("", "Go on from here", "Starts a new run with the atoms as they are in this frame, relaxed briefly and with new velocities. This run stays as it is.", () => send({ type: "branch" }), true);
  const live = button("", "Back to live", "Shows the run itself again; it goes on if it played before.", () => send({ type: "live" }), true);
  const film = make("div", { className: "film" }, before, play, after, slider, clock, speed, loop, branch, live);
  const warning = make("p", { className: "warning", role: "status" });
  live.className = "main";
  branch.className = "edge";
  look.className = "look";

  const draw = () => {
    const { shown, frames, frame, time, end, playing, ready } = model;
    look.hidden = shown || !ready;
    film.hidden = !shown;
    warning.hidden = !model.warning;
    say(warning, model.warning);
    slider.max = Math.max(frames - 1, 0);
    slider.value = at();
    slider.style.setProperty("--done", `${(100 * at()) / Math.max(frames - 1, 1)}%`);
    const settled = wanted === null || wanted === frame;
    const digits = end < 10 ? 3 : 2;
    say(clock, `${settled ? time.toFixed(digits) : "\u2026"} / ${end.toFixed(digits)} ps${model.clock === "time" ? "" : ` ${model.clock}`}`);
    clock.title = `Frame ${at() + 1} of ${frames}`;
    slider.setAttribute("aria-valuetext", `frame ${at() + 1} of ${frames}${settled ? `, ${time.toFixed(digits)} picoseconds${model.clock === "time" ? "" : ` of ${model.clock}`}` : ""}`);
    const name = playing ? "pause" : "play";
    if (play.dataset.shape !== name) {
      play.dataset.shape = name;
      play.innerHTML = icon(name);
      play.ariaLabel = play.title = playing ? "Pause the film" : "Play the film";
    }
    before.disabled = at() <= 0;
    after.disabled = at() >= frames - 1;
    speed.value = model.speed;
    loop.setAttribute("aria-pressed", model.loop);
  };
  const turn = () => {
    const inside = el.contains(look.getRootNode().activeElement) || [look, live].includes(look.getRootNode().activeElement);
    wanted = null;
    busy = false;
    draw();
    if (inside) (model.shown ? slider : look).focus(); // the button that was pressed is gone
  };
  for (const name of ["ready", "frames", "frame", "time", "end", "clock", "playing", "speed", "loop", "warning"]) model.on(name, draw);
  model.on("shown", turn);
  model.on("msg:custom", (message) => message.type === "sought" && sought());
  el.replaceChildren(make("section", { ariaLabel: "Recording" }, look, film, warning));
  draw();
}
