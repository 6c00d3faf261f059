// Sorting, filtering and opening the rows of leaderboards. Every element `.board` is one, with its own controls.
"use strict";
(() => {
  const rowsOf = (table) => [...table.tBodies[0].rows].filter((row) => !row.classList.contains("detail"));

  const close = (row) => {
    if (row.nextElementSibling?.classList.contains("detail")) row.nextElementSibling.remove();
    row.querySelector(".opener")?.setAttribute("aria-expanded", "false");
  };

  const open = (row) => {
    const details = document.getElementById(row.dataset.details);
    const line = document.createElement("tr");
    const cell = document.createElement("td");
    line.className = "detail";
    cell.colSpan = row.closest("table").querySelectorAll("thead tr:last-child th").length + 1;
    cell.append(details.content.cloneNode(true));
    line.append(cell);
    row.after(line);
    row.querySelector(".opener").setAttribute("aria-expanded", "true");
    line.dispatchEvent(new CustomEvent("row-opened", { bubbles: true, detail: { row } }));
  };

  const toggle = (row) =>
    row.querySelector(".opener").getAttribute("aria-expanded") === "true" ? close(row) : open(row);

  const value = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.value === undefined) return cell.textContent.trim().toLowerCase();
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  };

  // What has no value stands last, whichever way the others go.
  const compare = (one, other, up) => {
    if (one === null || other === null) return (one === null) - (other === null);
    const order = typeof one === "number" ? one - other : one.localeCompare(other, "en", { numeric: true });
    return up ? order : -order;
  };

  const sort = (table, header) => {
    const up = header.getAttribute("aria-sort") !== "ascending";
    const column = header.cellIndex;
    for (const other of table.tHead.rows[table.tHead.rows.length - 1].cells) {
      if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
    }
    header.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = rowsOf(table);
    rows.forEach(close);
    rows.sort((one, other) => compare(value(one, column), value(other, column), up));
    table.tBodies[0].append(...rows);
  };

  // Any table whose headers hold buttons can be sorted, also those that come with a row's details.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("th button.sort");
    if (button) return sort(button.closest("table"), button.closest("th"));
    const row = event.target.closest("tr[data-details]");
    if (!row || getSelection().toString()) return;
    if (event.target.closest(".opener") || !event.target.closest("a, button, input, select")) toggle(row);
  });

  for (const board of document.querySelectorAll(".board")) {
    const controls = board.querySelector(".controls");
    const tables = [...board.querySelectorAll("table.leaderboard")];
    const chosen = (name) => {
      const control = controls.querySelector(`[data-filter="${name}"]`);
      return control ? (control.type === "checkbox" ? control.checked : control.value) : "";
    };
    const show = () => {
      const words = chosen("text").toLowerCase().split(/\s+/).filter(Boolean);
      const [region, metric] = [chosen("region"), chosen("metric")];
      let shown = 0;
      let all = 0;
      for (const table of tables) {
        const place = table.closest(".region");
        place.hidden = region !== "" && place.dataset.region !== region;
        for (const cell of table.querySelectorAll("thead [data-metric], tbody > tr:not(.detail) > [data-metric]")) {
          cell.hidden = metric !== "" && cell.dataset.metric !== metric;
        }
        for (const row of rowsOf(table)) {
          const text = `${row.dataset.anonymizer} ${row.dataset.attacker} ${row.textContent}`.toLowerCase();
          const fits =
            (row.dataset.strongest || chosen("every") || chosen("attacker")) &&
            (!chosen("anonymizer") || row.dataset.anonymizer === chosen("anonymizer")) &&
            (!chosen("attacker") || row.dataset.attacker === chosen("attacker")) &&
            words.every((word) => text.includes(word));
          row.hidden = !fits;
          if (!fits) close(row);
          if (!place.hidden) {
            all += 1;
            shown += fits ? 1 : 0;
          }
        }
      }
      board.querySelector(".count").textContent = `${shown} of ${all} rows`;
    };
    controls.addEventListener("input", show);
    controls.addEventListener("submit", (event) => event.preventDefault());
    controls.addEventListener("reset", () => setTimeout(show));
    controls.hidden = false;
    show();
  }
})();
