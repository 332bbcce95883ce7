// The map itself, without tiles; bounds are west, south, east, north in degrees.
function geomoeMap(id, [west, south, east, north]) {
  const view = { center: [(south + north) / 2, (west + east) / 2], zoom: 1, zoomSnap: 0.25, zoomDelta: 0.5 };
  return L.map(id, { ...view, crs: L.CRS.EPSG3857, attributionControl: false });
}

// Meridians and parallels with their degrees at the edge, spaced so that at least four cross the longer side.
// They are drawn anew when the map is moved or zoomed.
function geomoeGraticule(map, el, line) {
  const STEPS = [30, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01];
  const group = L.layerGroup();
  const name = (value, plus, minus) => {
    const size = Number(Math.abs(value).toFixed(2));
    return `${size}\u00b0${size === 0 || size === 180 ? "" : value < 0 ? ` ${minus}` : ` ${plus}`}`;
  };
  const label = (place, text, anchor, kind) => L.marker(place, {
    pane: "geomoe-lines", interactive: false, keyboard: false,
    icon: L.divIcon({ html: el("span", "", text), className: `geomoe-degree ${kind}`, iconSize: [60, 16], iconAnchor: anchor }),
  });
  const draw = () => {
    group.clearLayers();
    const view = map.getBounds(), south = Math.max(view.getSouth(), -85), north = Math.min(view.getNorth(), 85);
    const west = view.getWest(), east = view.getEast();
    const longer = Math.max(east - west, north - south) * (1 + 1e-9);
    const step = STEPS.find((one) => longer / one >= 4) || STEPS[STEPS.length - 1];
    document.body.dataset.graticule = String(step);
    const multiples = (low, high) => {
      const found = [];
      for (let number = Math.ceil(low / step); number <= high / step; number++) found.push(number * step);
      return found;
    };
    for (const lon of multiples(west, east)) {
      group.addLayer(L.polyline([[south, lon], [north, lon]], line));
      const wrapped = ((((lon + 180) % 360) + 360) % 360) - 180;
      group.addLayer(label([view.getSouth(), lon], name(wrapped, "E", "W"), [30, 18], "east"));
    }
    for (const lat of multiples(south, north)) {
      group.addLayer(L.polyline([[lat, west], [lat, east]], line));
      group.addLayer(label([lat, west], name(lat, "N", "S"), [-4, 8], "north"));
    }
  };
  map.on("moveend resize", draw);
  draw();
  return group;
}

// Lines of whole numbers in base 64, as pages.ground.packed makes them: [[lat, lon], ...] in degrees each.
function geomoeLines(text, cell) {
  const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  const lines = [];
  let at = 0;
  const next = () => {
    let number = 0, bits = 0, byte;
    do { byte = bytes[at++]; number |= (byte & 127) << bits; bits += 7; } while (byte & 128);
    return number & 1 ? -(number + 1) / 2 : number / 2;
  };
  while (at < bytes.length) {
    const line = [];
    let lon = 0, lat = 0;
    for (let left = next(); left > 0; left--) {
      lon += next();
      lat += next();
      line.push([lat * cell, lon * cell]);
    }
    lines.push(line);
  }
  return lines;
}

// The coasts of regions, each a list of rings: without what is along the edge of the map, and where two regions meet.
function geomoeCoasts(regions, left) {
  const found = [], owner = new Map();
  const edge = ([lat, lon]) => lat < -89.9 || Math.abs(lon - left) < 1e-6 || Math.abs(lon - left - 360) < 1e-6;
  const between = (a, b) => (a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]) ? `${a} ${b}` : `${b} ${a}`);
  const along = (each) => regions.forEach((rings, number) => {
    for (const ring of rings) for (let k = 1; k < ring.length; k++) each(ring[k - 1], ring[k], number, k === 1);
  });
  along((a, b, number) => {
    const name = between(a, b);
    owner.set(name, owner.has(name) && owner.get(name) !== number ? "shared" : number);
  });
  let line = null;
  along((a, b, number, first) => {
    if (first) line = null;
    if ((edge(a) && edge(b)) || owner.get(between(a, b)) === "shared") line = null;
    else if (line) line.push(b);
    else found.push((line = [a, b]));
  });
  return found;
}

// What every page of a map has: panes, the land, the panel with its head, boxes that switch things on.
// Every text from the data goes in as textContent, never as markup.
function geomoeBase(map, data) {
  const el = (tag, name, text) => {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;
  const bounds = [[data.bounds[1], data.bounds[0]], [data.bounds[3], data.bounds[2]]];
  const panel = document.getElementById("geomoe-panel");
  const marks = {};

  // ---- map -------------------------------------------------------------------------------------
  for (const [name, depth] of [["picture", 210], ["veil", 220], ["lines", 230], ["points", 420], ["numbers", 430]]) {
    const pane = map.createPane(`geomoe-${name}`);
    pane.style.zIndex = depth;
    if (name !== "picture") pane.style.pointerEvents = "none";
  }
  map.setMaxBounds(L.latLngBounds(bounds).pad(0.7));
  // Most of what is asked of a map of the world lies between Cape Horn and Svalbard: start there.
  const start = [[Math.max(bounds[0][0], -58), bounds[0][1]], [Math.min(bounds[1][0], 80), bounds[1][1]]];
  map.options.zoomSnap = 0;
  map.fitBounds(start[0][0] < start[1][0] ? start : bounds, { animate: false });
  map.setMinZoom(Math.min(map.getZoom(), map.getBoundsZoom(bounds)) - 0.5);
  map.options.zoomSnap = 0.25;
  L.control.scale({ imperial: false, position: "bottomright" }).addTo(map);

  const draw = (pane) => L.canvas({ pane: `geomoe-${pane}`, padding: 0.3 });
  const turned = (shape) => shape.coordinates.map((polygon) => polygon.map((ring) => ring.map(([lon, lat]) => [lat, lon])));
  const swap = (line) => line.map(([lon, lat]) => [lat, lon]);
  const fine = data.ground && { land: data.ground.land.map((polygon) => polygon.map(swap)), coasts: data.ground.coasts.map(swap) };
  const rings = fine ? fine.land : data.land.flatMap(turned);
  const world = [[-89, -360], [-89, 720], [89, 720], [89, -360]]; // a map across the antimeridian ends below 540
  const faded = {
    renderer: draw("veil"), interactive: false, stroke: false, fillColor: "#eef3f6", fillOpacity: 0.78, fillRule: "evenodd",
  };
  // On a map of the Earth, fine lines take the place of coarse ones from the zoom of a country on.
  const swaps = [];
  const near = () => {
    const view = map.getBounds();
    return Boolean(data.detail) && Math.max(view.getEast() - view.getWest(), view.getNorth() - view.getSouth()) <= data.detail.widest;
  };
  const swapping = (show) => { // show(whether fine) is called now and when that changes
    let last = null;
    swaps.push((on) => { if (on !== last) show((last = on)); });
    swaps[swaps.length - 1](near());
  };
  const swapped = (far, close) => {
    if (!data.detail) return far();
    const group = L.layerGroup(), made = {};
    swapping((on) => {
      group.clearLayers();
      group.addLayer((made[on] = made[on] || (on ? close() : far())));
    });
    return group;
  };
  map.on("moveend resize", () => {
    const on = near();
    document.body.dataset.detail = on ? "fine" : "coarse";
    for (const show of swaps) show(on);
  });
  const detail = {};
  const fineRegion = (name) => (detail[name] = detail[name] || geomoeLines(data.detail.regions[name], data.detail.cell));
  const fineRegions = () => Object.keys(data.detail.regions).map(fineRegion), fineRings = () => fineRegions().flat();
  const fineBorders = () => geomoeLines(data.detail.borders, data.detail.cell);
  const veil = swapped(() => L.polygon([world, ...rings.flat()], faded), () => L.polygon([world, ...fineRings()], faded));
  const thin = { renderer: draw("lines"), interactive: false, fill: false, color: "#22313a", weight: 0.7, opacity: 0.75 };
  const firm = { ...thin, weight: 0.9 }, dashed = { ...thin, weight: 1.1, dashArray: "5 3" };
  const coast = fine
    ? L.polyline(fine.coasts, firm)
    : swapped(() => L.polygon(rings, thin), () => L.polyline(geomoeCoasts(fineRegions(), data.detail.left), firm));
  const borders = fine
    ? L.polyline(data.ground.borders.map(swap), dashed)
    : data.detail && swapped(() => L.layerGroup(), () => L.polyline(fineBorders(), dashed));
  const graticule = geomoeGraticule(map, el, { ...thin, weight: 0.5, opacity: 0.35 });
  const held = L.layerGroup();
  if (data.heldOut) {
    const line = { renderer: draw("lines"), interactive: false, fill: false };
    const { name, lines, shape } = data.heldOut; // fine lines; or coarse polygons
    const far = (style) => () => L.polygon(turned(shape), style);
    const close = (style) => () => L.polyline(geomoeCoasts([fineRegion(name)], data.detail.left), style);
    const outline = (style) => (lines ? L.polyline(lines.map(swap), style) : swapped(far(style), close(style)));
    held.addLayer(outline({ ...line, color: "#ffffff", weight: 3.6, opacity: 0.95 }));
    held.addLayer(outline({ ...line, color: "#111111", weight: 1.7, dashArray: "6 4" }));
  }

  // ---- panel -----------------------------------------------------------------------------------
  const section = (title, name) => {
    const box = el("section", name);
    if (title) box.append(el("h2", "", title));
    panel.append(box);
    return box;
  };
  const head = section("", "geomoe-head");
  head.append(el("h1", "", data.title));
  const brief = data.facts.slice(0, 3).map(([name, value]) => `${name}: ${value}`);
  if (brief.length) head.append(el("p", "geomoe-brief", brief.join(" \u00b7 ")));
  const facts = el("dl");
  for (const [name, value] of data.facts) facts.append(el("dt", "", name), el("dd", "", value));
  const about = el("details");
  about.append(el("summary", "", data.about), facts);
  head.append(about);

  const option = (over, name, text, on, change) => {
    const label = el("label"), box = el("input");
    box.type = "checkbox";
    box.checked = on;
    box.dataset.option = name;
    box.addEventListener("change", () => change(box.checked));
    label.append(box, el("span", "", text));
    over.append(label);
    marks[name] = box;
    if (on) change(true);
    return label;
  };
  const toggle = (layer) => (on) => { if (on) layer.addTo(map); else layer.remove(); };
  return {
    el, percent, panel, bounds, section, option, marks, toggle, draw, turned, rings, fineRings, fineRegion, swapping, swapped,
    coast, borders, graticule, veil, held,
  };
}
