// Draws the figures of every test subject in an opened row, as dots by site and as a table.
"use strict";
(() => {
  const holder = document.getElementById("people");
  if (!holder) return;
  const data = JSON.parse(holder.textContent);
  const scale = 10 ** data.decimals;
  const SVG = "http://www.w3.org/2000/svg";
  const HEIGHT = 34;
  const LEFT = 90;
  const RIGHT = 20;

  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  const draw = (parent, name, attributes, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  };

  const series = (wanted) =>
    data.series.find((one) => Object.entries(wanted).every(([key, value]) => one[key] === value));

  const show = (value) => (value === null ? "–" : (value / scale).toFixed(data.decimals));

  const dots = (place, metric, rows) => {
    const width = Math.max(280, Math.min(900, place.clientWidth || 900));
    const sites = [...new Set(rows.map((row) => row.site))].sort();
    const values = rows.flatMap((row) => [row.released, row.rebuilt]).filter((value) => value !== null);
    place.replaceChildren();
    if (!values.length) return place.append(element("p", "Undefined for everybody here.", { class: "note" }));
    let [low, high] = [Math.min(...values), Math.max(...values)];
    if (low === high) [low, high] = [low - scale / 100, high + scale / 100];
    const at = (value) => LEFT + ((value - low) / (high - low)) * (width - LEFT - RIGHT);
    const height = HEIGHT * sites.length + 22;
    const svg = draw(place, "svg", {
      viewBox: `0 0 ${width} ${height}`, width, height, role: "img", class: "strip-plot",
      "aria-label": `${metric} of every test subject, released and reconstructed, by site; the table below has the figures`,
    });
    sites.forEach((site, number) => {
      const middle = HEIGHT * number + HEIGHT / 2;
      draw(svg, "text", { x: 0, y: middle + 4 }, site);
      draw(svg, "line", { x1: LEFT, x2: width - RIGHT, y1: middle, y2: middle, class: "axis" });
      for (const row of rows.filter((one) => one.site === site)) {
        for (const [kind, value, shift] of [["given", row.released, -6], ["rebuilt", row.rebuilt, 6]]) {
          if (value === null) continue;
          const dot = draw(svg, "circle", { cx: at(value), cy: middle + shift, r: 3.5, class: kind });
          draw(dot, "title", {}, `${row.subject}, ${kind === "given" ? "released" : "reconstructed"}: ${show(value)}`);
        }
      }
    });
    draw(svg, "text", { x: LEFT, y: height - 4, class: "end" }, show(low));
    draw(svg, "text", { x: width - RIGHT, y: height - 4, class: "end", "text-anchor": "end" }, show(high));
    const legend = element("p", undefined, { class: "note" });
    legend.append(element("span", "● released", { class: "given" }), " above the line, ",
      element("span", "● reconstructed", { class: "rebuilt" }), " below it; one dot a subject");
    place.append(legend);
  };

  const table = (place, metric, rows) => {
    const made = element("table");
    made.append(element("caption", `${metric} of every test subject`));
    const head = made.createTHead().insertRow();
    for (const name of ["subject", "site", "released", "reconstructed", "gain"]) {
      const header = element("th", undefined, { scope: "col", "aria-sort": "none" });
      header.append(element("button", name, { type: "button", class: "sort" }));
      head.append(header);
    }
    const body = made.createTBody();
    for (const row of rows) {
      const line = body.insertRow();
      line.append(element("th", row.subject, { scope: "row" }), element("td", row.site));
      const gain = row.released === null || row.rebuilt === null ? null : row.rebuilt - row.released;
      for (const value of [row.released, row.rebuilt, gain]) {
        line.append(element("td", show(value), { class: "number", "data-value": value ?? "" }));
      }
    }
    place.replaceChildren(made);
  };

  const fill = (people, region) => {
    const [attacker, seed] = [people.querySelector(".who").value.replace(/\|\d+$/, ""), people.querySelector(".who").value.match(/\d+$/)?.[0]];
    const metric = people.querySelector(".which").value;
    const common = { anonymizer: people.dataset.anonymizer, region, metric };
    const released = series({ ...common, condition: "anonymized" });
    const rebuilt = series({ ...common, condition: "reconstructed", attacker, seed });
    const rows = data.people.map(([subject, site], number) => ({
      subject, site, released: released?.values[number] ?? null, rebuilt: rebuilt?.values[number] ?? null,
    })).filter((row) => row.released !== null || row.rebuilt !== null);
    dots(people.querySelector(".dots"), `${metric} in ${region}`, rows);
    const more = people.querySelector("details");
    const values = more.querySelector(".values");
    values.replaceChildren();
    if (more.open) table(values, `${metric} in ${region}`, rows);
    more.ontoggle = () => more.open && !values.hasChildNodes() && table(values, `${metric} in ${region}`, rows);
  };

  document.addEventListener("row-opened", (event) => {
    const region = event.detail.row.closest(".region").dataset.region;
    for (const part of event.target.querySelectorAll("[data-region]")) part.hidden = part.dataset.region !== region;
    const people = event.target.querySelector(".people");
    if (!people) return;
    for (const control of people.querySelectorAll("select")) control.addEventListener("input", () => fill(people, region));
    fill(people, region);
  });
})();
