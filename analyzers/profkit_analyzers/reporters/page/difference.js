"use strict";
// Says below a difference flame graph what is pointed at, or gone to by arrow keys: many boxes are too narrow for
// their names.
(() => {
  // By key, the box that one goes to from another: callers are above what they call, the widest of a row on the left.
  const WAYS = {
    ArrowUp: (boxes, from) => last(boxes.filter((box) => box.top < from.top && holds(box, from)), "top"),
    ArrowDown: (boxes, from) => first(below(boxes, from), "left"),
    ArrowRight: (boxes, from) => first(boxes.filter((box) => box.top === from.top && box.left > from.left), "left"),
    ArrowLeft: (boxes, from) => last(boxes.filter((box) => box.top === from.top && box.left < from.left), "left"),
    Home: (boxes) => first(boxes, "top"),
  };

  function below(boxes, from) {
    const next = first(boxes.filter((box) => box.top > from.top), "top");
    return boxes.filter((box) => next && box.top === next.top && holds(from, box));
  }

  function holds(outer, inner) {
    return outer.left <= inner.left && inner.left < outer.right;
  }

  function first(boxes, by) {
    return boxes.reduce((found, box) => (found && found[by] <= box[by] ? found : box), null);
  }

  function last(boxes, by) {
    return boxes.reduce((found, box) => (found && found[by] >= box[by] ? found : box), null);
  }

  const parts = document.querySelectorAll(".difference-of");
  for (const part of parts) follow(part);
  // Paper has no way to open what is folded in.
  addEventListener("beforeprint", () => { for (const part of parts) part.open = true; });

  function follow(part) {
    const said = part.querySelector(".pointed");
    const graph = part.querySelector(".difference");
    const boxes = [...graph.querySelectorAll(".box")].map(placed);
    let current = null;
    said.hidden = false;
    graph.tabIndex = 0;
    graph.setAttribute("role", "application");
    graph.setAttribute("aria-describedby", said.id);

    function show(box) {
      current?.element.classList.remove("current");
      current = box;
      current.element.classList.add("current");
      said.textContent = current.element.querySelector("title").textContent;
    }
    function point(event) {
      const element = event.target instanceof Element ? event.target.closest(".box") : null;
      if (element) show(boxes.find((box) => box.element === element));
    }
    part.addEventListener("pointerover", point);
    part.addEventListener("click", point);
    graph.addEventListener("keydown", (event) => {
      const way = WAYS[event.key];
      if (!way || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const next = current ? way(boxes, current) : boxes[0];
      if (next) show(next);
      current?.element.scrollIntoView({ block: "nearest", inline: "nearest" });
    });
  }

  function placed(element) {
    const box = element.querySelector("rect");
    const [left, top, width] = ["x", "y", "width"].map((name) => Number(box.getAttribute(name)));
    return { element, left, top, right: left + width };
  }
})();
