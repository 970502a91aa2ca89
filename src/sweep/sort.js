document.querySelectorAll("table.sortable").forEach(function (table) {
  const body = table.tBodies[0];
  Array.from(table.tHead.rows[0].cells).forEach(function (head, column) {
    if (head.textContent === "") return;
    let direction = -1;
    function key(row) {
      const cell = row.cells[column];
      return cell.dataset.value === undefined ? cell.textContent : cell.dataset.value;
    }
    function sort() {
      direction = -direction;
      const rows = Array.from(body.rows);
      rows.sort(function (a, b) {
        const texts = [key(a), key(b)], numbers = texts.map(Number);
        const known = texts.map(function (text, i) { return text === "" ? false : !Number.isNaN(numbers[i]); });
        if (known[0] !== known[1]) return known[0] ? -1 : 1;
        return direction * (known[0] ? numbers[0] - numbers[1] : texts[0].localeCompare(texts[1]));
      });
      body.append(...rows);
      Array.from(head.parentNode.cells).forEach(function (other) { other.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
    }
    head.style.cursor = "pointer";
    head.tabIndex = 0;
    head.addEventListener("click", sort);
    head.addEventListener("keydown", function (event) { if (event.key === "Enter") sort(); });
  });
});
