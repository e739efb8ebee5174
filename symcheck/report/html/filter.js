"use strict";
(() => {
  const reveal = () => {
    const row = document.getElementById(location.hash.slice(1))?.closest("details.row");
    if (!row) return;
    row.hidden = false;
    row.open = true;
    row.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();
})();
(() => {
  const form = document.querySelector("form.filter");
  if (!form) return;
  const rows = [...document.querySelectorAll("details.row")];
  const texts = rows.map((row) => {
    const group = row.closest(".group").querySelector("h2, h3").textContent;
    return `${group} ${row.querySelector("summary").textContent}`.toLowerCase();
  });
  const search = form.querySelector("input[type=search]");
  const boxes = [...form.querySelectorAll("input[type=checkbox]")];
  const update = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    let shown = 0;
    rows.forEach((row, i) => {
      row.hidden = !(chosen.has(row.dataset.verdict) && words.every((word) => texts[i].includes(word)));
      shown += row.hidden ? 0 : 1;
    });
    for (const group of document.querySelectorAll(".group")) {
      group.hidden = !group.querySelector("details.row:not([hidden])");
    }
    form.querySelector("output").textContent = shown < rows.length ? `${shown} of ${rows.length}` : "";
  };
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
})();
