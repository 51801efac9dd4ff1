() => {
  // Names and live regions for screen readers; Gradio calls this when the page is loaded.
  const name = () => {
    document.documentElement.lang = "en";
    for (const id of ["facts", "point", "points-summary", "stack-facts", "pair-facts"]) {
      const block = document.getElementById(id);
      if (block && !block.hasAttribute("aria-live")) block.setAttribute("aria-live", "polite");
    }
    for (const [number, image] of document.querySelectorAll(".mdd-hero img").entries()) {
      if (!image.alt) image.alt = number % 2 ? "the same, refocused" : "the photo";
    }
    const points = document.querySelector("#points canvas");
    if (points && !points.hasAttribute("aria-label")) {
      points.setAttribute("role", "img");
      points.setAttribute("aria-label", "point cloud; drag to rotate it, or use the sliders below");
    }
  };
  name();
  new MutationObserver(name).observe(document.body, {childList: true, subtree: true});
}
