"use strict";
// Draws the flame graph and the call tree that are chosen: one at a time, from the data that stands beside its template.
(() => {
  const choice = document.getElementById("graph-choice"), place = document.getElementById("graph-place");
  if (!choice) return;
  document.getElementById("graphs").hidden = false;
  let drawn = new AbortController();

  function draw() {
    drawn.abort();
    drawn = new AbortController();
    place.replaceChildren(document.getElementById(`graph-${choice.value}`).content.cloneNode(true));
    globalThis.flameTree = flameTreeOf(JSON.parse(document.getElementById(`data-${choice.value}`).textContent));
    drawFlameGraph(drawn.signal);
    drawCallTree();
  }

  // Not before it is in sight: the ranking is what the page opens with.
  const sight = new IntersectionObserver((entries) => { if (entries.some((one) => one.isIntersecting)) first(); }, { rootMargin: "300px" });
  function first() {
    sight.disconnect();
    if (!place.firstChild) draw();
  }

  choice.addEventListener("change", draw);
  addEventListener("beforeprint", first);
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("[data-graph]") : null;
    if (!button) return;
    choice.value = button.dataset.graph;
    draw();
    document.getElementById("graphs").scrollIntoView();
    choice.focus({ preventScroll: true });
  });
  sight.observe(place);
})();
