// Headings with buttons sort their table: numbers from the largest, text from A, unknown values last.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  const key = (row, column) => row.cells[column].dataset.sort ?? row.cells[column].textContent;
  const compare = (a, b) => (a - b) || a.localeCompare(b, undefined, { numeric: true });
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const first = column === 0 ? "ascending" : "descending";
      const second = column === 0 ? "descending" : "ascending";
      const order = heading.getAttribute("aria-sort") === first ? second : first;
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const rows = [...table.tBodies[0].rows].sort((x, y) => {
        const [a, b] = [key(x, column), key(y, column)];
        if (a === "" || b === "") return (a === "") - (b === "");
        return sign * compare(a, b);
      });
      table.tBodies[0].append(...rows);
    });
  });
}

// The hint to scroll stands only where there is something to scroll to.
const hints = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const isCut = target.scrollWidth > target.clientWidth + 1;
    target.parentElement.classList.toggle("cut", isCut);
    target.parentElement.classList.toggle("whole", !isCut);
  }
});
for (const box of document.querySelectorAll(".wide")) hints.observe(box);
