// The page of somebody outside: it takes the link out of the address, asks the node what it is good for, and sends.
import { forgetLink, known, newVisit, remember, secretIn, type Known } from "../upload/links";
import { forgetAll } from "../upload/store";
import { sending } from "./upload";

type Told = { id: string; collection: string; inviter?: string; expires: string; quota_bytes: number; quota_files: number; left_bytes: number; left_files: number };
type Problem = { status?: number; code?: string; detail?: string; advice?: string };

function size(n: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  while (n >= 999.5 && unit < units.length - 1) {
    n /= 1000;
    unit++;
  }
  return `${unit > 0 && n < 9.95 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

function moment(iso: string): string {
  return new Date(iso).toLocaleString("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit" });
}

export default async function send(root: HTMLElement): Promise<void> {
  const part = <T extends HTMLElement = HTMLElement>(name: string): T => root.querySelector<T>(`[data-send="${name}"]`)!;
  part("plain").hidden = true;

  // The secret leaves the address at once, and the browser's history with it.
  const brought = secretIn(location.hash);
  if (location.hash) history.replaceState(null, "", location.pathname);
  window.addEventListener("hashchange", () => secretIn(location.hash) && location.reload()); // another link, opened in this window

  const headersOf = (link: { secret: string; visit: string }): Record<string, string> => ({ "Vitrine-Link": link.secret, "Vitrine-Visit": link.visit });

  async function ask(link: { secret: string; visit: string }): Promise<Told | Problem> {
    const answer = await fetch("/upload/links/mine", { headers: { ...headersOf(link), Accept: "application/json" }, cache: "no-store" }).catch(() => undefined);
    if (!answer) return { status: 0, detail: "The node does not answer.", advice: "See whether this device has a connection, and load the page again." };
    const said = (await answer.json().catch(() => ({}))) as Told & Problem;
    return answer.ok ? said : { ...said, status: answer.status };
  }

  function draw(told: Told): void {
    part("title").textContent = `Send images to ${told.collection}`;
    document.title = `Send images to ${told.collection} - Vitrine`;
    part("about").textContent = `${told.inviter ? `${told.inviter} has invited you. ` : ""}You need no account. What identifies a person is taken out of the images before anything is kept.`;
    part("until").textContent = moment(told.expires);
    part("left").textContent = `${size(told.left_bytes)}, ${new Intl.NumberFormat("en-GB").format(told.left_files)} files`;
    const full = told.left_bytes <= 0 || told.left_files <= 0;
    part("full").hidden = !full;
    root.querySelector<HTMLElement>("[data-drop]")!.hidden = full;
  }

  function over(p: Problem): void {
    const titles: Record<string, string> = { "link-unknown": "This link does not open anything", "link-expired": "This link has expired", "link-ended": "This link was ended", "link-wait": "Wait a moment" };
    part("over-title").textContent = titles[p.code ?? ""] ?? "Not at this moment";
    part("over-text").textContent = p.detail ?? "Something went wrong that was not foreseen.";
    part("over-advice").textContent = p.advice ?? "";
    part("over").hidden = false;
    part("said").textContent = `${part("over-title").textContent}. ${p.detail ?? ""}`;
  }

  async function open(link: Pick<Known, "secret" | "visit">): Promise<void> {
    for (const name of ["over", "ask", "choose"]) part(name).hidden = true;
    const told = await ask(link);
    if (!("id" in told)) {
      if (told.status === 404 || told.status === 410) forgetLink(link.secret);
      over(told);
      return;
    }
    remember({ id: told.id, secret: link.secret, visit: link.visit, collection: told.collection, until: told.expires });
    draw(told);
    const page = part("page");
    page.dataset.who = told.id;
    page.dataset.link = told.id;
    page.hidden = false;
    part("said").textContent = part("title").textContent;
    root.querySelector('[data-send-act="forget"]')!.addEventListener("click", () => {
      forgetLink(link.secret);
      void forgetAll(told.id).then(() => location.assign(location.pathname));
    });
    await sending(page, headersOf(link), () => {
      void ask(link).then((now) => "id" in now && draw(now));
    });
  }

  const paste = part<HTMLFormElement>("ask");
  paste.addEventListener("submit", (event) => {
    event.preventDefault();
    const secret = secretIn(new FormData(paste).get("link") as string);
    const wrong = part("wrong");
    wrong.hidden = !!secret;
    wrong.textContent = "This is no whole link: it ends with a number sign and a long word after it.";
    paste.reset();
    if (secret) void open(known().find((l) => l.secret === secret) ?? { secret, visit: newVisit() });
  });
  root.querySelector('[data-send-act="again"]')!.addEventListener("click", () => {
    part("over").hidden = true;
    paste.hidden = false;
    paste.querySelector("input")!.focus();
  });

  const all = known();
  if (brought) {
    await open(all.find((l) => l.secret === brought) ?? { secret: brought, visit: newVisit() });
  } else if (all.length === 1) {
    await open(all[0]!);
  } else if (all.length > 1) {
    part("links").replaceChildren(
      ...all.map((l) => {
        const li = document.createElement("li");
        const text = document.createElement("span");
        text.className = "gr";
        const name = document.createElement("b");
        name.textContent = l.collection;
        const until = document.createElement("span");
        until.className = "note";
        until.textContent = `works until ${moment(l.until)}`;
        text.append(name, until);
        const button = document.createElement("button");
        button.className = "btn s";
        button.textContent = "Open";
        button.setAttribute("aria-label", `Open the link to ${l.collection}`);
        button.addEventListener("click", () => void open(l));
        li.append(text, button);
        return li;
      }),
    );
    part("choose").hidden = false;
  } else paste.hidden = false;
}
