// Keeps what a page says of deposits up to date while they arrive: the node tells when something has changed (server-sent events), and the page is read again. Without script, loading
// the page again does the same. Where this browser sent the files itself, it puts their names beside their numbers: the node does not know them.
import { namesOf } from "../upload/store";

type Counts = { received: number; pending: number; catalogued: number; held: number; refused: number; running: boolean };

const often = 1000; // how often the page is read again, at most

export default function live(root: HTMLElement): void {
  const said = root.querySelector<HTMLElement>("[data-said]");
  let due = 0;
  let busy = false;
  let saidAt = 0;

  async function refresh(): Promise<void> {
    if (busy) return;
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok || answer.redirected) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const here of root.querySelectorAll<HTMLElement>("[data-live]")) {
        const there = page.querySelector<HTMLElement>(`[data-live="${here.dataset.live}"]`);
        if (!there) continue;
        for (const open of here.querySelectorAll<HTMLElement>("details[open][id]")) there.querySelector(`[id="${open.id}"]`)?.setAttribute("open", "");
        await name(there);
        if (there.innerHTML === here.innerHTML || here.contains(document.activeElement)) continue;
        here.replaceChildren(...document.importNode(there, true).childNodes);
      }
    } finally {
      busy = false;
    }
  }

  function soon(): void {
    if (due) return;
    due = window.setTimeout(() => {
      due = 0;
      void refresh();
    }, often);
  }

  function say(c: Counts): void {
    if (!said || Date.now() - saidAt < 10_000) return;
    saidAt = Date.now();
    said.textContent = `${c.received} received, ${c.catalogued} kept, ${c.held} held, ${c.refused} refused.`;
  }

  // name puts the names of files beside the numbers of items.
  async function name(within: HTMLElement): Promise<void> {
    const deposit = root.dataset.deposit;
    const items = within.querySelectorAll<HTMLElement>("[data-item]");
    if (!deposit || items.length === 0) return;
    const names = await namesOf(deposit);
    if (names.size === 0) return;
    for (const item of items) {
      const own = names.get(Number(item.dataset.item));
      if (own) item.textContent = `${item.dataset.item}: ${own}`;
    }
  }

  void name(root);
  const address = root.dataset.events;
  if (!address) return;
  let source: EventSource | undefined;
  let settled = false;

  function follow(): void {
    if (source || settled || document.hidden) return;
    source = new EventSource(address!);
    source.addEventListener("deposit", (event) => {
      say(JSON.parse((event as MessageEvent<string>).data));
      soon();
    });
    source.addEventListener("deposits", soon);
    source.addEventListener("item", soon);
    source.addEventListener("settled", () => {
      settled = true;
      stop();
      soon();
    });
    source.onerror = () => {
      if (source?.readyState === EventSource.CLOSED) {
        stop();
        window.setTimeout(follow, 15_000); // too many are open, or the session has ended
        soon();
      }
    };
  }

  function stop(): void {
    source?.close();
    source = undefined;
  }

  // A page that nobody looks at needs no connection.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) stop();
    else {
      follow();
      soon();
    }
  });
  window.addEventListener("pagehide", stop);
  follow();
}
