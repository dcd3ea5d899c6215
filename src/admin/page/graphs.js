// The graphs: lines over the last 15 minutes, a legend that is a table, and a cursor for pointer and keys.

import { byId, clock, count, el, millis, none, rate, say, svg } from "./make.js";

const LONGEST = 15 * 60 * 1000;
const SHORTEST = 60 * 1000;
const HEIGHT = 190;
const EDGE = { left: 56, right: 10, top: 10, bottom: 24 };
const MOST_LINES = 12;

const fixed = (names) => (history, key) => names.map((name) => ({ name, values: history[key]?.[name] ?? [] }));
const found = (history, key) => Object.entries(history[key] ?? {}).map(([name, values]) => ({ name, values }));
const some = (line) => line.values.some((value) => value > 0);

/// What is drawn. `lines` gives the series of a history.
const GRAPHS = [
  {
    id: "statements",
    title: "Statements per second, by who answered",
    show: rate,
    lines: (history) => fixed(["primary", "replica", "proxy"])(history, "statements"),
  },
  {
    id: "waits",
    title: "Waits for a replica, of the reads that waited",
    show: millis,
    none: "No read had to wait.",
    lines: (history) =>
      found(history, "wait_p99_ms").flatMap(({ name, values }) => [
        { name: `${name} p50`, values: history.wait_p50_ms[name] ?? [] },
        { name: `${name} p99`, values },
      ]),
  },
  {
    id: "lag",
    title: "Lag of each replica",
    show: millis,
    none: "There is no replica.",
    lines: (history, data) => {
      const replicas = data.backends.filter((server) => server.role === "replica");
      return replicas.map(({ address }) => ({ name: address, values: history.lag_ms?.[address] ?? [] }));
    },
  },
  {
    id: "pool",
    title: "Connections in use, by server",
    show: count,
    lines: (history) => [
      ...found(history, "connections"),
      ...found(history, "waiting").map(({ name, values }) => ({ name: `in line for ${name}`, values })).filter(some),
    ],
  },
  {
    id: "errors",
    title: "Errors per second, by whose fault",
    show: rate,
    lines: (history) => fixed(["client", "backend", "proxy"])(history, "errors"),
  },
];

class Graph {
  constructor(about) {
    this.about = about;
    this.cursor = null;
    const title = el("h3", { id: `g-${about.id}` }, about.title);
    this.plot = svg("svg", { role: "img", tabindex: 0, class: "graph", height: HEIGHT });
    this.none = el("p", { class: "none" }, about.none ?? "Nothing yet.");
    this.body = el("tbody");
    this.when = el("th", { scope: "col", class: "number" }, "now");
    const heads = ["mean", "peak"].map((text) => el("th", { scope: "col", class: "number" }, text));
    const head = el("tr", {}, el("th", { scope: "col" }, "line"), this.when, ...heads);
    const caption = el("caption", { class: "quiet" }, `${about.title}: now, mean and peak`);
    this.legend = el("table", { class: "legend" }, caption, el("thead", {}, head), this.body);
    this.spoken = el("p", { class: "quiet", "aria-live": "polite" });
    this.root = el("figure", { class: "panel", "aria-labelledby": `g-${about.id}` }, el("figcaption", {}, title), this.plot, this.none, this.legend, this.spoken);
    this.plot.addEventListener("pointermove", (event) => this.point(event));
    this.plot.addEventListener("pointerleave", () => this.leave());
    this.plot.addEventListener("blur", () => this.leave());
    this.plot.addEventListener("keydown", (event) => this.key(event));
  }

  update(history, data) {
    this.times = history.times_ms ?? [];
    this.lines = this.about.lines(history, data).slice(0, MOST_LINES);
    this.draw();
  }

  draw() {
    if (!this.lines) return;
    const { times, lines } = this;
    const any = times.length > 1 && lines.some((line) => line.values.some((value) => value !== null));
    this.none.hidden = any;
    this.plot.toggleAttribute("hidden", !any);
    this.legend.hidden = !any;
    if (!any) return;
    const width = Math.max(this.root.clientWidth - 24, 200);
    const end = times[times.length - 1];
    const span = Math.min(Math.max(end - times[0], SHORTEST), LONGEST);
    const start = end - span;
    const scale = steps(Math.max(...lines.flatMap((line) => line.values.filter((value, at) => value !== null && times[at] >= start))));
    const top = scale[scale.length - 1];
    const x = (time) => EDGE.left + ((time - start) / span) * (width - EDGE.left - EDGE.right);
    const y = (value) => HEIGHT - EDGE.bottom - (value / top) * (HEIGHT - EDGE.top - EDGE.bottom);
    this.place = { start, span, width };
    this.plot.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.plot.setAttribute("width", width);
    this.plot.setAttribute("aria-label", this.sentence());
    const parts = [];
    for (const value of scale) {
      parts.push(svg("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: y(value), y2: y(value) }));
      parts.push(svg("text", { class: "axis", x: EDGE.left - 6, y: y(value) + 4, "text-anchor": "end" }, this.about.show(value)));
    }
    for (const [time, text] of marks(end, span, width)) {
      const anchor = time === end ? "end" : "middle";
      parts.push(svg("text", { class: "axis", x: x(time), y: HEIGHT - 6, "text-anchor": anchor }, text));
    }
    lines.forEach((line, at) => {
      parts.push(svg("path", { class: `line s${at + 1}`, d: path(times, line.values, start, x, y) }));
    });
    if (this.cursor !== null && times[this.cursor] >= start) {
      const at = x(times[this.cursor]);
      parts.push(svg("line", { class: "cursor", x1: at, x2: at, y1: EDGE.top, y2: HEIGHT - EDGE.bottom }));
    }
    this.plot.replaceChildren(...parts);
    this.explain(start);
  }

  explain(start) {
    const at = this.cursor ?? this.times.length - 1;
    say(this.when, this.cursor === null ? "now" : clock(this.times[at]));
    const rows = this.lines.map((line, place) => {
      const { mean, peak } = this.sums(line, start);
      const swatch = svg("svg", { class: "swatch", viewBox: "0 0 28 8", "aria-hidden": "true" }, svg("path", { class: `line s${place + 1}`, d: "M1 4H27" }));
      const cells = [line.values[at], mean, peak].map((value) => el("td", { class: "number" }, this.text(value)));
      return el("tr", {}, el("th", { scope: "row" }, swatch, line.name), ...cells);
    });
    this.body.replaceChildren(...rows);
  }

  sums(line, start) {
    const values = line.values.filter((value, at) => value !== null && this.times[at] >= start);
    if (values.length === 0) return { mean: null, peak: null };
    return { mean: values.reduce((sum, value) => sum + value, 0) / values.length, peak: Math.max(...values) };
  }

  text(value) {
    return value === null || value === undefined ? none : this.about.show(value);
  }

  /// The graph in words.
  sentence() {
    const last = this.times.length - 1;
    const start = this.times[last] - LONGEST;
    const each = this.lines.map((line) => {
      const { peak } = this.sums(line, start);
      return `${line.name} ${this.text(line.values[last])} now, at most ${this.text(peak)}`;
    });
    return `${this.about.title}. ${each.join("; ")}.`;
  }

  point(event) {
    const box = this.plot.getBoundingClientRect();
    const { start, span, width } = this.place;
    const inside = ((event.clientX - box.left) / box.width) * width - EDGE.left;
    const time = start + (inside / (width - EDGE.left - EDGE.right)) * span;
    let best = 0;
    this.times.forEach((it, at) => {
      if (Math.abs(it - time) < Math.abs(this.times[best] - time)) best = at;
    });
    this.cursor = best;
    this.draw();
  }

  leave() {
    this.cursor = null;
    this.draw();
  }

  key(event) {
    const last = this.times.length - 1;
    const at = this.cursor ?? last;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, PageUp: at - 30, PageDown: at + 30, Home: 0, End: last }[event.key];
    if (event.key === "Escape") return this.leave();
    if (to === undefined) return undefined;
    event.preventDefault();
    this.cursor = Math.min(Math.max(to, 0), last);
    this.draw();
    const values = this.lines.map((line) => `${line.name} ${this.text(line.values[this.cursor])}`);
    return say(this.spoken, `${clock(this.times[this.cursor])}: ${values.join(", ")}`);
  }
}

/// Round values from 0 to at least the highest one.
function steps(highest) {
  const top = highest > 0 ? highest : 1;
  const rough = top / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((it) => it * power).find((it) => it >= rough);
  const values = [0];
  while (values[values.length - 1] < top * 0.999) values.push(values.length * step);
  return values;
}

/// The times that are named below the graph.
function marks(end, span, width) {
  const room = Math.max(Math.floor(width / 90), 2);
  const step = [15, 30, 60, 120, 180, 300, 450].map((it) => it * 1000).find((it) => span / it <= room) ?? 900000;
  const found = [[end, "now"]];
  for (let back = step; back <= span * 0.97; back += step) {
    found.push([end - back, back % 60000 ? `−${back / 1000} s` : `−${back / 60000} min`]);
  }
  return found;
}

/// A line with gaps where nothing is known; what stands alone is a dot.
function path(times, values, start, x, y) {
  let text = "";
  let pen = false;
  values.forEach((value, at) => {
    if (value === null || times[at] < start) {
      pen = false;
      return;
    }
    const place = `${x(times[at]).toFixed(1)} ${y(value).toFixed(1)}`;
    const alone = !pen && (values[at + 1] === null || at + 1 === values.length);
    text += pen ? `L${place}` : `M${place}${alone ? "h.1" : ""}`;
    pen = true;
  });
  return text;
}

const graphs = GRAPHS.map((about) => new Graph(about));
byId("all-graphs").append(...graphs.map((graph) => graph.root));
new ResizeObserver(() => graphs.forEach((graph) => graph.draw())).observe(byId("all-graphs"));

export function update(history, data) {
  for (const graph of graphs) graph.update(history, data);
}

/// Puts a new sample to a history; what is older than the graphs show is let go.
export function append(history, sample) {
  const before = history.times_ms?.length ?? 0;
  const add = (to, from) => {
    for (const key of new Set([...Object.keys(to), ...Object.keys(from)])) {
      if (Array.isArray(from[key] ?? to[key])) {
        to[key] ??= new Array(before).fill(null);
        to[key].push(from[key]?.[0] ?? null);
      } else if (typeof (from[key] ?? to[key]) === "object") {
        add((to[key] ??= {}), from[key] ?? {});
      }
    }
  };
  const newest = sample.times_ms[0];
  if (history.times_ms?.[before - 1] >= newest) return;
  add(history, sample);
  const old = history.times_ms.findIndex((time) => time >= newest - LONGEST);
  const cut = (from) => {
    for (const values of Object.values(from)) {
      if (Array.isArray(values)) values.splice(0, old);
      else if (typeof values === "object") cut(values);
    }
  };
  if (old > 0) cut(history);
}
