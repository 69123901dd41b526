// Opens every study of collections in the viewer and compares what it draws with what the node draws.
//
//   node web/e2e/viewer.mjs --link URL --collection ID,ID [--out FILE.json] [--study UID,UID] [--patience SECONDS] [--pictures DIR]
//
// A study is opened as a reader opens it, with the session. Then each of its instances (of a stack the first, the middle and the last) is put on the same viewport, and the
// drawn canvas is compared, in at most 24 by 24 fields, with the node's own rendering of that frame. One line for each instance goes to standard output:
// outcome, correlation, mean difference of shades, modality, transfer syntax, UIDs.
//
//   drawn      pixels are on the canvas, and they are those of the node's picture
//   different  pixels are on the canvas, and the node's picture is another one
//   black      the viewport stayed empty though the node draws the frame
//   failed     the viewer said why it does not draw it
//   alone      the viewer draws it, and the node has no picture of it
//   beside     a segmentation, dose or map: the viewer lays it over the images that it belongs to, and does not show it alone
//   neither    no picture: a report, a plan, a document, or pixels that nobody here decodes
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { launch, watch } from "./browser.mjs";

const { values: flags } = parseArgs({
  options: { link: { type: "string" }, collection: { type: "string" }, out: { type: "string" }, study: { type: "string" }, patience: { type: "string", default: "90" }, pictures: { type: "string" } },
});
if (!flags.link || !flags.collection) {
  console.error("node web/e2e/viewer.mjs --link URL --collection ID,ID [--out FILE.json] [--study UID,UID] [--patience SECONDS] [--pictures DIR]");
  process.exit(2);
}
const origin = new URL(flags.link).origin;
const patience = 1000 * Number(flags.patience);

/** Runs in the page: waits for a stack on the first viewport, or for the viewer to settle without one. */
async function shown(patience) {
  const until = Date.now() + patience;
  while (Date.now() < until) {
    const viewport = globalThis.cornerstone?.getRenderingEngines?.()[0]?.getViewports?.().find((v) => v.getCurrentImageId?.());
    if (viewport) return viewport.getCurrentImageId();
    await new Promise((r) => setTimeout(r, 250));
  }
  return "";
}

/** Runs in the page: puts a frame on the first viewport and compares it with the node's picture. */
async function compare({ imageId, rendered, smaller, patience, put, window = false }) {
  const out = { viewer: "", node: "" };
  // Of a small image the two ways of enlarging it differ: it is compared more coarsely.
  const fields = Math.max(4, Math.min(24, Math.floor(smaller / 6)));
  const shades = (data) => {
    const grey = [];
    for (let i = 0; i < data.length; i += 4) grey.push(0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2]);
    return grey;
  };
  const small = (source, x, y, w, h) => {
    const canvas = new OffscreenCanvas(fields, fields);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.imageSmoothingQuality = "high";
    // Halved step by step, so that every pixel counts.
    let from = new OffscreenCanvas(Math.max(1, Math.round(w)), Math.max(1, Math.round(h)));
    from.getContext("2d").drawImage(source, x, y, w, h, 0, 0, from.width, from.height);
    while (from.width > 2 * fields || from.height > 2 * fields) {
      const half = new OffscreenCanvas(Math.max(fields, Math.ceil(from.width / 2)), Math.max(fields, Math.ceil(from.height / 2)));
      half.getContext("2d").drawImage(from, 0, 0, half.width, half.height);
      from = half;
    }
    context.drawImage(from, 0, 0, fields, fields);
    return shades(context.getImageData(0, 0, fields, fields).data);
  };
  const mean = (a) => a.reduce((s, v) => s + v, 0) / a.length;
  const spread = (a) => Math.sqrt(mean(a.map((v) => (v - mean(a)) ** 2)));

  let theirs;
  const answer = await fetch(rendered, { headers: { Accept: "image/png" } });
  if (answer.ok) {
    const picture = await createImageBitmap(await answer.blob());
    theirs = small(picture, 0, 0, picture.width, picture.height);
  } else {
    out.node = `${answer.status}: ${(await answer.json().catch(() => ({}))).detail ?? ""}`;
  }

  const cornerstone = globalThis.cornerstone;
  const viewport = cornerstone?.getRenderingEngines?.()[0]?.getViewports?.().find((v) => v.setStack);
  if (!viewport) return { ...out, viewer: "no viewport", picture: Boolean(theirs) };
  try {
    if (put) {
      await Promise.race([
        (async () => {
          await cornerstone.imageLoader.loadAndCacheImage(imageId);
          await viewport.setStack([imageId], 0);
        })(),
        new Promise((_, no) => setTimeout(() => no(new Error("nothing came within the time")), patience)),
      ]);
      viewport.resetProperties?.();
      viewport.resetCamera?.();
    }
    viewport.render();
  } catch (e) {
    return { ...out, viewer: String(e?.error?.message ?? e?.message ?? e).slice(0, 200), picture: Boolean(theirs) };
  }
  const until = Date.now() + Math.min(patience, 20000);
  let mine;
  for (;;) {
    await new Promise((r) => requestAnimationFrame(() => setTimeout(r, 150)));
    const { imageData, dimensions } = viewport.getImageData() ?? {};
    if (imageData) {
      const [c, r] = dimensions;
      const corner = (i, j) => viewport.worldToCanvas(imageData.indexToWorld([i, j, 0]));
      const [a, b] = [corner(-0.5, -0.5), corner(c - 0.5, r - 0.5)];
      const canvas = viewport.canvas;
      const ratio = canvas.width / canvas.clientWidth;
      const [x, y] = [Math.min(a[0], b[0]), Math.min(a[1], b[1])];
      mine = small(canvas, x * ratio, y * ratio, Math.max(1, Math.abs(b[0] - a[0]) * ratio), Math.max(1, Math.abs(b[1] - a[1]) * ratio));
      if (spread(mine) > 1 || (theirs && spread(theirs) <= 1)) break;
    }
    if (Date.now() > until) break;
    viewport.render();
  }
  if (!mine) return { ...out, viewer: "no image data", picture: Boolean(theirs) };
  out.spread = spread(mine);
  if (theirs) {
    const [m, t] = [mean(mine), mean(theirs)];
    const both = mean(mine.map((v, i) => (v - m) * (theirs[i] - t)));
    out.correlation = spread(mine) && spread(theirs) ? both / (spread(mine) * spread(theirs)) : spread(mine) === spread(theirs) ? 1 : 0;
    out.difference = mean(mine.map((v, i) => Math.abs(v - theirs[i])));
  }
  // Where the image proposes no window, each side has made one of its values: the node is asked for the viewer's.
  const loaded = cornerstone.cache.getImage?.(imageId) ?? {};
  const all = { lower: loaded.minPixelValue * (loaded.slope ?? 1) + (loaded.intercept ?? 0), upper: loaded.maxPixelValue * (loaded.slope ?? 1) + (loaded.intercept ?? 0) };
  const range = { ...(viewport.getProperties?.()?.voiRange ?? all) };
  // PET is shown by standardized uptake.
  const uptake = loaded.preScale?.scalingParameters?.suvbw;
  if (uptake) {
    range.lower /= uptake;
    range.upper /= uptake;
  }
  if (theirs && !window && out.correlation < 0.97 && range?.upper > range?.lower) {
    const wide = await compare({ imageId, rendered: `${rendered}&window=${(range.lower + range.upper) / 2},${range.upper - range.lower},linear-exact`, smaller, patience, put: false, window: true });
    if (wide.correlation > out.correlation) return wide;
  }
  return { ...out, picture: Boolean(theirs) };
}

// What is laid over other images: segmentations, parametric maps, doses.
const beside = /^1\.2\.840\.10008\.5\.1\.4\.1\.1\.(66\.[47]|30|481\.2)$/;

function outcome(r, sopClass) {
  if (beside.test(sopClass)) return "beside";
  if (r.viewer) return r.picture ? "failed" : "neither";
  if (!r.picture) return r.spread > 1 ? "alone" : "neither";
  if (r.correlation > 0.95 || r.difference < 8) return "drawn";
  return r.spread > 1 ? "different" : "black";
}

const first = (item, tag) => item[tag]?.Value?.[0];
const browser = await launch();
const results = [];
let faults = [];
try {
  const context = await browser.newContext({ viewport: { width: 1100, height: 800 }, reducedMotion: "reduce" });
  context.setDefaultTimeout(4 * patience);
  const page = await context.newPage();
  faults = watch(page, origin);
  await page.goto(flags.link);
  const button = page.locator("main form button").first();
  if (await button.count()) await Promise.all([page.waitForNavigation(), button.click()]);
  const ask = (path) =>
    page.evaluate(async (path) => {
      const all = [];
      for (;;) {
        const answer = await fetch(`${path}${path.includes("?") ? "&" : "?"}limit=500&offset=${all.length}`, { headers: { Accept: "application/dicom+json" } });
        if (answer.status === 204) return all;
        if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
        const some = await answer.json();
        all.push(...some);
        if (some.length < 500) return all;
      }
    }, path);
  await page.goto(`${origin}/help`);
  const studies = [];
  for (const collection of flags.collection.split(",")) {
    for (const s of await ask(`/collections/${collection}/dicomweb/studies`)) {
      const study = first(s, "0020000D");
      if (!flags.study || flags.study.split(",").includes(study)) studies.push({ collection, study });
    }
  }
  for (const { collection, study } of studies) {
    const root = `/collections/${collection}/dicomweb`;
    await page.goto(`${origin}/help`);
    // Slides have a viewer of their own.
    const instances = (await ask(`${root}/studies/${study}/instances?includefield=all`)).filter((i) => !["SM", "ANN"].includes(first(i, "00080060")));
    if (!instances.length) continue;
    const series = new Map();
    for (const i of instances) {
      const uid = first(i, "0020000E");
      series.set(uid, [...(series.get(uid) ?? []), i]);
    }
    const chosen = [...series.values()].flatMap((all) => (all.length > 6 ? [all[0], all[all.length >> 1], all[all.length - 1]] : all));
    const before = faults.length;
    const begun = Date.now();
    const start = chosen.find((i) => first(i, "00280010") && !beside.test(first(i, "00080016")));
    await page.goto(`${origin}/viewer/viewer?StudyInstanceUIDs=${study}&collection=${collection}${start ? `&initialSeriesInstanceUID=${first(start, "0020000E")}` : ""}`);
    // Studies without any image are given less time: nothing is expected to come.
    const current = await page.evaluate(shown, start ? patience : 10000);
    const opened = Date.now() - begun;
    for (const i of chosen) {
      const sop = first(i, "00080018");
      const at = `${root}/studies/${study}/series/${first(i, "0020000E")}/instances/${sop}`;
      const imageId = current.includes(`/instances/${sop}/`) ? current : `wadors:${root}${at.slice(root.length)}/frames/1`;
      let r;
      try {
        r = await page.evaluate(compare, { imageId, rendered: `${at}/frames/1/rendered?viewport=512,512`, smaller: Math.min(first(i, "00280010") ?? 0, first(i, "00280011") ?? 0), patience, put: imageId !== current || chosen.length > 1 });
      } catch (e) {
        r = { viewer: `the page failed: ${e.message.slice(0, 160)}`, picture: false };
      }
      const said = { outcome: outcome(r, first(i, "00080016")), modality: first(i, "00080060") ?? "", sopClass: first(i, "00080016"), syntax: first(i, "00083002") ?? "", rows: first(i, "00280010") ?? 0, columns: first(i, "00280011") ?? 0,
        frames: first(i, "00280008") ?? 1, correlation: r.correlation, difference: r.difference, viewer: r.viewer, node: r.node, opened, collection, study, series: first(i, "0020000E"), sop };
      results.push(said);
      if (flags.pictures && !["drawn", "neither", "beside"].includes(said.outcome)) {
        mkdirSync(flags.pictures, { recursive: true });
        await page.screenshot({ path: join(flags.pictures, `${said.outcome}-${sop.slice(-24)}.png`) }).catch(() => {});
      }
      console.log([said.outcome, (said.correlation ?? 0).toFixed(3), (said.difference ?? 0).toFixed(1), said.modality, said.syntax, said.sopClass, `${said.columns}x${said.rows}`, `${opened} ms`, study, sop, said.viewer, said.node].join("\t"));
    }
    for (const f of new Set(faults.slice(before))) console.log(`  fault: ${f.slice(0, 300)}`);
  }
} finally {
  await browser.close();
  const counts = {};
  for (const r of results) counts[r.outcome] = (counts[r.outcome] ?? 0) + 1;
  console.log(JSON.stringify(counts));
  if (flags.out) writeFileSync(flags.out, JSON.stringify({ counts, results, elsewhere: [...new Set(faults.filter((f) => f.startsWith("request to another host")))] }, null, 1));
}
process.exitCode = results.some((r) => ["black", "different"].includes(r.outcome)) || faults.some((f) => f.startsWith("request to another host")) ? 1 : 0;
