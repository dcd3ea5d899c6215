// The live page: takes events from /api/status, shows what they tell, and says when it lost contact.

import { byId, clock, count, counted, el, rate, say, seconds, share, words } from "./make.js";
import * as graphs from "./graphs.js";
import * as tables from "./tables.js";
import * as topology from "./topology.js";

/// Without an event for so long, contact is lost; twice that, and the way there is tried anew.
const SILENCE = 8000;
const RETRY = 2000;

let data = null;
let source = null;
let heard = Date.now();
let lostAt = null;
let paused = false;
let healths = new Map();

function connect() {
  source?.close();
  source = new EventSource("/api/status");
  source.addEventListener("all", (event) => take(event, begin));
  source.addEventListener("now", (event) => take(event, (now) => Object.assign(data, now)));
  source.addEventListener("tables", (event) => take(event, (found) => Object.assign(data, found)));
  source.addEventListener("error", () => {
    lose();
    // A browser tries again by itself, unless it was refused.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, RETRY);
  });
}

function take(event, put) {
  const found = JSON.parse(event.data);
  heard = Date.now();
  if (!data && event.type !== "all") return;
  put(found);
  if (found.sample) graphs.append(data.history, found.sample);
  document.body.dataset.events = Number(document.body.dataset.events ?? 0) + 1;
  contact(event.type === "all" ? found : null);
  if (!paused) show();
}

function begin(found) {
  const restarted = data && data.started_ms !== found.started_ms;
  if (restarted) announce(`Highwater was restarted at ${clock(found.started_ms)}`);
  data = found;
  tables.explain(data.help);
}

/// Contact is there, maybe again.
function contact(anew) {
  if (lostAt !== null || anew) {
    lostAt = null;
    document.body.classList.remove("lost");
    byId("contact").className = paused ? "waiting" : "live";
    say(byId("contact-text"), paused ? "Paused" : "Live");
  }
}

function lose() {
  if (lostAt !== null) return;
  lostAt = Date.now();
  document.body.classList.add("lost");
  byId("contact").className = "gone";
  say(byId("contact-text"), `Lost contact with Highwater at ${clock(lostAt)}; trying again. What shows is of then.`);
}

setInterval(() => {
  const silent = Date.now() - heard;
  if (silent > SILENCE) lose();
  if (silent > 2 * SILENCE) {
    heard = Date.now() - SILENCE;
    connect();
  }
}, 1000);

function announce(text) {
  const log = byId("announce");
  log.append(el("span", {}, `${text}. `));
  while (log.childElementCount > 5) log.firstElementChild.remove();
}

function show() {
  if (!data) return;
  say(byId("about"), `version ${data.version}, up for ${seconds((data.now_ms - data.started_ms) / 1000)}`);
  notices();
  tiles();
  topology.update(data);
  graphs.update(data.history, data);
  offload();
  tables.update(data);
  listen();
}

/// Tells those who do not see the picture what happened to a server.
function listen() {
  for (const { address, role, health } of data.backends) {
    const before = healths.get(address);
    if (before !== undefined && before !== health) announce(`${role} ${address} is ${words(health)}`);
    healths.set(address, health);
  }
}

const setting = (name) => data.config?.find((row) => row.name === name)?.value;
const switched = () => data.switches.find((row) => row.name === "offload")?.value ?? "ON";

/// What somebody who comes at night has to see first.
function notices() {
  const found = [];
  if (data.not_ready) found.push(["bad", `Not ready: ${data.not_ready}. Writes fail.`]);
  for (const row of data.backends) {
    if (row.role === "replica" && row.health !== "up") found.push(["warn", `Replica ${row.address} gets no reads: ${words(row.health)}.`]);
    if (row.state === "draining") found.push(["warn", `Replica ${row.address} is drained; ONLINE BACKEND '${row.address}' gives it reads again.`]);
    if (row.flaws) found.push(["warn", `${row.address}: ${row.flaws}.`]);
  }
  if (switched() === "OFF") found.push(["warn", "OFFLOAD is OFF: every read goes to the primary."]);
  else if (switched() !== "ON") found.push(["warn", `OFFLOAD is ${switched()}: the other sessions read from the primary.`]);
  if (setting("proxy.mode") === "shadow") found.push(["warn", "Shadow mode: everything goes to the primary."]);
  const said = JSON.stringify(found);
  const root = byId("notices");
  if (root.dataset.said === said) return;
  root.dataset.said = said;
  root.replaceChildren(...found.slice(0, 12).map(([kind, text]) => el("p", { class: `notice ${kind}` }, text)));
}

function newest(values) {
  return values?.[values.length - 1] ?? null;
}

function sum(series) {
  return Object.values(series ?? {}).reduce((all, values) => all + (newest(values) ?? 0), 0);
}

const shown = new Map();

/// The figures at the top.
function tiles() {
  const { history, session_states: states, offload: seen } = data;
  const sessions = Object.values(states).reduce((all, it) => all + it, 0);
  const up = data.backends.filter((row) => row.role === "replica" && row.health === "up").length;
  const replicas = data.backends.filter((row) => row.role === "replica").length;
  const reads = (history.reads ?? []).reduce((all, it) => all + it, 0);
  const offloaded = (history.replica_reads ?? []).reduce((all, it) => all + it, 0);
  const figures = [
    ["Ready", data.not_ready ? "no" : "yes", data.not_ready ?? "there is a usable primary", data.not_ready ? "bad" : "good"],
    ["Replicas in use", `${up} of ${replicas}`, switched() === "ON" ? "take reads" : `OFFLOAD ${switched()}`, up < replicas ? "warn" : "good"],
    ["Statements per second", rate(sum(history.statements)), `${rate(newest(history.statements?.replica))} by replicas`, ""],
    ["Reads on replicas", share(seen.on_replicas, seen.reads), `${share(offloaded, reads)} in the last minutes`, ""],
    ["Sessions", count(sessions), `${count(states.active + states.catching_up)} at work, ${counted(data.totals?.pins ?? 0, "pin")}`, ""],
    ["Errors per second", rate(sum(history.errors)), `${count(data.errors.reduce((all, it) => all + it.count, 0))} since the start`, sum(history.errors) > 0 ? "warn" : ""],
  ];
  for (const [name, value, more, kind] of figures) {
    if (!shown.has(name)) {
      const parts = [el("dt", {}, name), el("dd", { class: "value" }), el("dd", { class: "more" })];
      const tile = el("div", {}, ...parts);
      byId("tiles").append(tile);
      shown.set(name, [tile, parts[1], parts[2]]);
    }
    const [tile, first, second] = shown.get(name);
    tile.className = `panel ${kind}`;
    say(first, value);
    say(second, more);
  }
}

/// Where reads went, what their transactions cost, and the setting that frees them.
function offload() {
  const { reads, on_replicas, in_transaction, autocommit_off, before_write } = data.offload;
  const rest = Math.max(reads - on_replicas - in_transaction - autocommit_off, 0);
  const parts = [
    ["on replicas", on_replicas, "s2"],
    ["kept by transactions", in_transaction, "s1"],
    ["kept by autocommit=0", autocommit_off, "s5"],
    ["on the primary for other reasons", rest, "s4"],
  ];
  const said = JSON.stringify([data.offload, setting("consistency.transaction_reads"), switched()]);
  const root = byId("offload-now");
  if (root.dataset.said === said) return;
  root.dataset.said = said;
  const bar = el("div", { class: "bar", "aria-hidden": "true" });
  for (const [, value, kind] of parts) {
    if (!value) continue;
    const piece = el("span", { class: kind });
    piece.style.flexGrow = value;
    bar.append(piece);
  }
  const list = parts.map(([name, value, kind]) => el("li", {}, el("span", { class: `key ${kind}`, "aria-hidden": "true" }), `${share(value, reads)} ${name}`, el("small", {}, ` (${count(value)})`)));
  const texts = reads
    ? [`${counted(reads, "read")} since the start could have been answered by replicas, but for their transactions. OFFLOAD is ${switched()}.`]
    : [`No reads so far. OFFLOAD is ${switched()}.`];
  root.replaceChildren(el("p", {}, ...texts), bar, el("ul", { class: "keys" }, ...list), freed(in_transaction + autocommit_off, before_write, reads));
}

function freed(lost, before, reads) {
  if (!lost) return el("p", {}, "No read was kept on the primary by a read-write transaction or by autocommit=0.");
  const on = setting("consistency.transaction_reads") === "replica_until_write";
  const start = `Transactions and autocommit=0 kept ${share(lost, reads)} of the reads on the primary; ${share(before, reads)} came before their transaction's first write. `;
  if (!before) return el("p", {}, start, "No setting frees what a transaction reads after it wrote.");
  const name = el("code", {}, '[consistency] transaction_reads = "replica_until_write"');
  return on
    ? el("p", {}, start, name, " is in force; it frees those at READ COMMITTED.")
    : el("p", {}, start, name, " lets replicas answer these, at READ COMMITTED.");
}

byId("pause").addEventListener("click", (event) => {
  paused = !paused;
  event.target.setAttribute("aria-pressed", paused);
  if (lostAt === null) {
    byId("contact").className = paused ? "waiting" : "live";
    say(byId("contact-text"), paused ? `Paused at ${clock(Date.now())}` : "Live");
  }
  if (!paused) show();
});

const themes = ["system", "dark", "light"];
const root = document.documentElement;
const theme = byId("theme");
const named = () => say(theme, `Theme: ${root.dataset.theme ?? "system"}`);
theme.addEventListener("click", () => {
  const next = themes[(themes.indexOf(root.dataset.theme ?? "system") + 1) % themes.length];
  if (next === "system") delete root.dataset.theme;
  else root.dataset.theme = next;
  try {
    if (next === "system") localStorage.removeItem("highwater-theme");
    else localStorage.setItem("highwater-theme", next);
  } catch {
    // It holds until the page is left.
  }
  named();
});
named();
connect();
