// Draws boxes on pictures of held images with a pointer and with the keyboard alone, looks at them painted, and accepts; says what it saw, and takes pictures.
//
//   node web/e2e/boxes.mjs (--link URL | --origin URL --state FILE) [--out DIR] PATH...
//
// The paths are of held images, single frames of 640 by 480 but the last, which has several: the first is for the pointer, the second for the keyboard, the third is done without
// script, the last has others of its size beside it. Exit code 1: something is not as it should be, or axe found something.
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { launch, violations, watch } from "./browser.mjs";
import { press, reach, write } from "./keyboard.mjs";

const { values: flags, positionals: paths } = parseArgs({
  allowPositionals: true,
  options: { link: { type: "string" }, origin: { type: "string" }, state: { type: "string" }, out: { type: "string", default: "build/look" } },
});
if (paths.length !== 4 || !(flags.link || flags.origin)) {
  console.error("node web/e2e/boxes.mjs (--link URL | --origin URL --state FILE) [--out DIR] PATH PATH PATH PATH");
  process.exit(2);
}
const origin = flags.origin ?? new URL(flags.link).origin;
mkdirSync(flags.out, { recursive: true });
const wrong = [];
const check = (what, yes, more = "") => {
  console.log(`${yes ? "ok  " : "FAIL"} ${what}${yes ? "" : `: ${more}`}`);
  if (!yes) wrong.push(what);
};
const browser = await launch();
const context = await browser.newContext({ storageState: flags.state && existsSync(flags.state) ? flags.state : undefined, viewport: { width: 1280, height: 900 }, reducedMotion: "reduce" });
const page = await context.newPage();
page.setDefaultTimeout(60_000);
const faults = watch(page, origin);
if (flags.link) {
  await page.goto(flags.link);
  await Promise.all([page.waitForEvent("framenavigated"), page.locator("main form button").first().click()]);
  await page.waitForLoadState();
}

async function open(path) {
  // It is read when its deposit has ended.
  for (let i = 0; i < 120; i++) {
    await page.goto(origin + path);
    await page.waitForSelector(".bx-layer");
    if (await page.locator(".bx-box").count()) break;
    await page.waitForTimeout(500);
  }
  await page.locator("#picture img").first().evaluate((i) => i.decode());
}
async function look(name) {
  await page.screenshot({ path: join(flags.out, `boxes-${name}.png`), fullPage: true });
  const found = await violations(page);
  check(`axe finds nothing: ${name}`, !found.length, found.join("\n"));
}
const numbers = (row) => row.locator("input").evaluateAll((all) => all.map((i) => Number(i.value)));
const rows = () => page.locator(".bx-rows tbody tr");
const carried = () => page.locator("#bxothers input").evaluateAll((all) => all.map((i) => i.value));
/** The colour in the middle of a part of the picture that is shown, in pixels of the image. */
const colour = (x, y) =>
  page.locator("#picture .hd-pic img").evaluate(
    async (img, [x, y]) => {
      await img.decode();
      const canvas = new OffscreenCanvas(img.naturalWidth, img.naturalHeight).getContext("2d");
      canvas.drawImage(img, 0, 0);
      return [...canvas.getImageData((x / 640) * img.naturalWidth, (y / 480) * img.naturalHeight, 1, 1).data.slice(0, 3)];
    },
    [x, y],
  );
const black = (c) => c.every((v) => v === 0);
async function at(x, y) {
  const box = await page.locator(".bx-layer").boundingBox();
  return [box.x + (x / 640) * box.width, box.y + (y / 480) * box.height];
}
async function drag(from, to) {
  await page.locator(".hd-pic").evaluate((e) => e.scrollIntoView({ block: "start" })); // a mouse reaches what is on the screen
  await page.mouse.move(...(await at(...from)));
  await page.mouse.down();
  await page.mouse.move(...(await at((from[0] + to[0]) / 2, (from[1] + to[1]) / 2)));
  await page.mouse.move(...(await at(...to)));
  await page.mouse.up();
}
const near = (a, b, by = 2) => a.length >= b.length && b.every((v, i) => Math.abs(a[i] - v) <= by);
async function accept(name = /^Accept, these boxes painted over$/) {
  await page.getByLabel(/I have looked at/).check();
  await Promise.all([page.waitForEvent("framenavigated"), page.getByRole("button", { name }).click()]);
  await page.waitForLoadState();
  return page.locator("main").innerText();
}

// With a pointer, at a size of the window in which the picture is shown smaller than it is.
await page.setViewportSize({ width: 800, height: 800 });
await open(paths[0]);
const found = await rows().count();
check("what was found is there", found > 0, `${found} boxes`);
await drag([250, 200], [400, 280]);
check("a box is drawn", near(await numbers(rows().last()), [250, 200, 150, 80]), JSON.stringify(await numbers(rows().last())));
await drag([325, 240], [345, 260]);
check("it is moved", near(await numbers(rows().last()), [270, 220, 150, 80], 3), JSON.stringify(await numbers(rows().last())));
await drag([420, 300], [460, 330]);
check("a corner makes it larger", near(await numbers(rows().last()), [270, 220, 190, 110], 4), JSON.stringify(await numbers(rows().last())));
await drag([460, 330], [200, 200]);
check("and turns it inside out", near(await numbers(rows().last()), [200, 200, 70, 20], 4), JSON.stringify(await numbers(rows().last())));
await page.mouse.move(...(await at(500, 400)));
await page.mouse.down();
await page.mouse.move(...(await at(560, 440)));
check("a box grows while it is drawn", (await rows().count()) === found + 2, `${await rows().count()}`);
await page.keyboard.press("Escape");
await page.mouse.up();
check("the Escape key takes it back", (await rows().count()) === found + 1, `${await rows().count()}`);
await page.mouse.click(...(await at(500, 400)));
check("a click draws none", (await rows().count()) === found + 1, `${await rows().count()}`);
await drag([635, 475], [660, 490]);
check("no box leaves the picture", near(await numbers(rows().last()), [635, 475, 5, 5]), JSON.stringify(await numbers(rows().last())));
await page.getByRole("button", { name: `Remove box ${found + 2}` }).click();
await page.getByRole("button", { name: "Larger" }).click();
await page.waitForFunction(() => document.querySelector(".bx-layer").clientWidth > 900);
await page.locator(".hd-pic").evaluate((f) => f.scrollTo(0, 0));
await drag([60, 150], [90, 170]);
check("larger, the same pixels", near(await numbers(rows().last()), [60, 150, 30, 20], 1), JSON.stringify(await numbers(rows().last())));
await page.getByRole("button", { name: "Larger" }).click();
await page.waitForFunction(() => document.querySelector(".bx-layer").clientWidth < 900);
check("it is not painted yet", !black(await colour(235, 210)), JSON.stringify(await colour(235, 210)));
await page.getByRole("button", { name: "Show it painted" }).click();
await page.waitForFunction(() => document.querySelector("#picture .hd-pic img").alt.includes("painted over"));
const [x, y, w, h] = await numbers(rows().nth(found));
check("what is drawn is painted", black(await colour(x + w / 2, y + h / 2)), JSON.stringify(await colour(x + w / 2, y + h / 2)));
check("and nothing else", !black(await colour(300, 100)), JSON.stringify(await colour(300, 100)));
await look("painted");
await page.getByRole("button", { name: "Remove box 1", exact: true }).click();
await page.waitForFunction(() => document.querySelector("#picture .hd-pic img").alt.includes("not cleaned"));
check("a change shows the picture as it came", (await page.getByRole("button", { name: "Show it painted" }).getAttribute("aria-pressed")) === "false");
check("it is accepted", /1 item accepted/.test(await accept()), await page.locator("main").innerText());

// With the keyboard alone.
await page.setViewportSize({ width: 1280, height: 900 });
await open(paths[1]);
await press(page, page.getByRole("button", { name: "Add a box" }));
const mine = page.locator(".bx-box").last();
check("a box that is added has the focus", await mine.evaluate((e) => e === document.activeElement));
await page.keyboard.press("ArrowRight");
await page.keyboard.press("Control+ArrowDown");
await page.keyboard.press("Shift+ArrowRight");
await page.keyboard.press("Control+Shift+ArrowUp");
check("arrow keys move it and change its size", near(await numbers(rows().last()), [241, 226, 161, 20], 0), JSON.stringify(await numbers(rows().last())));
check("and say so", /161 by 20, at 241, 226/.test(await page.locator("#bxsay").innerText()), await page.locator("#bxsay").innerText());
await look("keyboard");
await reach(page, page.locator(".bx-box").first());
await page.keyboard.press("Delete");
check("the Delete key takes one away", (await rows().count()) === found, `${await rows().count()}`);
await write(page, rows().last().getByLabel(/width/), "40");
await page.keyboard.press("Tab");
check("numbers are another way", /^1:241,226,40,20$/.test((await carried()).at(-1)), (await carried()).join(" "));
await press(page, page.getByRole("button", { name: "Show it painted" }));
await page.waitForFunction(() => document.querySelector("#picture .hd-pic img").alt.includes("painted over"));
await press(page, page.getByLabel(/I have looked at/), "Space");
await reach(page, page.getByRole("button", { name: "Accept, these boxes painted over" }));
await Promise.all([page.waitForEvent("framenavigated"), page.keyboard.press("Enter")]);
await page.waitForLoadState();
check("it is accepted by keys", /1 item accepted/.test(await page.locator("main").innerText()), await page.locator("main").innerText());

// Without script.
{
  const plain = await (await browser.newContext({ storageState: await context.storageState(), javaScriptEnabled: false })).newPage();
  await plain.goto(origin + paths[2]);
  const fresh = plain.locator("tr.bx-new input");
  for (const [i, v] of [100, 110, 50, 60].entries()) await fresh.nth(i).fill(String(v));
  await plain.locator("input[name=drop]").first().check();
  await Promise.all([plain.waitForNavigation(), plain.getByRole("button", { name: "Show it painted" }).click()]);
  check("without script it comes back painted", /painted over/.test((await plain.locator("#picture .hd-pic img").getAttribute("alt")) ?? ""));
  check("with the box in a row, and without the one that was taken away", (await plain.locator(".bx-rows tbody tr").count()) === found + 1, `${await plain.locator(".bx-rows tbody tr").count()}`);
  await plain.screenshot({ path: join(flags.out, "boxes-plain.png"), fullPage: true });
  await plain.locator("input[name=bw]").first().fill("0");
  await plain.getByRole("button", { name: "Show it painted" }).click();
  check("a box without a width is refused in words", /width and a height of at least 1/.test(await plain.getByRole("alert").innerText()), await plain.locator("main").innerText());
  const again = plain.locator("tr.bx-new input");
  check("and comes back to be mended", (await again.nth(2).inputValue()) === "0" && (await again.nth(1).inputValue()) !== "", await again.nth(1).inputValue());
  await again.nth(2).fill("20");
  await plain.locator("input[name=seen]").check();
  await Promise.all([plain.waitForNavigation(), plain.getByRole("button", { name: "Accept, these boxes painted over" }).click()]);
  check("it is accepted without script", /1 item accepted/.test(await plain.locator("main").innerText()), await plain.locator("main").innerText());
}

// By touch, in several frames, and on others beside it.
{
  const phone = await browser.newContext({ storageState: await context.storageState(), viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  const touch = await phone.newPage();
  await touch.goto(origin + paths[3]);
  await touch.waitForSelector(".bx-layer");
  await touch.locator("#picture img").first().evaluate((i) => i.decode());
  await touch.locator(".hd-pic").scrollIntoViewIfNeeded();
  const before = await touch.locator(".bx-rows tbody tr").count();
  const line = await phone.newCDPSession(touch);
  const box = await touch.locator(".bx-layer").boundingBox();
  const p = (x, y) => ({ x: box.x + (x / 640) * box.width, y: box.y + (y / 480) * box.height });
  await line.send("Input.dispatchTouchEvent", { type: "touchStart", touchPoints: [p(300, 200)] });
  for (let i = 1; i <= 8; i++) await line.send("Input.dispatchTouchEvent", { type: "touchMove", touchPoints: [p(300 + 15 * i, 200 + 8 * i)] });
  await line.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
  const last = touch.locator(".bx-rows tbody tr").last();
  check("a finger draws", (await touch.locator(".bx-rows tbody tr").count()) === before + 1 && near(await numbers(last), [300, 200, 120, 64], 5), JSON.stringify(await numbers(last)));
  check("in all frames", near((await numbers(last)).slice(4), [1, 5], 0), JSON.stringify(await numbers(last)));
  await last.getByLabel(/from frame/).fill("2");
  await last.getByLabel(/from frame/).blur();
  check("from the second on it is not in the first", (await touch.locator(".bx-rows tbody tr").count()) === before);
  await touch.getByRole("button", { name: "Later" }).click();
  await touch.waitForFunction(() => document.querySelector("#picture .hd-pic img").alt.startsWith("Frame 2"));
  check("in the second it is", (await touch.locator(".bx-rows tbody tr").count()) === before + 1);
  check("no part of the page is wider than the phone", await touch.evaluate(() => document.documentElement.scrollWidth <= 390));
  await touch.screenshot({ path: join(flags.out, "boxes-phone.png"), fullPage: true });
  const found = await violations(touch);
  check("axe finds nothing: phone", !found.length, found.join("\n"));
  await touch.getByLabel(/I have looked at/).check();
  await Promise.all([touch.waitForEvent("framenavigated"), touch.getByRole("button", { name: "Accept, these boxes painted over" }).tap()]);
  await touch.waitForLoadState();
  check("it is accepted by touch", /1 item accepted/.test(await touch.locator("main").innerText()), await touch.locator("main").innerText());
}
check("the pages do what they may", !faults.length, faults.join("\n"));
await browser.close();
process.exit(wrong.length ? 1 : 0);
