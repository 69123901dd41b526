// Chromium for tests of the portal: Debian's, driven by Playwright, with nothing of it that speaks to anybody else.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const places = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].filter(Boolean);

/** The program, or undefined where there is none. */
export const program = places.find((p) => existsSync(p));

/** Starts a browser. WebGL is drawn by software, so that viewers work on a machine without a display. */
export async function launch() {
  if (!program) throw new Error("Chromium is absent: install it, or name it in CHROMIUM");
  return chromium.launch({
    executablePath: program,
    args: [
      "--no-sandbox",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--use-gl=angle",
      "--use-angle=swiftshader",
      "--enable-unsafe-swiftshader",
      "--force-color-profile=srgb",
      "--hide-scrollbars",
    ],
  });
}

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/**
 * Violations of WCAG 2.2 A and AA on the page as it stands, one line each. axe is put in through the debugger, which the page's content policy does not see.
 */
export async function violations(page) {
  await page.evaluate(axeSource);
  const found = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], resultTypes: ["violations"] }));
  return found.violations.flatMap((v) => v.nodes.map((n) => `${v.id} (${v.impact}): ${n.target.join(" ")}: ${n.failureSummary?.split("\n").slice(1).join(";").trim()}`));
}

/**
 * Watches what a page does that it must not: requests to another host, script errors, failed loads, violations of its content policy. The list grows.
 */
export function watch(page, origin) {
  const faults = [];
  const own = (url) => url.startsWith(origin) || url.startsWith("data:") || url.startsWith("blob:") || url.startsWith("about:");
  page.on("request", (r) => own(r.url()) || faults.push(`request to another host: ${new URL(r.url()).host}`));
  page.on("pageerror", (e) => faults.push(`script error: ${e.message}`));
  page.on("console", (m) => m.type() === "error" && faults.push(`console: ${m.text()}`));
  page.on("response", (r) => r.status() >= 400 && faults.push(`${r.status()} for ${new URL(r.url()).pathname}`));
  return faults;
}
