// Tables: each a caption, headings with their meaning, and rows that are replaced when they changed.

import { byId, bytes, count, el, millis, none, position, say, seconds, share } from "./make.js";

const number = { numeric: true, show: count };
const time = { numeric: true, show: millis };
const code = { code: true };

/// What each table shows, in this order; the headings' meaning comes with the data.
const LAYOUT = {
  backends: {
    title: "Each server",
    empty: "No server is configured.",
    columns: [
      ["address", {}],
      ["role", {}],
      ["health", {}],
      ["state", {}],
      ["lag_ms", { label: "lag", ...time }],
      ["position", { code: true, help: "A read that starts now sees at least this; SHOW POSITIONS has it whole." }],
      ["behind", { ...number, help: "How many transactions it lacks at most of what the primary is known to have; without GTIDs, bytes of its log." }],
      ["connections", number],
      ["waiting", number],
      ["version", {}],
      ["flaws", { long: true }],
    ],
  },
  pools: {
    title: "Connections",
    folded: true,
    empty: "No pool.",
    columns: [
      ["backend", {}],
      ["mode", {}],
      ["open", number],
      ["idle", number],
      ["lent", number],
      ["leased", number],
      ["waiting", number],
      ["max", number],
      ["handed_on", number],
      ["reset", number],
      ["restored", number],
      ["recalled", number],
    ],
  },
  switches: {
    title: "Switches",
    empty: "Nothing can be switched.",
    columns: [
      ["name", {}],
      ["value", {}],
      ["command", code],
    ],
  },
  advice: {
    title: "What keeps reads on the primary",
    empty: "Nothing so far: every read that could be offloaded was.",
    search: true,
    columns: [
      ["statement", code],
      ["count", number],
      ["share", { numeric: true, show: (value) => share(value, 100) }],
      ["reason", { long: true, show: (value, row) => row.why ?? value }],
      ["change", { long: true, label: "what would change it" }],
    ],
  },
  sessions: {
    title: "Clients",
    empty: "No client is connected.",
    search: true,
    columns: [
      ["id", { plain: true }],
      ["user", {}],
      ["host", {}],
      ["db", {}],
      ["state", {}],
      ["seconds", { numeric: true, label: "for", show: seconds }],
      ["running_on", { label: "runs on" }],
      ["replica", {}],
      ["pins", {}],
      ["statements", number],
      ["offload", {}],
    ],
  },
  pins: {
    title: "What binds sessions to a connection",
    empty: "Nothing: every session can change its connection between two statements.",
    columns: [
      ["session", { plain: true }],
      ["user", {}],
      ["reason", { long: true, show: (value, row) => row.why ?? value }],
      ["statement", code],
      ["seconds", { numeric: true, label: "for", show: seconds }],
    ],
  },
  digests: {
    title: "Statements by the time they took",
    empty: "No statement so far.",
    search: true,
    columns: [
      ["statement", code],
      ["class", {}],
      ["count", number],
      ["primary", number],
      ["replica", number],
      ["proxy", number],
      ["errors", number],
      ["avg_ms", { label: "mean", ...time }],
      ["max_ms", { label: "longest", ...time }],
      ["total_ms", { label: "in all", ...time }],
      ["waits", number],
      ["row_count", { label: "rows", ...number }],
      ["bytes", { numeric: true, show: bytes }],
      ["reason", {}],
    ],
  },
  errors: {
    title: "Errors since the start",
    empty: "None.",
    columns: [
      ["kind", { help: "What went wrong." }],
      ["side", { help: "Whose fault it was: the client's, a server's or the proxy's." }],
      ["count", { ...number, help: "How often." }],
    ],
  },
  rules: {
    title: "Rules",
    empty: "No rule is configured.",
    columns: null,
  },
  config: {
    title: "All settings",
    empty: "Nothing is known.",
    search: true,
    folded: true,
    columns: [
      ["name", code],
      ["value", { code: true, long: true, show: String }],
    ],
  },
};

class Table {
  constructor(name, layout) {
    this.name = name;
    this.layout = layout;
    this.said = "";
    this.rows = [];
    this.total = 0;
    const id = `c-${name}`;
    this.body = el("tbody");
    this.head = el("tr");
    this.caption = el("caption", { id });
    this.heading = el("span", { class: "name" }, layout.title);
    this.note = el("span", { class: "note" });
    this.caption.append(this.heading, this.note);
    this.none = el("p", { class: "none" }, layout.empty);
    const table = el("table", {}, this.caption, el("thead", {}, this.head), this.body);
    const region = el("div", { class: "scroll", role: "region", "aria-labelledby": id, tabindex: 0 }, table, this.none);
    const parts = [region];
    if (layout.search) parts.unshift((this.finder = this.search()));
    const root = byId(`t-${name}`);
    root.className = "panel";
    if (layout.folded) {
      root.append(el("details", {}, el("summary", {}, layout.title), ...parts));
    } else {
      root.append(...parts);
    }
  }

  search() {
    const id = `s-${this.name}`;
    this.input = el("input", { type: "search", id, autocomplete: "off", spellcheck: "false" });
    this.input.addEventListener("input", () => this.show());
    return el("p", { class: "search" }, el("label", { for: id }, `Find in “${this.layout.title}”`), this.input);
  }

  headings(help) {
    const about = help?.[this.name];
    const columns = about?.columns ?? [];
    const meaning = Object.fromEntries(columns);
    this.layout.columns ??= columns.map(([name]) => [name, {}]);
    this.about = about?.about ?? "";
    this.head.replaceChildren(
      ...this.layout.columns.map(([key, { label, numeric, help: own }]) =>
        el("th", { scope: "col", class: numeric && "number", title: own ?? meaning[key] }, label ?? key.replaceAll("_", " ")),
      ),
    );
  }

  update(rows, total) {
    const said = JSON.stringify([rows, total]);
    if (said === this.said) return;
    this.said = said;
    this.rows = rows;
    this.total = total ?? rows.length;
    this.show();
  }

  show() {
    const wanted = this.input?.value.trim().toLowerCase();
    let rows = this.rows;
    if (wanted) rows = rows.filter((row) => Object.values(row).join("\n").toLowerCase().includes(wanted));
    this.body.replaceChildren(...rows.map((row) => this.row(row)));
    const told = this.total > this.rows.length ? `, the first ${count(this.rows.length)} of ${count(this.total)}` : "";
    const found = wanted ? `, ${count(rows.length)} found` : "";
    say(this.note, `${this.about}${told}${found}`.replace(/^, /, ""));
    if (this.finder) this.finder.hidden = this.rows.length === 0;
    this.none.hidden = rows.length > 0;
    this.none.textContent = this.rows.length > 0 ? "Nothing is like that." : this.layout.empty;
    this.head.parentNode.parentNode.classList.toggle("empty", rows.length === 0);
  }

  row(row) {
    const cells = this.layout.columns.map(([key, kind], place) => {
      const value = row[key];
      const empty = value === null || value === undefined || value === "";
      const text = empty ? none : kind.show ? kind.show(value, row) : String(value);
      const attributes = { class: [kind.numeric && "number", key === "statement" && "statement", kind.long && "long", tone(key, value)].filter(Boolean).join(" ") || undefined };
      const inner = kind.code && !empty ? el("code", {}, text) : text;
      return place === 0 ? el("th", { scope: "row", ...attributes }, inner) : el("td", attributes, inner);
    });
    return el("tr", {}, ...cells);
  }
}

/// What should be noticed is more than a colour: the words stand there as well.
function tone(key, value) {
  if (key === "health") return value === "up" ? "good" : "bad";
  if (key === "state" && value === "draining") return "warn";
  if ((key === "waiting" || key === "errors") && value > 0) return "warn";
  if (key === "flaws" && value) return "warn";
  return undefined;
}

const tables = Object.fromEntries(Object.entries(LAYOUT).map(([name, layout]) => [name, new Table(name, layout)]));

/// Everything began anew: the meaning of tables and columns.
export function explain(help) {
  for (const table of Object.values(tables)) table.headings(help);
}

/// Shows the tables that these data have.
export function update(data) {
  const positions = new Map((data.positions ?? []).map((row) => [row.backend, row]));
  for (const [name, table] of Object.entries(tables)) {
    let rows = data[name];
    if (!rows) continue;
    if (name === "backends") {
      rows = rows.map((row) => {
        const { applied, behind } = positions.get(row.address) ?? {};
        return { ...row, position: applied && position(applied), behind };
      });
    }
    table.update(rows, data.totals?.[name]);
  }
}
