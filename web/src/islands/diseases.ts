// Offers diseases by code or by any word for them while somebody types; what is chosen becomes a line of the text, which is what is sent.
interface Offer {
  line: string;
  label: string;
  lay?: string;
  code: string;
}

export default function diseases(field: HTMLElement): void {
  const text = field.querySelector("textarea");
  if (!text) return;
  const search = document.createElement("input");
  search.type = "text";
  search.className = "in";
  search.placeholder = "Type a disease: bowel cancer, C50, melanoma";
  search.autocomplete = "off";
  search.setAttribute("role", "combobox");
  search.setAttribute("aria-expanded", "false");
  search.setAttribute("aria-autocomplete", "list");
  search.setAttribute("aria-label", "Search diseases to add");
  const box = document.createElement("div");
  box.className = "ew-offers";
  const list = document.createElement("ul");
  list.id = `${text.id}-offers`;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Diseases");
  list.hidden = true;
  search.setAttribute("aria-controls", list.id);
  box.append(list);
  text.before(search, box);
  let offers: Offer[] = [];
  let at = -1;
  let asked = 0;
  let timer = 0;

  function close(): void {
    list.hidden = true;
    at = -1;
    search.setAttribute("aria-expanded", "false");
    search.removeAttribute("aria-activedescendant");
  }

  function take(offer: Offer): void {
    const lines = text!.value.split("\n").filter((l) => l.trim());
    if (!lines.some((l) => l.trim().startsWith(offer.code))) lines.push(offer.line);
    text!.value = lines.join("\n");
    text!.dispatchEvent(new Event("input", { bubbles: true }));
    search.value = "";
    close();
    search.focus();
  }

  function mark(n: number): void {
    at = offers.length ? (n + offers.length) % offers.length : -1;
    [...list.children].forEach((item, i) => item.setAttribute("aria-selected", String(i === at)));
    if (at < 0) return;
    search.setAttribute("aria-activedescendant", `${list.id}-${at}`);
    list.children[at]?.scrollIntoView({ block: "nearest" });
  }

  async function ask(): Promise<void> {
    const typed = search.value.trim();
    const mine = ++asked;
    if (typed.length < 2) return close();
    const answer = await fetch(`/directory/words?q=${encodeURIComponent(typed)}`).catch(() => null);
    if (!answer?.ok || mine !== asked) return;
    offers = (await answer.json()) as Offer[];
    if (mine !== asked) return;
    list.replaceChildren(
      ...offers.map((offer, i) => {
        const item = document.createElement("li");
        item.id = `${list.id}-${i}`;
        item.setAttribute("role", "option");
        const name = document.createElement("b");
        name.textContent = offer.label;
        const rest = document.createElement("small");
        rest.textContent = ` ${offer.code}${offer.lay ? `, ${offer.lay}` : ""}`;
        item.append(name, rest);
        item.addEventListener("mousedown", (event) => {
          event.preventDefault();
          take(offer);
        });
        return item;
      }),
    );
    list.hidden = !offers.length;
    search.setAttribute("aria-expanded", String(!list.hidden));
    mark(0);
  }

  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => void ask(), 120);
  });
  search.addEventListener("blur", close);
  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      mark(at + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter") {
      event.preventDefault();
      const offer = offers[at];
      if (!list.hidden && offer) take(offer);
    } else if (event.key === "Escape") {
      close();
    }
  });
}
