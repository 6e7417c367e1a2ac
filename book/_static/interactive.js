// Draws a figure's lines so that they answer to the reader's hand: values under the pointer, lines
// hidden and shown by the legend. The picture remains for print, and where this script does not run.
(() => {
  const library = new URL("vendor/plotly-basic-4.1.1.min.js", document.currentScript.src).href;
  const NARROW = 600; // pixels; below, a panel a line
  const LEGEND = 60; // pixels that a figure leaves for its legend; a taller one makes the figure taller
  let loaded;

  const load = () => (loaded ??= new Promise((done, failed) => {
    const script = Object.assign(document.createElement("script"), { src: library, onload: done, onerror: failed });
    document.head.append(script);
  }));

  const laidOut = (layout, width) => {
    const panels = Object.keys(layout).filter((key) => key.startsWith("xaxis")).length;
    const { rows, columns } = layout.grid;
    const across = width < NARROW ? 1 : columns;
    const down = across === columns ? rows : panels;
    const height = layout.height / rows * down + LEGEND;
    return {
      ...layout, height, width,
      grid: { ...layout.grid, rows: down, columns: across, xgap: 0.16, ygap: Math.min(0.3, 0.1 + 0.1 * down) },
      font: { family: "system-ui, sans-serif", size: 12, color: "#222222" },
      paper_bgcolor: "white", plot_bgcolor: "white",
      margin: { l: 55, r: 15, t: 50, b: 20 },
      legend: { orientation: "h", x: 0.5, xanchor: "center", yref: "container", y: 0, yanchor: "bottom" },
    };
  };

  const draw = async (script) => {
    const picture = script.closest(".cell_output").querySelectorAll("img")[Number(script.dataset.picture)];
    const { data, layout } = JSON.parse(script.textContent);
    for (const key of Object.keys(layout)) {
      if (/^[xy]axis/.test(key)) Object.assign(layout[key], { zeroline: false, gridcolor: "#dddddd", automargin: true });
    }
    await load();
    const place = document.createElement("div");
    place.className = "interactive";
    place.setAttribute("role", "figure");
    place.setAttribute("aria-label", picture.alt);
    picture.before(place);
    const options = { displayModeBar: false, responsive: false };
    const width = () => Math.floor(place.parentElement.clientWidth);
    const fill = async (plot) => {
      await plot(place, data, laidOut(layout, width()), options);
      const tall = place.querySelector(".legend")?.getBoundingClientRect().height ?? 0;
      if (tall > LEGEND) await Plotly.relayout(place, { height: place.layout.height + tall - LEGEND });
    };
    await fill(Plotly.newPlot);
    picture.classList.add("on-paper");
    new ResizeObserver(() => {
      if (width() && width() !== place.layout.width) fill(Plotly.react);
    }).observe(place.parentElement);
  };

  document.addEventListener("DOMContentLoaded", () => {
    const seen = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        seen.unobserve(target);
        target.querySelectorAll("script.interactive-data").forEach(draw);
      }
    }, { rootMargin: "600px" });
    document.querySelectorAll("script.interactive-data")
      .forEach((script) => seen.observe(script.closest(".cell_output")));
  });
})();
