// What is looked at from inside of the page; each gives a list of what is wrong.
({
  // Texts that stand out too little against what is behind them.
  contrast() {
    const parse = (text) => text.match(/[\d.]+/g).map(Number);
    const light = ([r, g, b]) => {
      const part = (value) => {
        const it = value / 255;
        return it <= 0.03928 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4;
      };
      return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
    };
    const behind = (node) => {
      for (let at = node; at; at = at.parentElement) {
        const box = at.matches("g") && at.querySelector(".box");
        if (box) return parse(getComputedStyle(box).fill);
        const colour = parse(getComputedStyle(at).backgroundColor);
        if (colour[3] !== 0) return colour;
      }
      return [255, 255, 255];
    };
    const wrong = [];
    for (const node of document.querySelectorAll("body *")) {
      const own = [...node.childNodes].some((it) => it.nodeType === 3 && it.data.trim());
      if (!own || !node.checkVisibility() || node.closest(".quiet, .skip")) continue;
      const style = getComputedStyle(node);
      const front = parse(node.matches("svg *") ? style.fill : style.color);
      const [high, low] = [light(front), light(behind(node))].sort((a, b) => b - a);
      const ratio = (high + 0.05) / (low + 0.05);
      if (ratio < 4.5) wrong.push(`${ratio.toFixed(2)}: ${node.textContent}`);
    }
    return wrong;
  },
  // Tables without a caption, headings without a scope, rows without a heading.
  tables() {
    const wrong = [];
    const found = [...document.querySelectorAll("table")];
    if (found.length < 12) wrong.push(`${found.length} tables`);
    for (const table of found) {
      const name = table.caption?.textContent;
      if (!name) wrong.push(`no caption: ${table.outerHTML.slice(0, 200)}`);
      if (table.querySelector("th:not([scope])")) wrong.push(`${name}: a heading without scope`);
      if (table.querySelector("tbody tr:not(:has(th))")) wrong.push(`${name}: a row without heading`);
    }
    return wrong;
  },
  // What stands beside the screen, but for tables that can be moved in their own box.
  overflow() {
    const room = document.documentElement.clientWidth;
    const wrong = [];
    if (document.documentElement.scrollWidth > room) wrong.push(`${document.documentElement.scrollWidth} > ${room}`);
    for (const node of document.querySelectorAll("body *")) {
      if (node.closest(".scroll, .skip, .quiet, svg") && !node.matches(".scroll, svg")) continue;
      const { right, width } = node.getBoundingClientRect();
      if (width > 0 && right > room + 1) wrong.push(`${node.tagName} ${node.id} ${node.className}: ${right}`);
    }
    return wrong;
  },
  // Headings that leave a level out, ids that are there twice, places that links do not find.
  structure() {
    const wrong = [];
    let level = 0;
    for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
      const own = Number(heading.tagName[1]);
      if (own > level + 1) wrong.push(`${heading.textContent}: h${own} after h${level}`);
      level = own;
    }
    const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
    wrong.push(...ids.filter((id, at) => ids.indexOf(id) !== at));
    for (const link of document.querySelectorAll('a[href^="#"]')) {
      if (!document.querySelector(link.getAttribute("href"))) wrong.push(link.outerHTML);
    }
    return wrong;
  },
})
