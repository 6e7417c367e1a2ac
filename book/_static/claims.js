// Makes the table of claims sortable and filterable. Without this script it is a plain table.
document.addEventListener("DOMContentLoaded", () => {
  const box = document.getElementById("claims");
  if (!box) return;
  const names = ["id", "paper", "says", "reported", "static", "white-box", "verdict"];
  const list = new List(box, { valueNames: names });
  const choices = [...box.querySelectorAll("select[data-filter]")];
  const count = box.querySelector(".claims-count");
  const heads = [...box.querySelectorAll("th")];

  const filter = () =>
    list.filter((item) => choices.every((choice) => {
      const said = item.values()[choice.dataset.filter];
      const text = new DOMParser().parseFromString(said, "text/html").body.textContent;
      const own = choice.dataset.filter === "verdict" ? text.slice(text.indexOf(" ") + 1) : text;
      return !choice.value || own === choice.value;
    }));
  // The library listens to keys alone; words may be pasted or spoken, too.
  const words = box.querySelector("input.search");
  words.addEventListener("input", () => list.search(words.value));
  choices.forEach((choice) => choice.addEventListener("change", filter));

  list.on("updated", () => {
    count.textContent = `${list.matchingItems.length} of ${list.items.length} claims`;
    heads.forEach((head) => {
      const button = head.querySelector("button");
      const order = button.classList.contains("asc") ? "ascending"
        : button.classList.contains("desc") ? "descending" : "none";
      head.setAttribute("aria-sort", order);
    });
  });
  box.querySelector(".claims-tools").hidden = false;
  list.update();
});
