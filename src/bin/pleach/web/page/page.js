// Draws the actors, each beside its parent, and lists what has happened. Names come from other programs: they are set as
// text, never as markup.
"use strict";

const BOX = { width: 176, height: 38 }, COLUMN = 270, ROW = 50, MANY = 60, SHOWN_EVENTS = 500;
const toggled = new Set();
let state = null, chosen = null;

const byId = id => document.getElementById(id);

function make(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function html(tag, text, kind) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  return element;
}

function short(number, step = 1000) {
  const units = ["", "k", "M", "G", "T"];
  let unit = 0;
  while (number >= step && unit < units.length - 1) { number /= step; unit += 1; }
  return (unit && number < 100 ? number.toFixed(1) : Math.round(number)) + units[unit];
}

const clip = (text, length) => text.length > length ? text.slice(0, length - 1) + "…" : text;

// The trees: those that are gone stay below their parents for a while.
function forest() {
  const nodes = new Map();
  for (const row of [...state.actors, ...state.gone]) nodes.set(row.uuid, { row, children: [] });
  const roots = [];
  for (const node of nodes.values()) {
    const parent = nodes.get(node.row.parent_uuid);
    (parent ? parent.children : roots).push(node);
  }
  return { nodes, roots };
}

// With many actors, only those near the roots are open, until one is clicked.
function isClosed(node, depth, many) {
  const closed = many && depth >= 1;
  return node.children.length > 0 && closed !== toggled.has(node.row.uuid);
}

function below(node) {
  return node.children.reduce((sum, child) => sum + 1 + below(child), 0);
}

// A tidy tree from left to right: each leaf has a row of its own, and a parent is in the middle of its children.
function place(node, depth, rows, many) {
  node.x = depth * COLUMN;
  node.closed = isClosed(node, depth, many);
  node.shown = node.closed ? [] : node.children;
  for (const child of node.shown) place(child, depth + 1, rows, many);
  node.y = node.shown.length ? (node.shown[0].y + node.shown.at(-1).y) / 2 : rows.next++ * ROW;
}

// What crosses the connection to the parent, in messages per second.
function rate(row) {
  const line = row.connections.find(line => line.who.uuid === row.parent_uuid);
  return line && line.rate ? line.rate.sent.messages + line.rate.received.messages : 0;
}

// An edge bends close to the parent: what is written beside the child is crossed by none.
function drawEdge(svg, parent, child) {
  const [x1, y1, x2, y2] = [parent.x + BOX.width, parent.y + BOX.height / 2, child.x, child.y + BOX.height / 2];
  const middle = x1 + 18, perSecond = child.row.state === "gone" ? 0 : rate(child.row);
  const kind = perSecond >= 0.5 ? "edge busy" : "edge";
  svg.append(make("path", { class: kind, d: `M${x1},${y1}H${middle}V${y2}H${x2}` }));
  if (perSecond >= 0.5) svg.append(make("text", { class: "rate", x: x2 - 6, y: y2 - 5 }, `${short(perSecond)}/s`));
  const via = child.row.transport;
  if (via) svg.append(make("text", { class: "small", x: x2 - 6, y: y2 + 13, "text-anchor": "end" }, clip(via, 8)));
}

function drawNode(svg, node) {
  const { row } = node, error = row.last_error && row.state !== "gone";
  const kind = ["node", row.state, error ? "error" : "", row.uuid === chosen ? "chosen" : ""].join(" ");
  const group = make("g", { class: kind, transform: `translate(${node.x},${node.y})`, tabindex: 0 });
  group.append(make("rect", { width: BOX.width, height: BOX.height, rx: 7 }));
  group.append(make("rect", { class: "mark", x: 8, y: 9, width: 4, height: 20, rx: 2 }));
  group.append(make("text", { x: 20, y: 16 }, clip(row.name, 20)));
  const cpu = row.cpu_percent === null ? "" : `${row.cpu_percent.toFixed(0)}% · `;
  const about = row.state === "gone" ? "ended" : `${row.pid} · ${cpu}${short(row.memory, 1024)}B`;
  group.append(make("text", { class: "small", x: 20, y: 31 }, about));
  if (node.closed) group.append(make("text", { class: "small", x: BOX.width - 8, y: 31, "text-anchor": "end" }, `+${below(node)}`));
  group.append(make("title", {}, row.name));
  const choose = () => {
    if (chosen === row.uuid && node.children.length) {
      toggled.has(row.uuid) ? toggled.delete(row.uuid) : toggled.add(row.uuid);
    }
    chosen = row.uuid;
    draw();
  };
  group.addEventListener("click", choose);
  group.addEventListener("keydown", event => { if (event.key === "Enter") choose(); });
  svg.append(group);
}

function drawTrees({ nodes, roots }) {
  const svg = byId("tree"), rows = { next: 0 };
  svg.replaceChildren();
  for (const root of roots) place(root, 0, rows, nodes.size > MANY);
  let width = 0;
  const visit = (node, act) => { act(node); node.shown.forEach(child => visit(child, act)); };
  for (const root of roots) {
    visit(root, node => node.shown.forEach(child => drawEdge(svg, node, child)));
    visit(root, node => { drawNode(svg, node); width = Math.max(width, node.x); });
  }
  svg.setAttribute("width", width + BOX.width + 4);
  svg.setAttribute("height", Math.max(rows.next * ROW, ROW));
  svg.setAttribute("viewBox", `-2 -2 ${width + BOX.width + 4} ${Math.max(rows.next * ROW, ROW)}`);
}

function drawDetails({ nodes }) {
  const at = byId("details"), node = nodes.get(chosen);
  if (!node) { at.textContent = "Choose one in the drawing; click it again to fold what is below it."; return; }
  const { row } = node, list = html("dl");
  const add = (name, value, kind) => { if (value !== null && value !== undefined && value !== "") list.append(html("dt", name), html("dd", value, kind)); };
  add("name", row.name);
  add("state", row.state);
  add("process", `${row.pid} on ${row.host}`);
  add("parent", row.parent);
  add("transport", row.transport);
  add("processor", row.cpu_percent === null ? null : `${row.cpu_percent.toFixed(1)} %`);
  add("memory", `${short(row.memory, 1024)}B`);
  add("tasks", row.tasks);
  add("contexts", row.contexts);
  add("queue", row.waiting === null ? null : `${short(row.waiting, 1024)}B`);
  add("unread", row.unread);
  add("credit", row.credit);
  add("round trip", row.rtt_us === null ? null : `${row.rtt_us} µs`);
  add("last error", row.last_error && row.last_error.message, "bad");
  const work = html("ul");
  for (const line of row.work) work.append(html("li", line));
  for (const line of row.connections) {
    const flow = line.rate ? `: ${short(line.rate.sent.messages)}/s out, ${short(line.rate.received.messages)}/s in` : "";
    work.append(html("li", `${line.who.name} over ${line.transport.protocol}${flow}`));
  }
  at.replaceChildren(list, work);
}

function drawEvents() {
  const lines = state.events.slice(-SHOWN_EVENTS).reverse().map(event => {
    const line = html("li");
    const what = html("span", event.kind.replace("_", " "), event.kind);
    line.append(html("time", new Date(event.at_ms).toLocaleTimeString([], { hour12: false })), what, html("span", `${event.name} (${event.pid})`));
    if (event.message) line.append(html("span", event.message, "message"));
    return line;
  });
  const earlier = state.earlier + Math.max(state.events.length - SHOWN_EVENTS, 0);
  if (earlier) lines.push(html("li", `… and ${earlier} before`));
  if (state.missed) lines.unshift(html("li", `… ${state.missed} were not seen: there were too many at once`));
  byId("events").replaceChildren(...lines);
}

function draw() {
  if (!state) return;
  const trees = forest();
  drawTrees(trees);
  drawDetails(trees);
  drawEvents();
  const messages = state.actors.reduce((sum, row) => sum + (row.rate ? row.rate.sent.messages : 0), 0);
  const processes = new Set(state.actors.map(row => `${row.host}/${row.pid}`)).size;
  byId("summary").textContent = `${state.actors.length} actors in ${processes} processes, ${short(messages)} messages per second`;
}

const events = new EventSource("/events");
events.onmessage = message => { state = JSON.parse(message.data) || state; draw(); };
events.onerror = () => { byId("summary").textContent = "pleach web has ended, or can't be reached"; };
