// A person without a mouse: everything is reached with the Tab key, as assistive technology and many hands do it.

let tabs = 0;

/** How often the Tab key was pressed since this was last asked. */
export function keys() {
  const n = tabs;
  tabs = 0;
  return n;
}

/** Presses Tab until the target, or something in it, has the focus. */
export async function reach(page, target, most = 400) {
  await target.waitFor({ state: "attached" });
  const there = () => target.evaluate((e) => e === document.activeElement || e.contains(document.activeElement));
  for (let i = 0; i < most; i++) {
    if (await there()) return;
    tabs++;
    await page.keyboard.press("Tab");
  }
  throw new Error(`the keyboard does not reach ${target}`);
}

/** Presses a link or a button; with the space bar where it is something to tick. */
export async function press(page, target, key = "Enter") {
  await reach(page, target);
  await page.keyboard.press(key);
}

/** Follows a link, or sends a form, and waits for the page that comes. */
export async function go(page, target) {
  await reach(page, target);
  await Promise.all([page.waitForEvent("framenavigated", { predicate: (f) => f === page.mainFrame() }), page.keyboard.press("Enter")]);
  await page.waitForLoadState("load");
}

/** Writes into a field, in place of what stood there. */
export async function write(page, field, text) {
  await reach(page, field);
  await page.keyboard.press("Control+A");
  await page.keyboard.type(text);
}

/** Chooses from a select by what its option says. */
export async function choose(page, select, label) {
  await reach(page, select);
  const chosen = () => select.evaluate((s) => s.selectedOptions[0]?.label);
  await page.keyboard.press("Home");
  for (let i = 0; (await chosen()) !== label; i++) {
    if (i > 200) throw new Error(`${select} has no option ${label}`);
    await page.keyboard.press("ArrowDown");
  }
}

/** Writes into a field that offers what it knows, and takes the first that it offers. */
export async function offered(page, field, text) {
  await write(page, field, text);
  await page.waitForFunction((f) => f.getAttribute("aria-activedescendant"), await field.elementHandle());
  await page.keyboard.press("Enter");
}

/** Gives files to an input whose chooser the keyboard opens. */
export async function files(page, opener, paths) {
  await reach(page, opener);
  const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.keyboard.press("Enter")]);
  await chooser.setFiles(paths);
}

/** A passkey device that is always at hand and asks nothing. */
export async function authenticator(page) {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("WebAuthn.enable");
  await cdp.send("WebAuthn.addVirtualAuthenticator", {
    options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  });
}
