// Sends a folder from the page, over a slow line, closes the page in the middle, comes back and goes on; says what it saw, and takes pictures.
//
//   node web/e2e/upload.mjs (--link URL | --origin URL) --folder DIR [--collection default] [--state FILE] [--out DIR]
//
// Exit code 1: a file was lost or sent twice, or axe found something.
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { launch, violations, watch } from "./browser.mjs";

const { values: flags } = parseArgs({
  options: {
    link: { type: "string" },
    origin: { type: "string" },
    folder: { type: "string" },
    collection: { type: "string", default: "default" },
    state: { type: "string" },
    out: { type: "string", default: "build/look" },
  },
});
if (!flags.folder || !(flags.link || flags.origin)) {
  console.error("node web/e2e/upload.mjs (--link URL | --origin URL) --folder DIR [--collection default] [--state FILE] [--out DIR]");
  process.exit(2);
}
const origin = flags.origin ?? new URL(flags.link).origin;
mkdirSync(flags.out, { recursive: true });
const browser = await launch();
const known = flags.state && existsSync(flags.state) ? flags.state : undefined;
const context = await browser.newContext({ storageState: known, viewport: { width: 1280, height: 900 } });
const wrong = [];

async function open() {
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  // The picker of the system cannot be driven: the page falls back to the input that every browser has.
  await page.addInitScript(() => delete window.showDirectoryPicker);
  const faults = watch(page, origin);
  return { page, faults };
}

async function look(page, name) {
  await page.screenshot({ path: join(flags.out, `upload-${name}.png`) });
  wrong.push(...(await violations(page)).map((v) => `${name}: ${v}`));
}

const percent = (page, n) => page.waitForFunction((n) => Number(document.querySelector("[data-bar]").getAttribute("aria-valuenow")) >= n, n);

let { page, faults } = await open();
if (!known && flags.link) {
  await page.goto(flags.link);
  await page.click("main button");
  await page.waitForLoadState();
  if (flags.state) await context.storageState({ path: flags.state });
}
const address = `${origin}/collections/${flags.collection}/upload`;
await page.goto(address);
await page.waitForSelector("[data-ui]:not([hidden])");
await look(page, "empty");
const line = await context.newCDPSession(page);
await line.send("Network.enable");
await line.send("Network.emulateNetworkConditions", { offline: false, latency: 20, downloadThroughput: -1, uploadThroughput: 6e6 });
await page.setInputFiles("[data-in=folder]", flags.folder);
await percent(page, 20);
await look(page, "sending");
await page.click("[data-act=pause]");
await page.waitForFunction(() => document.querySelector("[data-title]").textContent === "Paused");
const before = await page.textContent("[data-left]");
await page.waitForTimeout(1500);
if ((await page.textContent("[data-left]")) !== before) wrong.push("it goes on though it was paused");
await page.click("[data-act=pause]");
await percent(page, 45);
await page.close();
({ page, faults } = await open());
await page.goto(address);
await page.waitForSelector("[data-onward]:not([hidden])");
await look(page, "back");
const left = Number((await page.textContent("[data-onward-title]")).replace(/\D/g, ""));
let begun = 0;
page.on("request", (r) => r.method() === "POST" && r.url() === `${origin}/upload` && begun++);
await page.setInputFiles("[data-in=folder]", flags.folder);
await page.waitForFunction(() => /^(Sent|Not all)/.test(document.querySelector("[data-title]").textContent));
await page.waitForSelector("[data-end] a");
await look(page, "sent");
console.log(`${left} files were left; ${begun} uploads were begun after it; ${await page.textContent("[data-end]")}`);
if (begun > left) wrong.push("something was sent twice");
await page.click("[data-end] a");
await page.waitForLoadState();
await page.waitForSelector("#became");
await look(page, "deposit");
for (const w of [...wrong, ...faults]) console.log(w);
await browser.close();
process.exit(wrong.length ? 1 : 0);
