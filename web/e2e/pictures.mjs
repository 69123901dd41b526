// Takes the pictures of the help (web/help) or of the README (docs/pictures) anew, from a running demonstration; nobody in it exists.
//
//   script/demo /tmp/fresh                                  prints `open URL`
//   node web/e2e/pictures.mjs --link URL [--state FILE]     the pictures of the help
//   node web/e2e/pictures.mjs --link URL --readme           those of the README
//   node web/e2e/pictures.mjs --origin URL --state FILE find audit     two of them, in the session that --state kept
//
// The link works once; --state keeps the session. Each picture is cut to what its task is about. A held item is never shown: whoever takes these pictures has not to look at one first.
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { launch } from "./browser.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const { values: flags, positionals: only } = parseArgs({
  allowPositionals: true,
  options: { link: { type: "string" }, origin: { type: "string" }, state: { type: "string" }, readme: { type: "boolean", default: false }, out: { type: "string" } },
});
if (!flags.link && !(flags.origin && flags.state)) {
  console.error("node web/e2e/pictures.mjs (--link URL [--state FILE] | --origin URL --state FILE) [--readme] [--out DIR] [NAME...]");
  process.exit(2);
}
const origin = flags.origin ?? new URL(flags.link).origin;
const out = flags.out ?? join(root, flags.readme ? "docs/pictures" : "web/help");

/** The address that the first element like this on a page leads to; pages of a long list are turned until there is one. */
async function linked(page, path, selector) {
  const first = (s) => page.locator(s).evaluateAll((all) => all[0]?.getAttribute("href"));
  for (let next = path; next; ) {
    await page.goto(origin + next);
    const found = await first(selector);
    if (found) return found;
    next = await first('main a.btn[href*="from="]:has-text("Next")');
  }
  throw new Error(`${path} leads to nothing like ${selector}`);
}

/** A published study of PET and CT with images of full size, on its CT. */
const study = (page) => linked(page, "/collections/lantern?from=0", '.card:not(:has(.over)):has(.tag:text-is("PT")):has(.facts b:text-is("96")) h3 a');

// name: of the file. at: the page. cut: what is shown, from the first of these to the last, at most so wide and high. across: of the
// window. anybody: as who has not signed in. set: what is done on the page before.
const help = [
  { name: "find", at: () => "/?q=cancer", anybody: true, cut: ["main .wrap"] },
  { name: "understand", at: () => "/directory/lantern", anybody: true, cut: [".stats.head", "main .cols"] },
  { name: "requests", at: () => "/directory/lantern/request?for=disease&disease=C34&country=GB&download=yes", cut: ["main .wrap"], high: 640 },
  { name: "decide", at: (page) => linked(page, "/requests", '[aria-labelledby=to] li:has(.st.warn) h3 a'), across: 1000, cut: [".crumb", "[aria-labelledby=item1]"], high: 640 },
  { name: "deposit", at: () => "/collections/lantern/upload", cut: ["main .wrap"], high: 540 },
  { name: "follow", at: (page) => linked(page, "/deposits", "tr:has(.st.warn) a.hit"), across: 1000, cut: [".crumb", "[aria-labelledby=became]"] },
  { name: "send", at: () => "/collections/lantern/settings", across: 1280, cut: ["[aria-labelledby=modality]"] },
  { name: "held", at: () => "/held", screen: 640, cut: ["main"] },
  { name: "describe", at: () => "/directory/lantern/edit", cut: ["main .wrap"] },
  { name: "collections", at: () => "/collections", cut: ["main .wrap"] },
  { name: "clinical", at: (page) => linked(page, "/collections/lantern", ".card p a"), cut: ["main .cols"], high: 520 },
  { name: "consent", at: () => "/collections/lantern/consent", cut: ["main .wrap"], high: 700 },
  { name: "look", at: study, across: 1280, cut: [".cols.study"], wide: 926, high: 624 },
  { name: "publish", at: (page) => linked(page, "/collections/lantern?state=admitted", ".card h3 a"), cut: [".crumb", ".cols.study"], high: 440 },
  { name: "signin", at: () => "/signin", anybody: true, cut: ["main .wrap"] },
  { name: "people", at: () => "/people", cut: ["main .wrap"], high: 640 },
  { name: "outside", at: () => "/collections/lantern/links", cut: ["main .wrap"], high: 640 },
  { name: "get", at: study, cut: [".crumb", "main .ph"] },
  { name: "ask", at: () => "/ask?about=/directory/lantern", anybody: true, cut: ["main .wrap"], high: 640 },
  { name: "status", at: () => "/status", across: 1000, cut: ["main .wrap"], high: 520 },
  { name: "audit", at: () => "/audit", cut: ["main .wrap"], high: 480 },
  {
    name: "accessibility",
    at: () => "/",
    anybody: true,
    theme: "dark",
    cut: ["main .wrap"],
    high: 540,
    set: async (page) => {
      await page.keyboard.press("Tab");
      await page.locator("main h3 a").nth(1).focus();
    },
  },
];

const readme = [
  { name: "directory", at: () => "/", anybody: true, screen: 900, cut: ["body"] },
  { name: "collection", at: () => "/directory/lantern", anybody: true, screen: 780, cut: ["body"] },
  { name: "study", at: study, screen: 900, cut: ["body"] },
  {
    name: "viewer",
    at: async (page) => {
      await page.goto(origin + (await study(page)));
      return page.locator('a[href^="/viewer/tmtv"]').first().getAttribute("href");
    },
    screen: 800,
    cut: ["body"],
    set: drawn,
  },
];

/** Waits until each viewport of the viewer shows something. */
async function drawn(page) {
  await page.waitForFunction(
    () => {
      const all = globalThis.cornerstone?.getRenderingEngines?.().flatMap((e) => e.getViewports()) ?? [];
      const lit = (canvas) => {
        const small = new OffscreenCanvas(32, 32);
        const context = small.getContext("2d");
        context.drawImage(canvas, 0, 0, 32, 32);
        const shades = context.getImageData(0, 0, 32, 32).data.filter((_, i) => i % 4 === 0);
        return Math.max(...shades) - Math.min(...shades) > 20;
      };
      return all.length > 3 && all.every((v) => lit(v.canvas));
    },
    null,
    { timeout: 240_000, polling: 1000 },
  );
}

/** The rectangle from the first of the elements to the last, with a margin, within the limits. */
async function frame(page, { cut, wide = 1100, high = 580 }) {
  const boxes = await Promise.all(cut.map((s) => page.locator(s).first().boundingBox()));
  const margin = cut[0] === "main" || cut[0].endsWith(".wrap") ? 0 : 14;
  const x = Math.max(0, Math.min(...boxes.map((b) => b.x)) - margin);
  const y = Math.max(0, Math.min(...boxes.map((b) => b.y)) - margin);
  const right = Math.max(...boxes.map((b) => b.x + b.width)) + margin;
  const bottom = Math.max(...boxes.map((b) => b.y + b.height)) + margin;
  return { x, y, width: Math.round(Math.min(right - x, wide)), height: Math.round(Math.min(bottom - y, high)) };
}

async function take(page, shot) {
  await page.evaluate(() => Promise.all([document.fonts.ready, ...[...document.images].map((i) => ((i.loading = "eager"), i.decode().catch(() => {})))]));
  await shot.set?.(page);
  const clip = flags.readme
    ? { x: 0, y: 0, width: 1280, height: shot.screen }
    : shot.screen
      ? { x: 0, y: 53, width: 1100, height: shot.screen - 53 } // without the bar at the top, with the one at the bottom
      : await frame(page, shot);
  if (flags.readme) return keep(`${shot.name}.png`, await page.screenshot({ type: "png", clip }), 270_000);
  const line = await page.context().newCDPSession(page);
  const { data } = await line.send("Page.captureScreenshot", { format: "webp", quality: 75, clip: { ...clip, scale: 1 }, captureBeyondViewport: !shot.screen });
  return keep(`${shot.name}.webp`, Buffer.from(data, "base64"), 60_000);
}

function keep(name, picture, most) {
  if (picture.length > most) throw new Error(`${name} would be ${picture.length} bytes; show less`);
  writeFileSync(join(out, name), picture);
  console.log(`${name}  ${(picture.length / 1000).toFixed(0)} kB`);
}

const browser = await launch();
try {
  const known = flags.state && existsSync(flags.state) ? flags.state : undefined;
  const look = { viewport: { width: 1280, height: 900 }, colorScheme: "light", reducedMotion: "reduce", locale: "en-GB" };
  const steward = await browser.newContext({ ...look, storageState: known });
  const anybody = await browser.newContext(look);
  if (!known) {
    const page = await steward.newPage();
    await page.goto(flags.link);
    await Promise.all([page.waitForNavigation(), page.locator("main form button").first().click()]);
    if (flags.state) await steward.storageState({ path: flags.state });
    await page.close();
  }
  mkdirSync(out, { recursive: true });
  for (const shot of (flags.readme ? readme : help).filter((s) => !only.length || only.includes(s.name))) {
    const page = await (shot.anybody ? anybody : steward).newPage();
    try {
      const path = await shot.at(page);
      await page.setViewportSize({ width: shot.across ?? (flags.readme ? 1280 : 1100), height: shot.screen ?? 900 });
      await page.emulateMedia({ colorScheme: shot.theme ?? "light", reducedMotion: "reduce" });
      await page.goto(origin + path);
      await take(page, shot);
    } finally {
      await page.close();
    }
  }
} finally {
  await browser.close();
}
