// Follows a deposit while it arrives: the counts of the page are drawn anew when the node says that something changed.
export default function deposit(panel: HTMLElement): void {
  const id = panel.dataset.deposit;
  if (!id) return;
  const events = new EventSource(`/api/deposits/${encodeURIComponent(id)}/events`);
  let waiting = false;

  async function draw(): Promise<void> {
    if (waiting) return;
    waiting = true;
    await new Promise((done) => setTimeout(done, 500)); // not more often than people can read
    waiting = false;
    const answer = await fetch(location.href);
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("main");
    if (fresh) {
      const now = document.querySelector("main [data-island=deposit]");
      const then = fresh.querySelector("[data-island=deposit]");
      if (now && then) now.replaceChildren(...then.childNodes);
      const items = document.querySelector("main section[aria-labelledby=items]");
      const freshItems = fresh.querySelector("section[aria-labelledby=items]");
      if (freshItems && items) items.replaceWith(freshItems);
      else if (freshItems) panel.after(freshItems);
    }
  }

  events.addEventListener("message", () => void draw());
  events.addEventListener("end", () => {
    events.close();
    void draw();
  });
}
