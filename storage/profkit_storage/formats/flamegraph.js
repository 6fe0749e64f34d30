"use strict";
// Draws the boxes of `flameTree` as a flame graph: zoom, search, details, keyboard. `signal` ends what it listens to.
// Everything written is text or a number; nothing in the data ever becomes markup.
globalThis.drawFlameGraph = (signal) => {
  const SVG = "http://www.w3.org/2000/svg";
  const ROW = 20, NARROW = 1.5, MARGIN = 7, PAUSE = 80;
  const CALLERS = 60, CALLED = 500; // rows drawn above and below what is zoomed into
  const SHADED = new Set(["waiting", "starved", "held", "gc"]);
  const RUNTIME = new Set(["starved", "held", "gc"]);

  const element = (id) => document.getElementById(id);
  const graph = element("flame-graph"), details = element("flame-details"), toTree = element("flame-to-tree");
  const search = element("flame-search"), found = element("flame-found"), reset = element("flame-reset");
  const {
    count, texts, own, held, marks, smaller, total, left, free, depth, end, first, next, previous, place, children,
    parent: parents, name, module, kind, label, ownOf, inSeconds, share, counted,
  } = flameTree;

  function described(box) {
    const said = [name(box)];
    if (module(box)) said.push(module(box));
    said.push(inSeconds(total[box]), `${share(total[box], total[0])} of all`);
    if (box) said.push(label(box));
    for (const [state, seconds] of own[box] ?? []) said.push(`${inSeconds(seconds)} ${state} by itself`);
    for (const [mark] of marks.get(box) ?? []) said.push(`operation ${texts[mark]}`);
    return said.join(", ");
  }

  // Drawing. `zoomed` is the box that has the whole width; what calls it is drawn above it, what it does not call is not.
  let zoomed = 0, active = 0, explained = 0, chosen = -1, matches = null, drawn = new Map(), svg = null, letter = 7, width = 0, base = 0;

  function made(tag, attributes, parent) {
    const node = document.createElementNS(SVG, tag);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    parent?.append(node);
    return node;
  }

  function rect(parent, kind, x, y, wide) {
    return made("rect", { ...kind, x: x.toFixed(2), y, width: Math.max(wide, 0.5).toFixed(2), height: ROW - 1 }, parent);
  }

  function drawBox(box, into, scale) {
    const above = box < zoomed;
    const x = above ? 0 : (left[box] - left[zoomed]) * scale;
    const wide = above ? width : total[box] * scale;
    const y = (depth[box] - base) * ROW;
    const group = made("g", {
      class: `box ${kind(box)}${above ? " above" : ""}${matches?.has(box) ? " hit" : ""}${box === chosen ? " chosen" : ""}`,
      role: "treeitem", tabindex: -1, "data-box": box, "aria-label": described(box),
      "aria-level": depth[box] + 1, "aria-posinset": place[box] || 1,
      "aria-setsize": box ? children[parents[box]] : 1,
    }, into);
    if (first[box] >= 0) group.setAttribute("aria-expanded", "true");
    rect(group, { class: "fill" }, x, y, wide - 1);
    if (!above) drawOwn(box, group, x, y, scale);
    if (marks.has(box)) rect(group, { class: "mark" }, x, y, Math.min(wide - 1, 4));
    const letters = Math.floor((wide - MARGIN - 3) / letter);
    if (letters >= 3) {
      const full = name(box);
      const shown = full.length <= letters ? full : `${full.slice(0, letters - 1)}…`;
      made("text", { x: (x + MARGIN).toFixed(2), y: y + 14 }, group).textContent = shown;
    }
    drawn.set(box, group);
  }

  function drawOwn(box, group, x, y, scale) {
    let from = x + (free[box] - left[box]) * scale;
    for (const [state, seconds] of own[box] ?? []) {
      const wide = seconds * scale;
      if (wide >= NARROW) {
        if (RUNTIME.has(state)) rect(group, { class: "fill runtime" }, from, y, wide - 1);
        if (SHADED.has(state)) rect(group, { class: "shade", fill: `url(#flame-${state})` }, from, y, wide - 1);
      }
      from += wide;
    }
  }

  function draw() {
    width = Math.max(graph.clientWidth, 200);
    const scale = total[zoomed] > 0 ? width / total[zoomed] : 0;
    const into = document.createDocumentFragment();
    let deepest = depth[zoomed];
    drawn = new Map();
    base = Math.max(0, depth[zoomed] - CALLERS);
    const callers = [];
    for (let box = parents[zoomed]; box >= 0 && depth[box] >= base; box = parents[box]) callers.push(box);
    for (const box of callers.reverse()) drawBox(box, into, scale);
    for (let box = zoomed; box < end[zoomed];) {
      if ((total[box] * scale < NARROW && box !== zoomed) || depth[box] - depth[zoomed] > CALLED) {
        box = end[box];
        continue;
      }
      drawBox(box, into, scale);
      deepest = Math.max(deepest, depth[box]);
      box++;
    }
    const height = (deepest - base + 1) * ROW;
    for (const [key, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` })) svg.setAttribute(key, value);
    svg.classList.toggle("searching", matches !== null);
    svg.replaceChildren(into);
    reset.disabled = zoomed === 0;
    if (!drawn.has(active)) active = zoomed;
    drawn.get(active).setAttribute("tabindex", 0);
  }

  function activate(box) {
    drawn.get(active)?.setAttribute("tabindex", -1);
    active = box;
    drawn.get(active)?.setAttribute("tabindex", 0);
    explain(box);
  }

  function zoom(box, go = graph.contains(document.activeElement)) {
    zoomed = box;
    activate(box);
    draw();
    if (go) focus(box);
  }

  // What the user chose: it is zoomed into, and the call tree shows its row.
  function choose(box) {
    chosen = box;
    zoom(box);
    flameTree.show("tree", box, false);
  }

  // A box that is too narrow to be drawn is zoomed into, with its caller if that is enough.
  function focus(box) {
    for (const wider of [Math.max(0, parents[box]), box]) {
      if (drawn.has(box)) break;
      zoomed = wider;
      active = box;
      draw();
    }
    drawn.get(box).focus();
  }

  // Details of the box that is pointed at or has the focus.
  function explain(box) {
    explained = box;
    const lines = [];
    const line = (label, text) => {
      const term = document.createElement("dt"), value = document.createElement("dd");
      term.textContent = label;
      value.textContent = text;
      lines.push(term, value);
    };
    const heading = document.createElement("p");
    heading.className = "name";
    heading.textContent = name(box);
    const file = flameTree.file(box), at = flameTree.line(box);
    if (module(box)) line("module", module(box));
    if (file) line("file", `${file}${at ? `, most at line ${at}` : ""}`);
    line("seconds", `${inSeconds(total[box])}, ${share(total[box], total[0])} of all`
      + (zoomed ? `, ${share(total[box], total[zoomed])} of what is zoomed into` : ""));
    const alone = ownOf(box);
    line("its own", alone ? (own[box] ?? []).map(([state, seconds]) => `${inSeconds(seconds)} ${state}`).join(", ") : "none");
    if (box) line("of", label(box));
    if (smaller.has(box)) line("stands for", `${smaller.get(box).toLocaleString("en")} places in the code, below the same callers`);
    if (held.has(box)) line("loop held by", held.get(box).slice(0, 3).map(([by, seconds]) => `${texts[by]} (${inSeconds(seconds)})`).join(", "));
    if (marks.has(box)) line("operations", marks.get(box).slice(0, 4).map(([mark, category, calls, seconds]) =>
      `${texts[mark]}${texts[category] ? ` (${texts[category]})` : ""}: ${counted(calls, "call")}, ${inSeconds(seconds)}`).join("; "));
    const list = document.createElement("dl");
    list.append(...lines);
    details.replaceChildren(heading, list);
    details.parentElement.classList.add("explaining"); // it stays in sight from now on
  }

  let waiting = 0; // a timer

  // Search: boxes whose function, module, file or operations contain the words, letter case aside.
  function seek() {
    const wanted = search.value.trim().toLowerCase();
    if (!wanted) {
      matches = null;
      found.textContent = "";
      return draw();
    }
    const hit = texts.map((text) => text.toLowerCase().includes(wanted));
    matches = new Set();
    const functions = new Set();
    let seconds = 0, covered = 0;
    for (let box = 1; box < count; box++) {
      const whole = `${module(box)}.${name(box)}`;
      if (!flameTree.textsOf(box).some((text) => hit[text])
        && !(marks.get(box) ?? []).some(([mark]) => hit[mark]) && !whole.toLowerCase().includes(wanted)) continue;
      matches.add(box);
      functions.add(whole);
      if (box >= covered) {
        seconds += total[box];
        covered = end[box];
      }
    }
    found.textContent = matches.size
      ? `${counted(functions.size, "function")}, ${inSeconds(seconds)}, ${share(seconds, total[0])} of all`
      : "Nothing found";
    draw();
  }

  // Escape takes back one thing at a time: what is searched, then the zoom. Not every browser clears the field itself.
  function leave(event) {
    event.preventDefault();
    clearTimeout(waiting);
    if (search.value) search.value = "";
    else if (zoomed) zoom(0, false);
    seek();
  }

  const boxAt = (target) => {
    const group = target instanceof Element ? target.closest("[data-box]") : null;
    return group ? Number(group.dataset.box) : -1;
  };

  const steps = {
    ArrowDown: (box) => first[box], ArrowUp: (box) => parents[box],
    ArrowRight: (box) => next[box], ArrowLeft: (box) => previous[box], Home: () => 0,
  };

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const box = boxAt(event.target);
    if (box < 0) return;
    if (steps[event.key]) {
      const to = steps[event.key](box);
      if (to >= 0) focus(to);
    } else if (event.key === "Enter" || event.key === " ") {
      choose(box);
    } else if (event.key === "t" || event.key === "T") {
      flameTree.show("tree", box, true);
    } else if (event.key === "Backspace") {
      if (zoomed) zoom(parents[zoomed]);
    } else return;
    event.preventDefault();
  }

  svg = made("svg", { class: "flame", role: "tree", "aria-label": `Flame graph of ${name(0)}, ${inSeconds(total[0])}` });
  graph.replaceChildren(svg);
  const sample = made("text", { x: 0, y: 14 }, svg);
  sample.textContent = "m".repeat(50);
  letter = sample.getComputedTextLength() / 50 || letter;

  // Not on the SVG: one that listens for focus can be tabbed to.
  graph.addEventListener("click", (event) => { const box = boxAt(event.target); if (box >= 0) choose(box); });
  graph.addEventListener("pointerover", (event) => { const box = boxAt(event.target); if (box >= 0) explain(box); });
  graph.addEventListener("focusin", (event) => { const box = boxAt(event.target); if (box >= 0) activate(box); });
  graph.addEventListener("keydown", pressed);
  reset.addEventListener("click", () => { zoom(0); search.focus(); });
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(seek, PAUSE); });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Escape") leave(event);
    if (event.key !== "Enter" || !matches?.size) return;
    focus([...matches].reduce((best, box) => total[box] > total[best] ? box : best));
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, select, textarea")) return;
    if (event.key === "/") {
      event.preventDefault();
      search.focus();
    } else if (event.key === "Escape" && zoomed) zoom(0);
  }, { signal });
  toTree.addEventListener("click", () => flameTree.show("tree", explained, true));
  flameTree.shows("graph", (box, go) => {
    chosen = box;
    zoom(box, go);
    if (go) graph.scrollIntoView({ block: "nearest" });
  });
  new ResizeObserver(() => { if (Math.max(graph.clientWidth, 200) !== width) draw(); }).observe(graph);
  draw();
};
if (globalThis.flameTree) drawFlameGraph();
