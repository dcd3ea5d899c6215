// Makes elements and texts. Nothing that came over the network is ever read as markup.

const picture = document.querySelector("svg").namespaceURI;

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(picture, tag), attributes, children);
}

export const byId = (id) => document.getElementById(id);

/// Sets a text only where it changed, so that what is selected stays selected and nothing is said twice.
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const brief = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

export const none = "–";

export function count(value) {
  return value === null || value === undefined ? none : whole.format(value);
}

export function counted(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

export function rate(value) {
  if (value === null || value === undefined) return none;
  if (value === 0) return "0";
  if (value < 10) return value.toFixed(value < 0.1 ? 2 : 1);
  return value < 10000 ? whole.format(value) : brief.format(value);
}

export function millis(value) {
  if (value === null || value === undefined) return none;
  if (value === 0) return "0 ms";
  if (value < 10) return `${value.toFixed(value < 0.1 ? 2 : 1)} ms`;
  if (value < 1000) return `${Math.round(value)} ms`;
  return seconds(value / 1000);
}

export function seconds(value) {
  if (value < 10) return `${value.toFixed(1)} s`;
  if (value < 120) return `${Math.round(value)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  if (value < 172800) return `${Math.round(value / 3600)} h`;
  return `${Math.round(value / 86400)} days`;
}

export function bytes(value) {
  if (value < 1000) return `${value} B`;
  return `${brief.format(value)}B`;
}

export function share(part, all) {
  if (!all) return none;
  const percent = (part * 100) / all;
  if (percent > 0 && percent < 0.1) return "under 0.1 %";
  return `${percent > 0 && percent < 10 ? percent.toFixed(1) : Math.round(percent)} %`;
}

export function clock(ms) {
  return new Date(ms).toLocaleTimeString("en-GB");
}

/// A position that fits on a line: the first digits of each server's id, and how far it got.
export function position(text) {
  if (!text) return none;
  const parts = text.split(/,\s*/);
  const short = parts.slice(0, 3).map((part) =>
    part.replace(/^([0-9a-f]{8})-[0-9a-f-]{27}/i, "$1…"),
  );
  if (parts.length > 3) short.push(`and ${parts.length - 3} more`);
  return short.join(", ");
}

export const words = (name) => String(name).replaceAll("_", " ");
