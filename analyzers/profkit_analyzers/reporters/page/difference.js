"use strict";
// Says below a difference flame graph what is pointed at: many boxes are too narrow for their names.
(() => {
  const parts = document.querySelectorAll(".difference-of");
  for (const part of parts) {
    const said = part.querySelector(".pointed");
    said.hidden = false;
    const say = (event) => {
      const box = event.target instanceof Element ? event.target.closest(".box") : null;
      if (box) said.textContent = box.querySelector("title").textContent;
    };
    part.addEventListener("pointerover", say);
    part.addEventListener("click", say);
  }
  // Paper has no way to open what is folded in.
  addEventListener("beforeprint", () => { for (const part of parts) part.open = true; });
})();
