// The picture of who talks to whom: applications, Highwater, and each server with its role, health, lag and
// position. One unit is one pixel, so that texts stay readable on a phone.

import { byId, count, counted, el, millis, none, position, svg, words } from "./make.js";

const SERVER = { width: 330, height: 78, gap: 14 };
const NARROW = 700;

const root = byId("topology");
const picture = svg("svg", { role: "img", class: "topology" });
root.append(picture, el("figcaption", { class: "hint" }, "The table tells the same in words."));
let last = null;

function cut(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/// A shape for each state, so that it does not hang on colour.
function sign(server, x, y) {
  const state = mood(server);
  const shapes = { good: `M${x - 6} ${y}a6 6 0 1 0 12 0a6 6 0 1 0 -12 0`, warn: `M${x} ${y - 7}l7 12h-14z`, bad: `M${x - 5} ${y - 5}l10 10m0 -10l-10 10` };
  return svg("path", { class: `sign ${state}`, d: shapes[state] });
}

function mood(server) {
  if (server.health !== "up") return server.health === "lagging" || server.health === "unknown" ? "warn" : "bad";
  return server.state === "draining" ? "warn" : "good";
}

function box(x, y, width, height, kind) {
  return svg("rect", { class: `box ${kind}`, x, y, width, height, rx: 8 });
}

function text(x, y, kind, content) {
  return svg("text", { class: kind, x, y }, content);
}

function server(row, x, y, width) {
  const room = Math.floor((width - 24) / 7.4);
  const state = [words(row.health), row.state === "draining" ? "draining" : null].filter(Boolean).join(", ");
  const lag = row.role === "replica" ? `, ${row.lag_ms === null ? "lag unknown" : `${millis(row.lag_ms)} behind`}` : "";
  const busy = `${counted(row.connections, "connection")}${row.waiting ? `, ${count(row.waiting)} in line` : ""}`;
  return svg(
    "g",
    {},
    box(x, y, width, SERVER.height, `server ${mood(row)}`),
    sign(row, x + 18, y + 20),
    text(x + 34, y + 25, "name", cut(`${row.role} ${row.address}`, room - 4)),
    text(x + 12, y + 46, "fact", cut(`${state}${lag}, ${busy}`, room)),
    text(x + 12, y + 65, "fact code", cut(position(row.applied), Math.floor((width - 24) / 7.3))),
  );
}

function edge(x1, y1, x2, y2, kind, wide) {
  const middle = (x1 + x2) / 2;
  const d = wide ? `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}` : `M${x1} ${y1}V${y2}H${x2}`;
  return svg("path", { class: `edge ${kind}`, d });
}

/// Thicker where more connections are in use.
function weight(row) {
  return row.connections > 50 ? "w3" : row.connections > 5 ? "w2" : "w1";
}

function draw() {
  if (!last) return;
  const { servers, sessions, active, version } = last;
  const width = Math.max(root.clientWidth - 24, 260);
  const wide = width >= NARROW;
  const parts = [];
  const clients = [counted(sessions, "session"), `${count(active)} at work`];
  let height;
  if (wide) {
    const all = servers.length * (SERVER.height + SERVER.gap) - SERVER.gap;
    height = Math.max(all, 96) + 8;
    const middle = height / 2;
    const right = width - SERVER.width - 4;
    const proxy = (width - SERVER.width) / 2 - 40;
    servers.forEach((row, at) => {
      const y = (height - all) / 2 + at * (SERVER.height + SERVER.gap);
      parts.push(edge(proxy + 170, middle, right, y + SERVER.height / 2, `${mood(row)} ${weight(row)}`, true));
      parts.push(server(row, right, y, SERVER.width));
    });
    parts.unshift(edge(154, middle, proxy, middle, "good w2", true));
    parts.push(box(4, middle - 40, 150, 80, "clients"), text(18, middle - 12, "name", "Applications"));
    clients.forEach((line, at) => parts.push(text(18, middle + 9 + at * 19, "fact", line)));
    parts.push(box(proxy, middle - 40, 170, 80, "proxy"), text(proxy + 14, middle - 12, "name", "Highwater"));
    parts.push(text(proxy + 14, middle + 9, "fact", `version ${version}`), text(proxy + 14, middle + 28, "fact", last.offload));
  } else {
    parts.push(box(4, 4, width - 8, 62, "clients"), text(16, 28, "name", "Applications"), text(16, 50, "fact", clients.join(", ")));
    parts.push(svg("path", { class: "edge good w2", d: "M24 66V90" }));
    parts.push(box(4, 90, width - 8, 62, "proxy"), text(16, 114, "name", "Highwater"), text(16, 136, "fact", last.offload));
    const edges = [];
    servers.forEach((row, at) => {
      const y = 172 + at * (SERVER.height + SERVER.gap);
      edges.push(edge(16, 152, 32, y + SERVER.height / 2, `${mood(row)} ${weight(row)}`, false));
      parts.push(server(row, 32, y, width - 36));
    });
    parts.unshift(...edges);
    height = 172 + servers.length * (SERVER.height + SERVER.gap);
  }
  picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
  picture.setAttribute("width", width);
  picture.setAttribute("height", height);
  picture.setAttribute("aria-label", sentence());
  picture.replaceChildren(...parts);
}

function sentence() {
  const each = last.servers.map((row) => {
    const lag = row.role === "replica" ? `, ${row.lag_ms === null ? "lag unknown" : `${millis(row.lag_ms)} behind`}` : "";
    return `${row.role} ${row.address}: ${words(row.health)}, ${row.state}${lag}`;
  });
  return `${counted(last.sessions, "session")} of applications at Highwater, which uses these servers. ${each.join("; ") || none}.`;
}

export function update(data) {
  const positions = new Map(data.positions.map((row) => [row.backend, row.applied]));
  const states = data.session_states;
  const offload = data.switches.find((row) => row.name === "offload")?.value ?? "ON";
  last = {
    servers: data.backends.map((row) => ({ ...row, applied: positions.get(row.address) })),
    sessions: Object.values(states).reduce((sum, it) => sum + it, 0),
    active: states.active + states.catching_up,
    version: data.version,
    offload: `OFFLOAD ${offload}`,
  };
  draw();
}

new ResizeObserver(draw).observe(root);
