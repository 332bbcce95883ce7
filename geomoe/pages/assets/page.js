// The page: one picture at a time over the map, a panel that says what it shows, a click that reads it.
// Every text from the data goes in as textContent, never as markup.
function geomoeStart(map, data) {
  const { el, percent, panel, bounds, section, option, marks, toggle, coast, borders, graticule, veil, held } = geomoeBase(map, data);
  const show = { block: 0, layer: "dominant" };
  const view = { train: false, test: false, wrong: false, region: -1 };

  // ---- map -------------------------------------------------------------------------------------
  const picture = L.imageOverlay(data.blocks[0].dominant, bounds, { pane: "geomoe-picture", className: "geomoe-picture" });
  picture.addTo(map);

  const numbers = data.blocks.map((block) => L.layerGroup(block.labels.map(([lon, lat, expert]) => {
    const text = el("span", "geomoe-number", String(expert));
    text.style.background = data.colours[expert];
    text.style.color = data.inks[expert];
    return L.marker([lat, lon], {
      pane: "geomoe-numbers", interactive: false, keyboard: false,
      icon: L.divIcon({ html: text, className: "geomoe-pin", iconSize: [22, 22] }),
    });
  })));
  const points = data.points && geomoePoints(data.points);
  const pointLayer = points && new GeomoePointLayer(points, view);

  // ---- panel -----------------------------------------------------------------------------------
  const chooser = section("Layer", "geomoe-chooser");
  const buttons = [];
  const button = (row, text, state, colour, ink) => {
    const node = el("button", "", text);
    node.type = "button";
    if (colour) { node.style.setProperty("--colour", colour); node.style.setProperty("--ink", ink); node.classList.add("expert"); }
    node.addEventListener("click", () => { Object.assign(show, state); refresh(); });
    buttons.push([node, state]);
    row.append(node);
  };
  const row = (label) => {
    const group = el("div", "geomoe-row");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", label);
    chooser.append(group);
    return group;
  };
  const blockRow = row("MoGE block");
  data.blocks.forEach((block, number) => button(blockRow, block.name, { block: number }));
  const kindRow = row("What to show");
  button(kindRow, "Dominant expert", { layer: "dominant" });
  button(kindRow, "Routing entropy", { layer: "entropy" });
  const expertRow = row("Weight of one expert");
  expertRow.append(el("span", "geomoe-hint", "Weight of expert"));
  data.colours.forEach((colour, expert) => button(expertRow, String(expert), { layer: expert }, colour, data.inks[expert]));

  const legend = section("", "geomoe-legend");
  legend.setAttribute("aria-live", "polite");
  const report = section("", "geomoe-report");

  const scale = (colours, top, low, high) => {
    const bar = el("div", "geomoe-ramp");
    bar.style.background = `linear-gradient(to right, ${colours.join(",")})`;
    const ticks = el("div", "geomoe-ticks");
    for (let i = 0; i <= 4; i++) ticks.append(el("span", "", String(Number(((top * i) / 4).toFixed(3)))));
    const ends = el("div", "geomoe-ticks geomoe-hint");
    ends.append(el("span", "", low), el("span", "", high));
    legend.append(bar, ticks, ends);
  };
  const legends = {
    dominant(block) {
      legend.append(el("h2", "", `Dominant expert, ${block.name}`));
      const table = el("table"), top = el("tr");
      const wide = block.whole ? [`share of ${data.beside}`] : [];
      for (const text of ["", `share of ${data.counted}`, "mean weight", ...wide]) top.append(el("th", "", text));
      table.append(top);
      data.colours.forEach((colour, expert) => {
        const line = el("tr"), name = el("td"), cell = el("td"), share = el("div", "geomoe-bar"), fill = el("i");
        const chip = el("b", "geomoe-number", String(expert));
        chip.style.background = colour;
        chip.style.color = data.inks[expert];
        name.append(chip);
        fill.style.width = `${(100 * block.share[expert]) / Math.max(...block.share)}%`;
        fill.style.background = colour;
        share.append(fill, el("span", "", percent(block.share[expert])));
        cell.append(share);
        line.append(name, cell, el("td", "right", percent(block.mean[expert])));
        if (block.whole) line.append(el("td", "right geomoe-hint", percent(block.whole.share[expert])));
        table.append(line);
      });
      legend.append(table);
    },
    entropy(block) {
      legend.append(el("h2", "", `Routing entropy, ${block.name}`));
      scale(data.ramps.entropy, block.entropyTop, "one expert alone", block.entropyTop === 1 ? "all alike" : "most mixed in this block");
      legend.append(el("p", "", `Mean over ${data.counted}: ${block.entropyMean.toFixed(2)}. With all experts alike it would be 1.`));
    },
    weight(block, expert) {
      legend.append(el("h2", "", `Weight of expert ${expert}, ${block.name}`));
      scale(data.ramps.weights[expert], block.top, "silent", "strongest in this block");
      legend.append(el("p", "", `Mean over ${data.counted} ${percent(block.mean[expert])}; dominant on ${percent(block.share[expert])} of it.`));
    },
  };

  function refresh() {
    const block = data.blocks[show.block], layer = show.layer, one = typeof layer === "number";
    picture.setUrl(one ? block.weights[layer] : block[layer]);
    for (const [node, state] of buttons) {
      const on = Object.entries(state).every(([key, value]) => show[key] === value);
      node.setAttribute("aria-pressed", String(on));
    }
    legend.replaceChildren();
    if (one) legends.weight(block, layer); else legends[layer](block);
    report.replaceChildren(el("h2", "", `What ${block.name} does with geography`));
    if (block.whole) report.append(el("p", "geomoe-hint", `Over ${data.counted}:`));
    for (const text of block.words) report.append(el("p", "geomoe-warning", text));
    if (!block.words.length) report.append(el("p", "", "Every expert is dominant somewhere, and the routing changes from place to place."));
    for (const [what, bits, normalised] of block.information) {
      report.append(el("p", "", `Dominant expert and ${what} share ${bits.toFixed(2)} bits (${percent(normalised, 0)} normalised).`));
    }
    if (block.whole) {
      report.append(el("p", "geomoe-hint", `Over ${data.beside}, most of which training never saw:`));
      const words = block.whole.words.length ? block.whole.words : ["Every expert is dominant somewhere."];
      for (const text of words) report.append(el("p", "", text));
    }
    numbers.forEach((group, number) => {
      const on = number === show.block && layer === "dominant" && marks.numbers.checked;
      if (on) group.addTo(map); else group.remove();
    });
    document.body.dataset.layer = `${show.block}/${layer}`;
  }

  // ---- what can be switched on over the picture ------------------------------------------------
  const over = section("Over the map", "geomoe-over");
  option(over, "numbers", "Expert numbers", true, () => { if (marks.numbers) refresh(); });
  option(over, "coast", "Coastlines", true, toggle(coast));
  if (borders) option(over, "borders", "Country borders", true, toggle(borders));
  option(over, "graticule", "Graticule", true, toggle(graticule));
  option(over, "veil", "Fade the sea", true, toggle(veil));
  if (data.far) {
    const far = L.imageOverlay(data.far, bounds, { pane: "geomoe-veil", className: "geomoe-picture" });
    option(over, "far", "Fade what is far from training places", true, toggle(far));
  }
  if (data.heldOut) option(over, "held", `Held-out region: ${data.heldOut.name}`, true, toggle(held));
  if (points) addPointOptions();

  function addPointOptions() {
    const redraw = () => {
      pointLayer.remove();
      if (view.train || view.test) pointLayer.addTo(map);
    };
    const sample = (test, correct) => {
      const icon = el("canvas", "geomoe-icon");
      icon.width = icon.height = 28;
      geomoeMark(icon.getContext("2d"), 14, 14, 9, test, correct);
      return icon;
    };
    const tally = (test) => {
      const asked = { train: !test, test, wrong: false, region: view.region };
      let count = 0, correct = 0;
      for (let i = 0; i < points.count; i++) {
        if (!points.shown(i, asked)) continue;
        count++;
        if (points.correct(i)) correct++;
      }
      const share = count ? `, ${percent(correct / count)} correct` : "";
      return `${test ? "Test" : "Training"} points: ${count}${share}`;
    };
    const told = [];
    for (const [name, test] of [["test", true], ["train", false]]) {
      if (!data.points[name].count) continue;
      const label = option(over, name, tally(test), false, (on) => { view[name] = on; redraw(); });
      told.push(() => { label.lastChild.textContent = tally(test); });
    }
    option(over, "wrong", "Only wrong answers", false, (on) => { view.wrong = on; redraw(); });
    const select = el("select");
    select.setAttribute("aria-label", "Region of the points");
    ["All regions", ...data.points.regions].forEach((name, number) => {
      const item = el("option", "", name);
      item.value = number - 1;
      select.append(item);
    });
    select.addEventListener("change", () => {
      view.region = Number(select.value);
      told.forEach((tell) => tell());
      redraw();
    });
    const keys = el("div", "geomoe-keys");
    for (const [test, correct, text] of [[true, true, "test, correct"], [true, false, "test, wrong"], [false, true, "training, correct"], [false, false, "training, wrong"]]) {
      const key = el("span");
      key.append(sample(test, correct), el("span", "", text));
      keys.append(key);
    }
    over.append(select, keys);
  }
  const foot = section("", "geomoe-foot");
  for (const text of data.notes) foot.append(el("p", "", text));

  // ---- a click reads every weight --------------------------------------------------------------
  let decoded = null;
  const decodeAll = () => decoded || (decoded = Promise.all(data.blocks.map((block) => Promise.all(block.weights.map(geomoeDecode)))));
  const height = (lat) => map.options.crs.project(L.latLng(lat, 0)).y;
  const pixel = (image, place) => {
    const [west, south, east, north] = data.bounds;
    const x = Math.floor(((place.lng - west) / (east - west)) * image.width);
    const y = Math.floor(((height(north) - height(place.lat)) / (height(north) - height(south))) * image.height);
    if (x < 0 || y < 0 || x >= image.width || y >= image.height) return null;
    return image.pixels[y * image.width + x] / 255;
  };
  const written = (value, plus, minus) => `${Math.abs(value).toFixed(2)}° ${value < 0 ? minus : plus}`;

  function nearest(click) {
    if (!points || !(view.train || view.test)) return null;
    let best = null, reach = geomoeRadius(map.getZoom()) + 3;
    for (let i = 0; i < points.count; i++) {
      if (!points.shown(i, view)) continue;
      const away = map.latLngToContainerPoint(points.place(i)).distanceTo(click.containerPoint);
      if (away <= reach) { best = i; reach = away; }
    }
    return best === null ? null : points.get(best);
  }

  async function read(click) {
    if (!window.DecompressionStream) {
      L.popup().setLatLng(click.latlng).setContent("This browser is too old to read the weights: it has no DecompressionStream.").openOn(map);
      return;
    }
    const near = nearest(click);
    const place = near ? L.latLng(near.lat, near.lon) : click.latlng;
    const images = await decodeAll();
    const box = el("div", "geomoe-answer");
    box.append(el("h3", "", `${written(place.wrap().lng, "E", "W")}, ${written(place.lat, "N", "S")}`));
    if (near) {
      const verdict = near.correct ? `${near.label}: correct` : `${near.label}, taken for ${near.predicted}`;
      box.append(el("p", near.correct ? "right" : "wrong", `${near.test ? "Test" : "Training"} point, ${near.region}. ${verdict}.`));
    }
    const columns = el("div", "geomoe-columns");
    columns.style.gridTemplateColumns = `repeat(${Math.min(3, data.blocks.length)}, max-content)`;
    data.blocks.forEach((block, number) => {
      const weights = images[number].map((image) => pixel(image, place));
      if (weights.includes(null)) return;
      const best = weights.indexOf(Math.max(...weights)), column = el("div");
      column.append(el("h4", "", block.name));
      weights.forEach((weight, expert) => {
        const line = el("div", expert === best ? "geomoe-weight best" : "geomoe-weight"), bar = el("i");
        const chip = el("b", "geomoe-number", String(expert));
        chip.style.background = data.colours[expert];
        chip.style.color = data.inks[expert];
        bar.style.width = `${Math.round(58 * weight)}px`;
        bar.style.background = data.colours[expert];
        const text = el("span", "", weight.toFixed(3));
        text.dataset.weight = `${number}/${expert}`;
        line.append(chip, bar, text);
        column.append(line);
      });
      columns.append(column);
    });
    if (columns.childNodes.length) box.append(columns);
    else box.append(el("p", "", "Outside the mapped area."));
    L.popup({ maxWidth: 480, maxHeight: 420 }).setLatLng(place).setContent(box).openOn(map);
  }
  map.on("click", (click) => read(click));

  refresh();
  document.body.dataset.ready = "yes";
}
