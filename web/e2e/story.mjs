// The story of the portal, in Chromium and with the keyboard alone:
//
//   an administrator comes by the first link, and invites three people;
//   a radiographer signs in with a passkey, uploads a folder, and watches it arrive;
//   a steward looks at what is held, accepts it, publishes, and describes the collection in the directory;
//   a researcher finds the collection by disease and age, opens the study in the viewer, and sees the CT.
//
//   node web/e2e/story.mjs --origin http://localhost:8080 --link URL --folder DIR --out DIR
//
// It prints "ok" or "not ok" lines, and leaves a picture of each step in --out.
import { mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { launch, violations, watch } from "./browser.mjs";
import { authenticator, choose, files, go, keys, offered, press, reach, write } from "./keyboard.mjs";
import { drawn, greys, tones } from "./pixels.mjs";

const { values: flags } = parseArgs({ options: { origin: { type: "string" }, link: { type: "string" }, folder: { type: "string" }, out: { type: "string" } } });
const { origin, link, folder, out } = flags;
mkdirSync(out, { recursive: true });

let failed = 0;
let step = 0;
function check(what, holds, seen = "") {
  console.log(`${holds ? "ok" : "not ok"} ${what}${holds || seen === "" ? "" : `: ${seen}`}`);
  failed += holds ? 0 : 1;
}

const browser = await launch();
browser.on("disconnected", () => undefined);

/** A person with a browser and a device of their own. */
async function comes(who) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, reducedMotion: "reduce" });
  context.setDefaultTimeout(60_000);
  // Files are chosen as browsers do that know no handles of files: those that do are asked by a window that no test can answer.
  await context.addInitScript(() => {
    delete window.showDirectoryPicker;
    delete window.showOpenFilePicker;
  });
  const page = await context.newPage();
  page.on("filechooser", () => undefined); // from now on choosers come to the test, and none to the screen
  await authenticator(page);
  return { who, context, page, faults: watch(page, origin) };
}

/** Keeps a picture, and asks axe. */
async function look(p, name) {
  step++;
  await p.page.evaluate(() => window.scrollTo(0, 0)); // what lies half under the header that stays is none of axe's
  await p.page.screenshot({ path: join(out, `${String(step).padStart(2, "0")}-${name}.png`), fullPage: true });
  const found = await violations(p.page);
  check(`${p.who}: ${name}: nothing for axe`, found.length === 0, found.join(" | "));
}

async function leaves(p) {
  check(`${p.who}: no request elsewhere, no script error, no failed load`, p.faults.length === 0, [...new Set(p.faults)].join(" | "));
  await p.context.close();
}

/** Signs in by a link, and adds a passkey. */
async function firstTime(p, url) {
  const page = p.page;
  await page.goto(url);
  await go(page, page.getByRole("button", { name: "Continue" }));
  if (!page.url().includes("/account")) await page.goto(`${origin}/account`);
  await write(page, page.getByLabel("Name of this device"), "Test device");
  await press(page, page.getByRole("button", { name: "Add a passkey" }));
  await page.getByText("added", { exact: false }).first().waitFor();
  check(`${p.who} has a passkey`, (await page.getByRole("button", { name: /Remove the passkey/ }).count()) === 1);
}

/** Signs out, and in again with the passkey. */
async function again(p) {
  const page = p.page;
  await page.goto(`${origin}/account`);
  await go(page, page.getByRole("button", { name: "Sign out" }));
  await page.goto(`${origin}/signin`);
  await reach(page, page.getByRole("button", { name: "Sign in with a passkey" }));
  await Promise.all([page.waitForURL((u) => !u.pathname.startsWith("/signin")), page.keyboard.press("Enter")]);
  check(`${p.who} signs in with the passkey`, !page.url().includes("/signin"));
}

/** Writes the collection's entry for the directory: what is needed to publish it, and a little more. Counts the keys that lead from field to field. */
async function describe(p) {
  const page = p.page;
  const began = Date.now();
  keys();
  await go(page, page.getByRole("link", { name: "Describe it in the directory" }));
  const form = page.locator("form#entry");
  const field = (name) => form.locator(`[name="${name}"]`);
  check("what the node knows is filled in", (await field("title").inputValue()) === "LANTERN" && (await form.locator("input[name=modalities]:checked").count()) === 4 && (await form.locator("input[name=sexes]:checked").count()) === 2, await form.evaluate((f) => new URLSearchParams(new FormData(f)).toString()));
  await write(page, field("title"), "LANTERN: PET/CT that guides treatment of Hodgkin lymphoma");
  await write(page, field("abstract"), "PET/CT of people with Hodgkin lymphoma before treatment and after two cycles, from a made-up trial.");
  await press(page, form.locator("[name=types][value=clinical-trial]"), "Space");
  await write(page, field("custodian.name"), "Wharfe Valley Clinical Trials Unit");
  await write(page, field("contact.email"), "lantern@example.org");
  await offered(page, form.getByRole("combobox", { name: "Search diseases to add" }).first(), "hodgkin lymphoma");
  await write(page, form.getByRole("textbox", { name: /^Search Parts of the body/ }), "thorax");
  await page.keyboard.press("Enter");
  // An arrow goes into the list, which is one stop for the Tab key; another goes on in it.
  await write(page, form.getByRole("textbox", { name: /^Search Parts of the body/ }), "abdom");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Space");
  check("the keyboard chooses from long lists", (await form.locator("input[name=bodySites]:checked").count()) === 2);
  await write(page, field("ageMin"), "18");
  await write(page, field("ageMax"), "75");
  await choose(page, field("use.0.permission"), "Health or medical or biomedical research: any research into health and disease");
  await choose(page, field("access.condition"), "Open to applicants: any researcher may apply");
  await choose(page, field("access.service"), "Direct access: downloaded, after permission");
  await write(page, field("access.jurisdiction"), "GB");
  await write(page, field("access.controller"), "Wharfe Valley Cancer Centre");
  await choose(page, field("access.legalBasis"), "Consent: people agreed");
  await look(p, "entry-written");
  await go(page, form.getByRole("button", { name: "Save as a draft" }));
  check("the entry is a draft that lacks nothing needed", page.url().endsWith("/directory/lantern/edit") && !/Needed\./.test(await page.locator("aside").first().innerText()), await page.locator("main").innerText());
  await look(p, "entry-draft");
  await go(page, page.getByRole("button", { name: "Publish revision 1" }));
  check("the entry is published", page.url().endsWith("/directory/lantern") && /Everybody can see it now/.test(await page.locator("main").innerText()), page.url());
  console.log(`the entry was written in ${((Date.now() - began) / 1000).toFixed(0)} s with ${keys()} presses of Tab`);
}

try {
  // An administrator comes by the first link.
  const admin = await comes("administrator");
  await firstTime(admin, link);
  const links = {};
  for (const [name, role] of [["Rhian Radiographer", "depositor"], ["Stuart Steward", "steward"], ["Rosa Researcher", "researcher"]]) {
    const page = admin.page;
    await page.goto(`${origin}/people`);
    const form = page.locator("form[method=post][action='/people']");
    await write(page, form.getByLabel("Name", { exact: true }), name);
    await choose(page, form.getByLabel("Role"), role);
    await choose(page, form.getByLabel("Collection"), "lantern");
    await go(page, form.getByRole("button", { name: "Invite" }));
    links[role] = (await page.locator("code.cmd").first().innerText()).trim();
    check(`the administrator invites a ${role}`, links[role].includes("/signin/link?t="));
  }
  await look(admin, "people");
  await leaves(admin);

  // A radiographer uploads a folder, and watches it arrive.
  const rhian = await comes("radiographer");
  await firstTime(rhian, links.depositor);
  await look(rhian, "account");
  await again(rhian);
  {
    const page = rhian.page;
    await page.goto(`${origin}/collections/lantern`);
    await go(page, page.locator("main").getByRole("link", { name: /^(Send|Upload|Deposit)/i }).first());
    await files(page, page.getByRole("button", { name: "Choose a folder" }), folder);
    await page.locator("[data-end]").waitFor({ state: "visible" });
    await page.locator("table.files").getByText("a photograph may show the person").waitFor({ timeout: 30_000 }).catch(() => undefined);
    const rows = await page.locator("table.files").innerText();
    check("24 CT images are kept", rows.match(/\bKept\b/g)?.length === 24, rows);
    check("the photograph is held, with its reason", /Held/.test(rows) && /a photograph may show the person/i.test(rows), rows);
    check("what is no image is left out, and counted", /1\s*left out/.test(await page.locator("[data-stats]").innerText()), await page.locator("[data-stats]").innerText());
    await look(rhian, "sent");
    await page.goto(`${origin}/deposits`);
    await go(page, page.locator("main table a, main .deps a, main li a").filter({ hasText: /\d{4}-\d{2}-\d{2}/ }).first());
    await look(rhian, "deposit");
    check("the deposit's page tells its fate", /26 images|24/.test(await page.locator("main").innerText()));
  }
  await leaves(rhian);

  // A steward looks at what is held, accepts it, and publishes.
  const stuart = await comes("steward");
  await firstTime(stuart, links.steward);
  {
    const page = stuart.page;
    // The node reads pixels when a deposit has ended: the ultrasound image leaves the list, the photograph stays and has been read.
    for (let i = 0; i < 240; i++) {
      await page.goto(`${origin}/held`);
      if (!/Ultrasound/.test(await page.locator("main").innerText())) break;
      await page.waitForTimeout(500);
    }
    check("what only its pixels held is held no more", !/Ultrasound/.test(await page.locator("main").innerText()));
    await look(stuart, "held");
    await go(page, page.getByRole("row", { name: /Photographic/ }).getByRole("link", { name: /^Look/ }).last());
    for (let i = 0; i < 60 && (await page.locator(".bx-box").count()) === 0; i++) {
      await page.waitForTimeout(500); // it is read after the ultrasound image
      await page.reload();
    }
    const picture = page.locator("#picture img");
    await picture.evaluate((i) => i.decode());
    const seen = await drawn(page, picture);
    check("the steward sees what is held", seen.yes, JSON.stringify(seen));
    await look(stuart, "held-item");
    check("the steward sees where something looks like text", (await page.locator(".bx-box").count()) > 0);
    await press(page, page.getByLabel(/I have looked at it/), "Space");
    await go(page, page.getByRole("button", { name: "Accept, these boxes painted over", exact: true }));
    check("it is accepted", /1 item accepted/.test(await page.locator("main").innerText()), await page.locator("main").innerText());
    await look(stuart, "accepted");
    // Admission waits until the study has fallen quiet, or its deposit has ended.
    const lists = page.locator("main");
    for (let i = 0; i < 120; i++) {
      await page.goto(`${origin}/collections/lantern`);
      await go(page, page.getByRole("button", { name: /Publish all/ }));
      await page.goto(`${origin}/held`);
      if (!/Photographic/.test(await lists.innerText())) break;
      await page.waitForTimeout(500);
    }
    await page.goto(`${origin}/collections/lantern`);
    await look(stuart, "collection");
    const studies = await page.locator("main .card").allInnerTexts(); // what narrows them names every state
    check("what is on the page is published", studies.length > 0 && !studies.some((s) => s.includes("not published")), studies.join(" | "));
    await describe(stuart);
  }
  await leaves(stuart);

  // A researcher finds the collection by disease and age, and sees the CT.
  const rosa = await comes("researcher");
  await firstTime(rosa, links.researcher);
  {
    const page = rosa.page;
    await page.goto(`${origin}/`);
    await page.keyboard.press("/");
    await page.keyboard.type("hodgkins lymfoma"); // as people spell
    await Promise.all([page.waitForURL(/q=hodgkins/), page.keyboard.press("Enter")]);
    const results = page.locator("#dir");
    await results.getByText("LANTERN", { exact: false }).first().waitFor();
    check("the words find it, misspelt", !(await results.innerText()).includes("Tyndale"), await results.innerText());
    // The lower end of the ages goes up with the arrow keys, until the young are left out.
    const lower = page.getByRole("slider", { name: /age/i }).first();
    await reach(page, lower);
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    await page.waitForURL(/age=/);
    await results.getByText("LANTERN", { exact: false }).first().waitFor();
    await look(rosa, "found");
    await go(page, results.getByRole("link", { name: /LANTERN/ }).first());
    check("the collection's page tells of it in public words", /Hodgkin/.test(await page.locator("main").innerText()));
    await look(rosa, "directory-entry");
    await go(page, page.getByRole("link", { name: "What you see inside" }));
    await look(rosa, "studies");
    const thorax = page.locator("main").getByRole("link", { name: /thorax/i }).first();
    for (let i = 0; i < 20 && !(await thorax.count()); i++) await go(page, page.getByRole("link", { name: "Next studies" }));
    await go(page, thorax);
    const still = page.locator("#picture figure img");
    await still.evaluate((i) => i.decode());
    const study = await greys(page, still);
    check("the study's page shows the CT", tones(study).mean > 4 && tones(study).spread > 8, JSON.stringify(tones(study)));
    await look(rosa, "study");
    await go(page, page.getByRole("link", { name: /viewer/i }).first());
    const canvas = page.locator(".cornerstone-canvas, canvas").first();
    await canvas.waitFor({ timeout: 120_000 });
    let seen;
    for (let i = 0; i < 240; i++) {
      seen = await drawn(page, canvas);
      if (seen.yes) break;
      await page.waitForTimeout(500);
    }
    check("the viewer draws the CT", seen.yes, JSON.stringify(seen));
    step++;
    await page.screenshot({ path: join(out, `${String(step).padStart(2, "0")}-viewer.png`) });
  }
  await leaves(rosa);
} catch (e) {
  check("the story goes on", false, e.stack);
  for (const c of browser.contexts()) {
    for (const p of c.pages()) await p.screenshot({ path: join(out, "failed.png"), fullPage: true }).catch(() => undefined);
  }
} finally {
  await browser.close();
}
console.log(`${step} pictures in ${basename(out)}, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
