// Somebody outside, without an account, sends by a link, in Chromium:
//
//   an administrator makes a link into a collection;
//   somebody opens it, sends a folder over a slow line, closes the page in the middle, comes back without the link and goes on, with the keyboard alone where it can be;
//   the page says what became of each file; the link is ended, and says so.
//
//   node web/e2e/outside.mjs --origin http://localhost:8080 --link URL --collection ID --folder DIR --out DIR
//
// It prints "ok" or "not ok" lines, and leaves pictures of each step in --out: with VITRINE_SOAK at two widths and in both themes.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { launch, violations, watch } from "./browser.mjs";
import { go, press, write } from "./keyboard.mjs";

const { values: flags } = parseArgs({ options: { origin: { type: "string" }, link: { type: "string" }, collection: { type: "string" }, folder: { type: "string" }, out: { type: "string" } } });
const { origin, link, collection, folder, out } = flags;
mkdirSync(out, { recursive: true });

let failed = 0;
function check(what, holds, seen = "") {
  console.log(`${holds ? "ok" : "not ok"} ${what}${holds || seen === "" ? "" : `: ${seen}`}`);
  failed += holds ? 0 : 1;
}

const browser = await launch();

/** Looks at the page on a desk and a phone, and asks axe: light on the one and dark on the other, or, in the long form, both on both. */
const looks = [["light", 1280, 860], ["dark", 390, 844], ...(process.env.VITRINE_SOAK ? [["light", 390, 844], ["dark", 1280, 860]] : [])];
let step = 0;
async function look(page, name) {
  step++;
  for (const [theme, width, height] of looks) {
    await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
    await page.setViewportSize({ width, height });
    await page.evaluate(() => window.scrollTo(0, 0));
    await page.screenshot({ path: join(out, `${String(step).padStart(2, "0")}-${name}-${width}-${theme}.png`), fullPage: true });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    const found = await violations(page);
    check(`${name}, ${width}, ${theme}: nothing for axe, and no wider than the screen`, found.length === 0 && wide <= 0, `${wide} px; ${found.join(" | ")}`);
  }
  await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
  await page.setViewportSize({ width: 1280, height: 860 });
}

/** A browser of somebody. */
async function comes() {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, reducedMotion: "reduce" });
  context.setDefaultTimeout(60_000);
  await context.addInitScript(() => {
    delete window.showDirectoryPicker; // the picker of the system cannot be driven: the page falls back to the input that every browser has
  });
  return context;
}

async function opened(context) {
  const page = await context.newPage();
  page.on("filechooser", () => undefined);
  return { page, faults: watch(page, origin) };
}

// What was on its way when the page was paused or closed may have come after all: the node says so (409) when it is begun anew, and it is not sent twice.
const come = (f) => /^409 for \/upload$|status of 409/.test(f);
const fine = (faults) => check("no request elsewhere, no script error, no failed load", faults.length === 0, [...new Set(faults)].join(" | "));

try {
  // The administrator makes a link.
  const inside = await comes();
  const desk = await opened(inside);
  await desk.page.goto(link);
  await go(desk.page, desk.page.getByRole("button", { name: "Continue" }));
  await desk.page.goto(`${origin}/collections/${collection}`);
  await go(desk.page, desk.page.getByRole("link", { name: "Links for people outside" }));
  await look(desk.page, "no-links");
  await write(desk.page, desk.page.getByLabel("Label"), "The disc of May");
  await go(desk.page, desk.page.getByRole("button", { name: /^Make the link/ }));
  const address = (await desk.page.locator("code.cmd").innerText()).trim();
  check("the link is shown once", /\/send#vitrine-link_[\w-]{43}$/.test(address), address);
  await look(desk.page, "made");
  fine(desk.faults);

  // Somebody without an account opens it.
  const secret = address.split("#")[1];
  const outside = await comes();
  let { page, faults } = await opened(outside);
  await page.goto(`${origin}/send`);
  await page.getByRole("heading", { name: "Open your link" }).waitFor();
  await look(page, "without-a-link");
  await page.goto("about:blank");
  const asked = [];
  page.on("request", (r) => asked.push(r.url()));
  await page.goto(address);
  await page.getByText(/^Drop files/).waitFor();
  check("the link leaves the address", page.url() === `${origin}/send`, page.url().replace(secret, "SECRET"));
  check("the link is in no address that is asked for", asked.length > 3 && !asked.some((u) => new URL(u).pathname.includes("vitrine-link_") || new URL(u).search.includes("vitrine-link_")));
  check("there is no cookie", (await outside.cookies()).length === 0);
  check("nobody is asked to sign in", (await page.getByRole("link", { name: "Sign in" }).count()) === 0);
  await look(page, "opened");

  // A folder, over a slow line; the page is closed in the middle.
  const line = await outside.newCDPSession(page);
  await line.send("Network.enable");
  await line.send("Network.emulateNetworkConditions", { offline: false, latency: 20, downloadThroughput: -1, uploadThroughput: 2e6 });
  const percent = (n) => page.waitForFunction((n) => Number(document.querySelector("[data-bar]")?.getAttribute("aria-valuenow")) >= n, n);
  await page.setInputFiles("[data-in=folder]", folder);
  await percent(15);
  await press(page, page.getByRole("button", { name: "Pause" }));
  await page.waitForFunction(() => document.querySelector("[data-title]")?.textContent === "Paused");
  await look(page, "paused");
  await press(page, page.getByRole("button", { name: "Go on" }));
  await percent(40);
  fine(faults.filter((f) => !come(f)));
  await page.close();

  // Days later, in the same browser, without the link.
  ({ page, faults } = await opened(outside));
  await page.goto(`${origin}/send`);
  await page.locator("[data-onward]").waitFor({ state: "visible" });
  const left = Number((await page.locator("[data-onward-title]").innerText()).replace(/\D/g, ""));
  check("what was sent is not to be sent again", left > 0 && left < 26, left);
  await look(page, "back");
  let begun = 0;
  page.on("request", (r) => r.method() === "POST" && r.url() === `${origin}/upload` && begun++);
  await page.setInputFiles("[data-in=folder]", folder);
  await page.waitForFunction(() => /^Sent/.test(document.querySelector("[data-title]")?.textContent ?? ""));
  await page.locator("[data-end]").waitFor({ state: "visible" });
  check("nothing is sent twice", begun <= left, `${begun} of ${left}`);
  const rows = await page.locator("table.files").innerText();
  check("24 CT images are kept", rows.match(/\bKept\b/g)?.length === 24, rows);
  check("the photograph is held, with its reason and what to do", /Held/.test(rows) && /photograph/i.test(rows), rows);
  check("what is no image is left out, and counted", /1\s*left out/.test(await page.locator("[data-stats]").innerText()), await page.locator("[data-stats]").innerText());
  check("nobody is led to a page that takes an account", (await page.locator("main a[href^='/deposits']").count()) === 0);
  await page.waitForFunction(() => /99,97\d files/.test(document.querySelector("[data-send=left]")?.textContent ?? "")).catch(() => undefined);
  check("the room that is left is told", /99,97\d files/.test(await page.locator("[data-send=left]").innerText()), await page.locator("[data-send=left]").innerText());
  await look(page, "sent");
  fine(faults.filter((f) => !come(f)));

  // Another who holds the same link sees nothing of it.
  const other = await comes();
  const second = await opened(other);
  await second.page.goto(address);
  await second.page.getByText(/^Drop files/).waitFor();
  check("another who holds the link sees nothing of what was sent", (await second.page.locator("[data-list]").isHidden()) && (await second.page.locator("[data-onward]").isHidden()));
  fine(second.faults);
  await other.close();

  // The steward's list; the link is ended, and says so.
  await desk.page.goto(`${origin}/collections/${collection}/links`);
  check("the list says that it was used", /2\d files/.test(await desk.page.locator("table").innerText()), await desk.page.locator("table").innerText());
  await look(desk.page, "used");
  await go(desk.page, desk.page.getByRole("button", { name: /^End link-/ }));
  check("it is ended", /ended/.test(await desk.page.locator("table").innerText()));
  await page.reload();
  await page.getByRole("heading", { name: "This link was ended" }).waitFor();
  await look(page, "ended");
  await page.reload();
  await page.getByRole("heading", { name: "Open your link" }).waitFor();
  check("an ended link is forgotten here", (await page.evaluate(() => localStorage.getItem("vitrine-links"))) === null);
  await page.getByLabel("Link", { exact: true }).fill(`${origin}/send#vitrine-link_${"A".repeat(43)}`);
  await press(page, page.getByRole("button", { name: "Open" }));
  await page.getByRole("heading", { name: "This link does not open anything" }).waitFor();
  check("one that nobody made is not known", true);
} catch (e) {
  check("the story can be told", false, e.stack);
} finally {
  await browser.close();
}
process.exitCode = failed ? 1 : 0;
