// What can be seen: pictures are compared by their pixels, not by whether they loaded.

/** Greys of a picture of an element, from 0 to 255, at a coarse grid of places. */
export async function greys(page, element, cells = 32) {
  const png = (await element.screenshot({ animations: "disabled" })).toString("base64");
  return page.context().newPage().then(async (other) => {
    try {
      return await other.evaluate(
        async ([data, n]) => {
          const image = new Image();
          image.src = `data:image/png;base64,${data}`;
          await image.decode();
          const c = new OffscreenCanvas(n, n).getContext("2d");
          c.drawImage(image, 0, 0, n, n);
          const rgba = c.getImageData(0, 0, n, n).data;
          return Array.from({ length: n * n }, (_, i) => Math.round((rgba[4 * i] + rgba[4 * i + 1] + rgba[4 * i + 2]) / 3));
        },
        [png, cells],
      );
    } finally {
      await other.close();
    }
  });
}

/** Says of greys how bright they are and how much they differ. */
export function tones(all) {
  const mean = all.reduce((a, b) => a + b, 0) / all.length;
  const spread = Math.sqrt(all.reduce((a, b) => a + (b - mean) ** 2, 0) / all.length);
  return { mean, spread };
}

/** How alike two pictures are, -1 to 1: the correlation of their greys. */
export function alike(a, b) {
  const [x, y] = [tones(a), tones(b)];
  if (!x.spread || !y.spread) return 0;
  return a.reduce((sum, v, i) => sum + (v - x.mean) * (b[i] - y.mean), 0) / a.length / x.spread / y.spread;
}

/** Whether a picture is drawn in an element: neither black nor one grey all over. */
export async function drawn(page, element) {
  const { mean, spread } = tones(await greys(page, element));
  return { yes: mean > 4 && spread > 8, mean, spread };
}
