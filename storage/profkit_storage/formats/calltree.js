"use strict";
// Draws the boxes of `flameTree` as a call tree: a treegrid of rows that open, of which only those in sight are made.
// Everything written is text or a number; nothing in the data ever becomes markup.
globalThis.drawCallTree = () => {
  const ROW = 28, AROUND = 12, PAGE = 12; // pixels of a row; rows made beyond those in sight; rows of Page Down
  const INDENT = 14, ON_A_PHONE = 8, NARROWER = 3, DEEP = 14; // pixels a level is further right, up to so many and beyond
  const HOT = 0.5, LONGEST = 60; // a first look: callees with so much of their caller's seconds, so many levels

  const grid = document.getElementById("flame-tree");
  const {
    parent, first, next, place, children, depth, total, name, module, file, line, kind, label, ownOf, statesOf,
    inSeconds, share,
  } = flameTree;
  const opened = new Set();
  let rows = [], active = 0, made = new Map();

  function node(tag, attributes, ...inside) {
    const one = document.createElement(tag);
    for (const key in attributes) one.setAttribute(key, attributes[key]);
    one.append(...inside);
    return one;
  }

  const COLUMNS = [
    ["name", "Function", (box) => nameCell(box)],
    ["number", "Total", (box) => [inSeconds(total[box])]],
    ["number", "of all", (box) => [share(total[box], total[0])]],
    ["number", "Itself", (box) => [inSeconds(ownOf(box))]],
    ["number", "of all", (box) => [share(ownOf(box), total[0])]],
    ["category", "Category", (box) => [label(box)]],
    ["states", "States", (box) => [byShare(statesOf(box)).map(([state, seconds]) => `${state} ${share(seconds, total[box])}`).join(", ")]],
    ["where", "Where", (box) => [where(box)]],
  ];

  const byShare = (states) => states.sort((one, other) => other[1] - one[1]);
  const STATES = COLUMNS.findIndex(([kindOf]) => kindOf === "states");
  const where = (box) => [module(box) || file(box), line(box) || ""].filter(Boolean).join(":");

  function nameCell(box) {
    const button = node("button", { type: "button", tabindex: -1, class: "tree-show", "data-show": "" }, "show");
    button.title = "Show in the flame graph";
    return [
      node("span", { class: "tree-mark", "aria-hidden": "true" }, first[box] < 0 ? "" : opened.has(box) ? "▾" : "▸"),
      node("span", { class: `swatch ${kind(box)}`, "aria-hidden": "true" }),
      node("span", { class: "tree-name" }, name(box)),
      button,
    ];
  }

  // The rows that are open, in order; the heights of those that are not made stand in for them.
  function list() {
    rows = [];
    const waiting = [0];
    while (waiting.length) {
      const box = waiting.pop();
      rows.push(box);
      if (!opened.has(box)) continue;
      const below = [];
      for (let one = first[box]; one >= 0; one = next[one]) below.push(one);
      for (const one of below.reverse()) waiting.push(one);
    }
    grid.setAttribute("aria-rowcount", rows.length + 1);
  }

  const head = node("div", { role: "row", class: "tree-head", "aria-rowindex": 1 },
    ...COLUMNS.map(([kindOf, title]) => node("span", { role: "columnheader", class: `tree-${kindOf}` }, title)));
  head.children[1].setAttribute("aria-sort", "descending");
  const body = node("div", { role: "rowgroup", class: "tree-rows" });
  const before = node("div", { class: "tree-space", role: "presentation" });
  const after = before.cloneNode();

  function row(box, index) {
    const attributes = {
      role: "row", id: `tree-row-${box}`, class: `tree-row${box === active ? " active" : ""}`, "data-row": box,
      "aria-level": depth[box] + 1, "aria-posinset": place[box] || 1, "aria-setsize": box ? children[parent[box]] : 1,
      "aria-rowindex": index + 2, "aria-selected": box === active,
    };
    if (first[box] >= 0) attributes["aria-expanded"] = opened.has(box);
    const cells = COLUMNS.map(([kindOf, , content]) => node("span", { role: "gridcell", class: `tree-${kindOf}` }, ...content(box)));
    const indent = Math.min(depth[box], DEEP) * (grid.clientWidth < 640 ? ON_A_PHONE : INDENT) + Math.max(0, depth[box] - DEEP) * NARROWER;
    cells[0].style.paddingLeft = `${Math.min(indent, 260)}px`;
    const one = node("div", attributes, ...cells);
    one.title = [name(box), module(box), file(box), cells[STATES].textContent].filter(Boolean).join("\n");
    return one;
  }

  function draw() {
    const from = Math.max(0, Math.floor(grid.scrollTop / ROW) - AROUND);
    const to = Math.min(rows.length, from + Math.ceil(grid.clientHeight / ROW) + 2 * AROUND);
    before.style.height = `${from * ROW}px`;
    after.style.height = `${(rows.length - to) * ROW}px`;
    made = new Map();
    for (let index = from; index < to; index++) made.set(rows[index], row(rows[index], index));
    body.replaceChildren(before, ...made.values(), after);
    nameActive();
  }

  function reach(index) {
    const top = index * ROW, room = grid.clientHeight - 2 * ROW;
    if (top < grid.scrollTop) grid.scrollTop = top;
    else if (top > grid.scrollTop + room) grid.scrollTop = top - room;
  }

  // The rows in sight stay the same elements: the second click of two goes to the one that had the first.
  function select(box) {
    mark(made.get(active), false);
    active = box;
    reach(rows.indexOf(box));
    if (!made.has(box)) return draw();
    mark(made.get(box), true);
    nameActive();
  }

  function mark(one, chosen) {
    one?.classList.toggle("active", chosen);
    one?.setAttribute("aria-selected", chosen);
  }

  // The focus stays on the grid, which says what row is meant, if that is there to be named.
  function nameActive() {
    if (made.has(active)) grid.setAttribute("aria-activedescendant", `tree-row-${active}`);
    else grid.removeAttribute("aria-activedescendant");
  }

  function toggle(box, open) {
    if (first[box] < 0) return;
    if (open) opened.add(box); else opened.delete(box);
    list();
    draw();
    select(box);
  }

  function reveal(box) {
    for (let one = parent[box]; one >= 0; one = parent[one]) opened.add(one);
    list();
    draw();
    select(box);
  }

  const step = (by) => rows[Math.max(0, Math.min(rows.length - 1, rows.indexOf(active) + by))];

  const moves = {
    ArrowDown: () => select(step(1)),
    ArrowUp: () => select(step(-1)),
    PageDown: () => select(step(PAGE)),
    PageUp: () => select(step(-PAGE)),
    Home: () => select(rows[0]),
    End: () => select(rows[rows.length - 1]),
    ArrowRight: () => { if (!opened.has(active)) toggle(active, true); else select(first[active]); },
    ArrowLeft: () => {
      if (opened.has(active)) toggle(active, false);
      else if (parent[active] >= 0) select(parent[active]);
    },
    " ": () => toggle(active, !opened.has(active)),
    Enter: () => flameTree.show("graph", active, true),
  };

  const boxAt = (target) => {
    const row = target instanceof Element ? target.closest("[data-row]") : null;
    return row ? Number(row.dataset.row) : -1;
  };

  grid.addEventListener("keydown", (event) => {
    if (event.altKey || event.metaKey || !moves[event.key]) return;
    moves[event.key]();
    event.preventDefault();
  });
  grid.addEventListener("click", (event) => {
    const box = boxAt(event.target);
    if (box < 0) return;
    if (event.target.closest("[data-show]")) {
      select(box);
      flameTree.show("graph", box, true);
    } else if (event.target.closest(".tree-mark")) toggle(box, !opened.has(box));
    else select(box);
  });
  grid.addEventListener("dblclick", (event) => {
    const box = boxAt(event.target);
    if (box >= 0 && !event.target.closest(".tree-mark")) flameTree.show("graph", box, true);
  });
  let waiting = 0;
  grid.addEventListener("scroll", () => { waiting ||= requestAnimationFrame(() => { waiting = 0; draw(); }); });
  new ResizeObserver(draw).observe(grid);

  flameTree.shows("tree", (box, go) => {
    reveal(box);
    if (!go) return;
    grid.scrollIntoView({ block: "nearest" });
    grid.focus();
  });

  // At first it is open along the hottest path, to where it parts.
  for (let box = 0, level = 0; first[box] >= 0 && level < LONGEST; level++) {
    opened.add(box);
    if (total[first[box]] < HOT * total[box]) break;
    box = first[box];
  }
  grid.append(head, body);
  list();
  draw();
};
if (globalThis.flameTree) drawCallTree();
