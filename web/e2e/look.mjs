// Takes pictures of pages, light and dark, at three widths, and asks axe what is wrong with them.
//
//   node web/e2e/look.mjs --link URL --out DIR [--widths 390,1280,2560] [--themes light,dark] [--no-axe] PATH...
//   node web/e2e/look.mjs --origin http://127.0.0.1:8080 --out DIR /       as somebody who has not signed in
//
// --link is what `vitrine serve --demo` prints after `open`; it works once, so --state FILE keeps the session for the next call.
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { launch, violations, watch } from "./browser.mjs";

const { values: flags, positionals: paths } = parseArgs({
  allowPositionals: true,
  options: {
    link: { type: "string" },
    origin: { type: "string" },
    out: { type: "string", default: "build/look" },
    state: { type: "string" },
    widths: { type: "string", default: "390,1280,2560" },
    themes: { type: "string", default: "light,dark" },
    "no-axe": { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (flags.help || !paths.length || !(flags.link || flags.origin)) {
  console.error("node web/e2e/look.mjs (--link URL | --origin URL) [--state FILE] [--out DIR] [--widths 390,1280,2560] [--themes light,dark] [--no-axe] PATH...");
  process.exit(flags.help ? 0 : 2);
}
const origin = flags.origin ?? new URL(flags.link).origin;
mkdirSync(flags.out, { recursive: true });
const browser = await launch();
let bad = 0;
try {
  const context = await browser.newContext({ storageState: flags.state && existsSync(flags.state) ? flags.state : undefined, reducedMotion: "reduce" });
  const page = await context.newPage();
  const faults = watch(page, origin);
  if (flags.link && !(flags.state && existsSync(flags.state))) {
    await page.goto(flags.link);
    const button = page.locator("main form button").first(); // the link is used by a press, so that a preview of a message does not use it up
    if (await button.count()) await Promise.all([page.waitForNavigation(), button.click()]);
    if (flags.state) await context.storageState({ path: flags.state });
  }
  for (const path of paths) {
    const name = path.replace(/^\//, "").replace(/[^\w.-]+/g, "-").slice(0, 60) || "index";
    for (const theme of flags.themes.split(",")) {
      await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
      for (const width of flags.widths.split(",").map(Number)) {
        await page.setViewportSize({ width, height: width < 600 ? 844 : Math.round((width * 10) / 16) });
        const begun = performance.now();
        await page.goto(origin + path, { waitUntil: "load" });
        const took = await page.evaluate(() => performance.getEntriesByType("navigation")[0]?.responseEnd ?? 0);
        await page.evaluate(() => Promise.all([...document.images].map((i) => (i.loading = "eager") && i.decode().catch(() => {}))));
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        const file = join(flags.out, `${name}-${width}-${theme}.png`);
        await page.screenshot({ path: file, fullPage: true });
        console.log(`${file}  answered in ${took.toFixed(0)} ms, drawn in ${(performance.now() - begun).toFixed(0)} ms${wide > 0 ? `  WIDER THAN THE SCREEN by ${wide} px` : ""}`);
        bad += wide > 0;
        if (!flags["no-axe"]) {
          for (const v of await violations(page)) {
            console.log(`  axe ${v}`);
            bad++;
          }
        }
      }
    }
  }
  for (const f of new Set(faults)) {
    console.log(`fault: ${f}`);
    bad++;
  }
} finally {
  await browser.close();
}
process.exitCode = bad ? 1 : 0;
