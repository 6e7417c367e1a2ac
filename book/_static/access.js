// What the theme leaves out for keyboards, screen readers and phones.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".pst-scrollable-table-container").forEach((box) => { box.tabIndex = 0; });
  document.querySelectorAll("article table.table, article table.dataframe").forEach((table) => {
    const labels = [...(table.tHead?.rows[0]?.cells ?? [])].map((cell) => cell.innerText.trim());
    if (!labels.includes("verdict") && !labels.includes("undecided")) return;
    table.classList.add("cards"); // on a phone a card a row, see tables.css
    for (const row of table.tBodies[0].rows) {
      [...row.cells].forEach((cell, n) => { cell.dataset.label = labels[n]; });
    }
  });
  document.querySelectorAll(".citation-list[role=list]").forEach((list) => list.removeAttribute("role"));
});
// An equation that is wider than a phone scrolls, by keyboard, too.
window.addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  document.querySelectorAll("mjx-container[display=true]").forEach((box) => { box.tabIndex = 0; });
});
