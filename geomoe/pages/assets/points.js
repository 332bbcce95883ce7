// Samples as one array, drawn on canvas tiles: 20,000 of them move as easily as none.
function geomoePoints(data) {
  const count = data.count, bytes = geomoeBytes(data.packed);
  let at = 0;
  const next = (kind) => {
    const part = new kind(bytes.buffer.slice(at, at + count * kind.BYTES_PER_ELEMENT));
    at += count * kind.BYTES_PER_ELEMENT;
    return part;
  };
  const lon = next(Int32Array), lat = next(Int32Array), label = next(Uint16Array), predicted = next(Uint16Array);
  const region = next(Uint16Array), test = next(Uint8Array);
  return {
    count,
    get: (i) => ({
      lon: lon[i] / 1e5, lat: lat[i] / 1e5, test: test[i] === 1, correct: label[i] === predicted[i],
      label: data.classes[label[i]], predicted: data.classes[predicted[i]],
      region: region[i] === 65535 ? "unknown" : data.regions[region[i]], regionNumber: region[i],
    }),
    shown: (i, view) => (test[i] ? view.test : view.train) && (view.region < 0 || region[i] === view.region)
      && (!view.wrong || label[i] !== predicted[i]),
    correct: (i) => label[i] === predicted[i],
    isTest: (i) => test[i] === 1,
    place: (i) => [lat[i] / 1e5, lon[i] / 1e5],
  };
}

function geomoeMark(pen, x, y, radius, test, correct) {
  pen.beginPath();
  if (test) pen.arc(x, y, radius, 0, 2 * Math.PI);
  else pen.rect(x - 0.85 * radius, y - 0.85 * radius, 1.7 * radius, 1.7 * radius);
  pen.fillStyle = correct ? "#1a1a1a" : "#ffffff";
  pen.strokeStyle = correct ? "#ffffff" : "#1a1a1a";
  pen.lineWidth = correct ? 0.8 : 1.2;
  pen.fill();
  pen.stroke();
  if (correct || radius < 3) return;
  const arm = 0.5 * radius; // a cross inside: wrong, also without colour
  pen.beginPath();
  pen.moveTo(x - arm, y - arm); pen.lineTo(x + arm, y + arm);
  pen.moveTo(x - arm, y + arm); pen.lineTo(x + arm, y - arm);
  pen.stroke();
}

const geomoeRadius = (zoom) => Math.max(1.6, Math.min(7, 0.95 * zoom));

const GeomoePointLayer = window.L && L.GridLayer.extend({
  initialize(points, view) {
    L.GridLayer.prototype.initialize.call(this, { pane: "geomoe-points", noWrap: true, updateWhenZooming: false });
    this.points = points;
    this.view = view;
  },
  createTile(coords) {
    const tile = document.createElement("canvas"), size = this.getTileSize(), sharp = window.devicePixelRatio || 1;
    tile.width = size.x * sharp;
    tile.height = size.y * sharp;
    const pen = tile.getContext("2d"), radius = geomoeRadius(coords.z), edge = radius + 2;
    pen.scale(sharp, sharp);
    for (let i = 0; i < this.points.count; i++) {
      if (!this.points.shown(i, this.view)) continue;
      const at = this._map.project(this.points.place(i), coords.z);
      const x = at.x - coords.x * size.x, y = at.y - coords.y * size.y;
      if (x < -edge || y < -edge || x > size.x + edge || y > size.y + edge) continue;
      geomoeMark(pen, x, y, radius, this.points.isTest(i), this.points.correct(i));
    }
    return tile;
  },
});
