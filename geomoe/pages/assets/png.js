// Reads the bytes of an 8-bit palette PNG back, so that a click shows the stored weights themselves.
// A canvas would not do: some browsers blur what is read from one to protect their users.
async function geomoeDecode(uri) {
  const bytes = geomoeBytes(uri.slice(uri.indexOf(",") + 1));
  const view = new DataView(bytes.buffer);
  const parts = [];
  let width = 0, height = 0;
  for (let at = 8; at < bytes.length;) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (kind === "IHDR") { width = view.getUint32(at + 8); height = view.getUint32(at + 12); }
    if (kind === "IDAT") parts.push(bytes.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  const raw = new Uint8Array(await new Response(stream).arrayBuffer());
  return { width, height, pixels: geomoeUnfilter(raw, width, height) };
}

function geomoeBytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

// PNG specification, section 9: each row is stored as a difference from its neighbours.
function geomoeUnfilter(raw, width, height) {
  const out = new Uint8Array(width * height);
  for (let row = 0; row < height; row++) {
    const filter = raw[row * (width + 1)], from = row * (width + 1) + 1, to = row * width;
    for (let column = 0; column < width; column++) {
      const left = column ? out[to + column - 1] : 0;
      const up = row ? out[to + column - width] : 0;
      const corner = row && column ? out[to + column - width - 1] : 0;
      let guess = 0;
      if (filter === 1) guess = left;
      else if (filter === 2) guess = up;
      else if (filter === 3) guess = (left + up) >> 1;
      else if (filter === 4) {
        const a = Math.abs(up - corner), b = Math.abs(left - corner), c = Math.abs(left + up - 2 * corner);
        guess = a <= b && a <= c ? left : b <= c ? up : corner;
      }
      out[to + column] = raw[from + column] + guess;
    }
  }
  return out;
}
