// Visits every page of a node that can be reached by links, once as it is on a desk and light, once on a phone and dark, and says what is wrong: what axe finds, requests elsewhere,
// script errors, failed loads, pages that are wider than the screen, slow answers, and a first load that is too heavy.
//
//   node web/e2e/pages.mjs --origin http://localhost:8080 --link URL [--out DIR] [--each N] [--slow MS] [PATH...]
//
// Pages that differ in an identifier alone are one: --each of them are visited, one unless it says more. --out keeps a picture of each.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { launch, violations, watch } from "./browser.mjs";
import { go } from "./keyboard.mjs";

const { values: flags, positionals: more } = parseArgs({
  allowPositionals: true,
  options: { origin: { type: "string" }, link: { type: "string" }, out: { type: "string" }, each: { type: "string", default: "1" }, slow: { type: "string", default: "0" } },
});
const { origin, link, out } = flags;
const each = Number(flags.each);
if (out) mkdirSync(out, { recursive: true });

let failed = 0;
function check(what, holds, seen = "") {
  if (!holds) console.log(`not ok ${what}: ${seen}`);
  failed += holds ? 0 : 1;
}

/** What a page is called but for identifiers and what was asked for. */
function kindOf(address) {
  const u = new URL(address);
  const path = u.pathname
    .split("/")
    .map((s, i, all) => (/\d/.test(s) || s.length > 24 || /^(collections|directory|deposits|held|questions|people)$/.test(all[i - 1] ?? "") ? "*" : s))
    .join("/");
  return path + (u.search ? "?" + [...new Set(u.searchParams.keys())].sort().join("&") : "");
}

// Addresses that are no pages of ours, or do something.
const apart = /^\/(static|api|dicomweb|viewer|ohif|upload\/|iiif|slides)|\/dicomweb|\.(json|jsonld|csv|xml|txt|zip|jpg|png|dcm)$|\/(export|document|picture|montage|thumbnail)/;

const sizes = [
  { name: "desk", theme: "light", width: 1280, height: 860 },
  { name: "phone", theme: "dark", width: 390, height: 844 },
];

/** Visits all that is linked from the given pages on. */
async function crawl(who, page, from, faults) {
  const seen = new Map();
  const todo = from.map((p) => origin + p);
  const answers = [];
  let n = 0;
  while (todo.length) {
    const address = todo.shift();
    const kind = kindOf(address);
    if ((seen.get(kind) ?? 0) >= each) continue;
    seen.set(kind, (seen.get(kind) ?? 0) + 1);
    n++;
    for (const size of sizes) {
      await page.emulateMedia({ colorScheme: size.theme, reducedMotion: "reduce" });
      await page.setViewportSize(size);
      faults.length = 0;
      const answer = await page.goto(address, { waitUntil: "load" });
      const place = `${who}, ${size.name}, ${kind}`;
      check(place, answer?.status() === 200, `status ${answer?.status()}`);
      if (answer?.status() !== 200) break;
      const timing = await page.evaluate(() => performance.getEntriesByType("navigation")[0].responseEnd);
      answers.push([timing, kind]);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      check(place, wide <= 0, `${wide} px wider than the screen`);
      const found = await violations(page);
      check(place, found.length === 0, found.join(" | "));
      check(place, faults.length === 0, [...new Set(faults)].join(" | "));
      if (out) {
        await page.evaluate(() => Promise.all([...document.images].map((i) => (i.loading = "eager") && i.decode().catch(() => undefined))));
        await page.screenshot({ path: join(out, `${who}-${kind.replace(/[^\w*]+/g, "-").replace(/\*/g, "id").slice(0, 80)}-${seen.get(kind)}-${size.name}.png`), fullPage: true });
      }
    }
    const links = await page.evaluate(() => [...document.querySelectorAll("a[href]:not([download])")].map((a) => a.href));
    for (const l of links) {
      const u = new URL(l);
      u.hash = "";
      if (u.origin === origin && !apart.test(u.pathname) && (seen.get(kindOf(u.href)) ?? 0) < each) todo.push(u.href);
    }
  }
  answers.sort((a, b) => b[0] - a[0]);
  console.log(`${who}: ${n} pages of ${seen.size} kinds; answered in ${answers[answers.length >> 1]?.[0].toFixed(0)} ms (median), ${answers[0]?.[0].toFixed(0)} ms at most (${answers[0]?.[1]})`);
  if (Number(flags.slow)) {
    const slow = answers.filter(([t]) => t > Number(flags.slow));
    check(`${who}: every page answers in ${flags.slow} ms`, slow.length === 0, slow.map(([t, k]) => `${k} ${t.toFixed(0)}`).join(", "));
  }
}

const browser = await launch();
try {
  const anybody = await browser.newContext();
  {
    // The first load, over the wire and with an empty cache.
    const page = await anybody.newPage();
    const cdp = await anybody.newCDPSession(page);
    let bytes = 0;
    await cdp.send("Network.enable");
    cdp.on("Network.loadingFinished", (e) => (bytes += e.encodedDataLength));
    await page.goto(origin + "/", { waitUntil: "networkidle" });
    console.log(`first load: ${(bytes / 1000).toFixed(0)} kB`);
    check("the first load", bytes > 10_000 && bytes < 300_000, `${bytes} bytes`);
  }
  {
    const page = await anybody.newPage();
    await crawl("anybody", page, ["/", "/signin", "/help"], watch(page, origin));
  }
  if (link) {
    const context = await browser.newContext();
    const page = await context.newPage();
    const faults = watch(page, origin);
    await page.goto(link);
    await go(page, page.getByRole("button", { name: "Continue" }));
    await crawl("signed in", page, ["/", "/account", "/collections", "/deposits", "/held", "/help", ...more], faults);
  }
} catch (e) {
  check("the pages can be visited", false, e.stack);
} finally {
  await browser.close();
}
console.log(`${failed} faults`);
process.exitCode = failed ? 1 : 0;
