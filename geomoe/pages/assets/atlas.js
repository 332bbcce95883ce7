// Layers of marks: one at a time over the map, its legend and its table in the panel. A click on a mark, or
// on its line in the table, says what is known of it.
function geomoeStart(map, data) {
  const base = geomoeBase(map, data), { el, panel, section, option, toggle, coast, borders, graticule, held } = base;
  const MOST = 400; // lines of a table; a longer one says so
  const outlines = data.land.map(base.turned);
  map.setMaxZoom(15);
  if (data.start) {
    const [west, south, east, north] = data.start;
    map.fitBounds([[south, west], [north, east]], { animate: false, maxZoom: 11 });
  }
  const renderer = L.canvas({ padding: 0.3, tolerance: 4 });
  const white = { renderer: base.draw("veil"), interactive: false, stroke: false, fillColor: "#ffffff", fillOpacity: 0.9 };
  const land = base.swapped(() => L.polygon(base.rings, white), () => L.polygon(base.fineRings(), white));

  const chooser = section("Layer", "geomoe-chooser");
  const legend = section("", "geomoe-legend");
  legend.setAttribute("aria-live", "polite");
  const listed = section("", "geomoe-list");
  const over = section("Over the map", "geomoe-over");
  option(over, "land", "Land", true, toggle(land));
  option(over, "coast", "Coastlines", true, toggle(coast));
  if (borders) option(over, "borders", "Country borders", true, toggle(borders));
  option(over, "graticule", "Graticule", true, toggle(graticule));
  if (data.heldOut) option(over, "held", `Held-out region: ${data.heldOut.name}`, true, toggle(held));
  const foot = section("", "geomoe-foot");
  for (const text of data.notes) foot.append(el("p", "", text));

  const told = (layer, values) => {
    const box = el("div", "geomoe-answer");
    box.append(el("h3", "", values[0]));
    const facts = el("dl");
    layer.columns.slice(1).forEach((column, at) => facts.append(el("dt", "", column), el("dd", "", values[at + 1])));
    box.append(facts);
    return box;
  };
  const shape = ([values, colour, faint, kind, ...where]) => {
    const line = faint ? "#8a979e" : "#17232b";
    const look = { renderer, color: line, weight: faint ? 0.6 : 0.9, opacity: 0.9, fillColor: colour, fillOpacity: faint ? 0.4 : 0.95 };
    if (kind === "none") return null;
    if (kind === "disc") return L.circleMarker([where[1], where[0]], { ...look, radius: where[2] });
    if (kind === "box") return L.rectangle([[where[1], where[0]], [where[3], where[2]]], look);
    const coarse = outlines[data.regions[where[0]]], region = L.polygon(coarse, { ...look, weight: 0.6 });
    if (data.detail) base.swapping((on) => region.setLatLngs(on ? base.fineRegion(where[0]) : coarse));
    return region;
  };
  const made = data.layers.map(() => null);
  const make = (number) => {
    if (made[number]) return made[number];
    const layer = data.layers[number];
    const shapes = layer.marks.map((mark) => {
      const one = shape(mark);
      return one && one.bindPopup(() => told(layer, mark[0]), { maxWidth: 420 });
    });
    // Large discs first, so that small ones beside them can be seen and reached.
    const order = shapes.map((_, at) => at).filter((at) => shapes[at]).sort((a, b) => (layer.marks[b][6] || 0) - (layer.marks[a][6] || 0));
    return (made[number] = { shapes, group: L.layerGroup(order.map((at) => shapes[at])) });
  };

  const rows = new Map();
  const buttons = data.layers.map((layer, number) => {
    if (!rows.has(layer.group)) {
      const row = el("div", "geomoe-row");
      row.setAttribute("role", "group");
      row.setAttribute("aria-label", layer.group || "Layer");
      if (layer.group) row.append(el("span", "geomoe-hint", layer.group));
      chooser.append(row);
      rows.set(layer.group, row);
    }
    const button = el("button", "", layer.name);
    button.type = "button";
    button.addEventListener("click", () => show(number));
    rows.get(layer.group).append(button);
    return button;
  });

  const explain = (layer) => {
    legend.replaceChildren(el("h2", "", layer.title));
    if (layer.ramp) {
      const bar = el("div", "geomoe-ramp"), ends = el("div", "geomoe-ticks");
      bar.style.background = `linear-gradient(to right, ${data.ramp.join(",")})`;
      ends.append(el("span", "", layer.ramp[0]), el("span", "", layer.ramp[1]));
      legend.append(bar, ends);
    }
    for (const [colour, text] of layer.keys) {
      const key = el("div", "geomoe-key"), chip = el("b");
      chip.style.background = colour;
      key.append(chip, el("span", "", text));
      legend.append(key);
    }
    if (layer.note) legend.append(el("p", "geomoe-hint", layer.note));
  };

  const list = (layer, shapes) => {
    listed.replaceChildren();
    const table = el("table"), top = el("tr");
    for (const column of layer.columns.slice(0, layer.listed)) top.append(el("th", "", column));
    table.append(top);
    layer.marks.slice(0, MOST).forEach(([values, colour], at) => {
      const line = el("tr");
      values.slice(0, layer.listed).forEach((value, column) => {
        const cell = el("td");
        if (column || !shapes[at]) cell.textContent = value;
        else {
          const button = el("button", "geomoe-name", value), chip = el("b");
          chip.style.background = colour;
          button.prepend(chip);
          button.type = "button";
          button.addEventListener("click", () => go(shapes[at]));
          cell.append(button);
        }
        line.append(cell);
      });
      table.append(line);
    });
    listed.append(table);
    if (layer.marks.length > MOST) listed.append(el("p", "geomoe-hint", `and ${layer.marks.length - MOST} more, on the map alone`));
  };
  const go = (mark) => {
    if (mark.getLatLng) map.setView(mark.getLatLng(), Math.max(map.getZoom(), 8), { animate: false });
    mark.openPopup();
  };

  let shown = null;
  function show(number) {
    map.closePopup();
    if (shown) shown.remove();
    const layer = data.layers[number], { shapes, group } = make(number);
    shown = group.addTo(map);
    // Painted areas would hide coasts, borders, the outline and the graticule; discs are small and lie over them.
    map.getPane("geomoe-lines").style.zIndex = layer.marks.some((mark) => mark[3] === "disc") ? 230 : 405;
    buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(at === number)));
    explain(layer);
    list(layer, shapes);
    document.body.dataset.layer = String(number);
    document.body.dataset.marks = String(shapes.length);
  }
  show(0);
  document.body.dataset.ready = "yes";
}
