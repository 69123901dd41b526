// Moves through the pictures of a series: arrow keys and the wheel, without loading the page again. The links below the picture do the same without script.
export default function stack(figure: HTMLElement): void {
  const picture = figure.querySelector("img");
  const links = figure.parentElement?.querySelector("nav");
  if (!picture || !links) return;
  let busy = false;

  async function go(rel: "prev" | "next"): Promise<void> {
    const link = links!.querySelector<HTMLAnchorElement>(`a[rel=${rel}]`);
    if (!link || busy) return;
    busy = true;
    try {
      const answer = await fetch(link.href);
      if (!answer.ok) {
        location.href = link.href; // the page says what is wrong
        return;
      }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const other = page.querySelector<HTMLElement>("#picture figure");
      const otherLinks = page.querySelector("#picture nav");
      const source = other?.querySelector("img");
      if (!other || !otherLinks || !source) {
        location.href = link.href;
        return;
      }
      history.replaceState(null, "", link.href);
      picture!.src = source.src;
      picture!.alt = source.alt;
      await picture!.decode().catch(() => undefined);
      figure.querySelector("figcaption")?.replaceWith(other.querySelector("figcaption") ?? "");
      links!.replaceChildren(...otherLinks.childNodes);
    } finally {
      busy = false;
    }
  }

  figure.tabIndex = 0;
  figure.setAttribute("aria-label", "Picture. Arrow keys go to the next and the previous one.");
  figure.addEventListener("keydown", (event) => {
    const rel = { ArrowUp: "prev", ArrowLeft: "prev", ArrowDown: "next", ArrowRight: "next" }[event.key] as "prev" | "next" | undefined;
    if (!rel) return;
    event.preventDefault();
    void go(rel);
  });
  figure.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      void go(event.deltaY > 0 ? "next" : "prev");
    },
    { passive: false },
  );
}
