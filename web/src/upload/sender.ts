// Sends files in pieces (tus 1.0), three at a time, each hashed before; remembers in the browser how far it is, and goes on from there.
import { Upload, type DetailedError } from "tus-js-client";
import { fromFolder, glance, isIgnored, type Found } from "./files";
import { sumOf } from "./hash";
import { filesOf, forget, saveBatch, saveFiles, type Batch, type Entry, type Fate, type Reason } from "./store";

// An item is a file on its way. "absent" is one that was chosen before the page was closed, and is not at hand now.
export type Item = Entry & { file?: File; state: "waiting" | "reading" | "sending" | "done" | "failed" | "absent"; sent: number };

const atOnce = 3; // a browser opens six connections to a node; pages and their pictures need some
const inOne = 4 << 20; // up to this size a file goes with the request that announces it
const piece = 64 << 20;
const tries = 3;
const silence = 60_000; // after which a request that brings nothing forward is taken to be dead
const noLine = "This computer has no connection. It goes on by itself when there is one; nothing that was sent is lost.";

type Said = { detail?: string; advice?: string; code?: string };

export class Sender {
  items: Item[] = [];
  ignored = 0;
  batch?: Batch;
  paused = false;
  trouble = ""; // what keeps everything from going on
  admitted = 0;
  running = new Map<Item, Upload | undefined>();

  private byNumber = new Map<number, Item>();
  private last = 0;
  private attempts = new Map<Item, number>();
  private source?: EventSource;
  private beginning?: Promise<Batch>;
  private again = 0;
  private heard = new Map<Item, number>(); // when something of a file last went

  constructor(
    private collection: string,
    private who: string,
    private changed: () => void,
    private headers: Record<string, string> = {}, // what shows who sends, where no session does: a link
  ) {
    window.addEventListener("offline", () => this.busy && this.stall(noLine));
    window.addEventListener("online", () => this.trouble === noLine && !this.paused && this.goOn());
    window.setInterval(() => this.watchOver(), 10_000);
  }

  // watchOver begins requests anew that have died without anybody noticing, as they do when a network is changed.
  private watchOver(): void {
    for (const [item, upload] of this.running) {
      if (!upload || item.sent >= item.size || Date.now() - (this.heard.get(item) ?? Date.now()) < silence) continue;
      void upload.abort();
      this.back(item);
    }
    this.pump();
  }

  private get byLink(): boolean {
    return Object.keys(this.headers).length > 0;
  }

  private fetch(address: string, init: RequestInit = {}): Promise<Response> {
    return fetch(address, { ...init, headers: { ...(init.headers as Record<string, string> | undefined), ...this.headers } });
  }

  get busy(): boolean {
    return this.running.size > 0 || this.items.some((i) => i.state === "waiting");
  }

  // restore takes up what was being sent when the page was closed.
  async restore(batch: Batch): Promise<void> {
    this.batch = batch;
    for (const e of await filesOf(batch.id)) {
      const item: Item = { ...e, state: e.fate ? "done" : "absent", sent: e.fate ? e.size : 0 };
      this.items.push(item);
      this.byNumber.set(item.ordinal, item);
      this.last = Math.max(this.last, e.ordinal);
    }
    await this.learn();
    this.follow();
    this.changed();
  }

  // onward reads the folder again that the browser remembers; false if it may not.
  async onward(): Promise<boolean> {
    const folder = this.batch?.folder;
    if (!folder) return false;
    if ((await folder.requestPermission({ mode: "read" })) !== "granted") return false;
    await this.add(await fromFolder(folder));
    return true;
  }

  // add takes files that were chosen. Those that are known are gone on with, or passed over if they were sent already.
  async add(found: Found[], folder?: FileSystemDirectoryHandle): Promise<void> {
    this.trouble = "";
    this.paused = false;
    const absent = new Map<string, Item[]>();
    for (const i of this.items) {
      if (i.state === "absent" || i.state === "done") absent.set(i.path, [...(absent.get(i.path) ?? []), i]);
    }
    const fresh: Item[] = [];
    for (const { file, path } of found) {
      if (isIgnored(path)) {
        this.ignored++;
        continue;
      }
      const known = (absent.get(path) ?? []).find((i) => i.size === file.size && (i.modified === file.lastModified || i.sum));
      if (known && known.modified !== file.lastModified && (await sumOf(file).catch(() => "")) !== known.sum) {
        // Another file under the same name.
      } else if (known) {
        if (known.state === "absent") {
          known.file = file;
          known.state = "waiting";
        }
        continue;
      }
      const item: Item = { batch: "", ordinal: 0, path, size: file.size, modified: file.lastModified, fate: "", reasons: [], file, state: "waiting", sent: 0 };
      const why = await glance(file).catch(() => ({ code: "unreadable", text: "the file cannot be read", advice: "See whether it is still there, and choose it again." }));
      if (why) Object.assign(item, { state: "done", fate: "refused", reasons: [why] });
      fresh.push(item);
      this.items.push(item);
      if (this.items.length % 100 === 0) this.changed();
    }
    const toSend = fresh.filter((i) => i.state === "waiting");
    if (toSend.length > 0) {
      try {
        const batch = await this.begin(folder);
        for (const item of toSend) {
          item.batch = batch.id;
          item.ordinal = ++this.last;
          this.byNumber.set(item.ordinal, item);
        }
        await saveFiles(toSend.map(plain));
      } catch (error) {
        this.trouble = (error as Error).message;
        for (const item of toSend) item.state = "failed";
      }
    }
    this.changed();
    this.pump();
  }

  private async begin(folder?: FileSystemDirectoryHandle): Promise<Batch> {
    if (this.batch && !this.batch.ended) {
      if (folder && this.batch.folder && !(await this.batch.folder.isSameEntry(folder))) this.batch.folder = undefined; // two folders: both have to be chosen again
      else if (folder) this.batch.folder = folder;
      await saveBatch(this.batch);
      return this.batch;
    }
    this.beginning ??= (async () => {
      const answer = await this.fetch("/upload/batches", { method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify({ collection: this.collection }) });
      const said = (await answer.json().catch(() => ({}))) as { batch?: string } & Said;
      if (!answer.ok || !said.batch) throw new Error(said.detail ? `${said.detail} ${said.advice ?? ""}` : "The node does not answer. Try again in a moment.");
      this.last = 0;
      this.byNumber.clear();
      this.batch = { id: said.batch, collection: this.collection, who: this.who, began: Date.now(), touched: Date.now(), ended: false, folder };
      await saveBatch(this.batch);
      this.follow();
      return this.batch;
    })();
    try {
      return await this.beginning;
    } finally {
      this.beginning = undefined;
    }
  }

  // pump keeps as many files on their way as may be.
  pump(): void {
    if (this.paused || this.trouble) return;
    for (const item of this.items) {
      if (this.running.size >= atOnce) return;
      if (item.state === "waiting" && item.file) void this.send(item);
    }
    if (!this.busy && this.batch && !this.batch.ended && !this.items.some((i) => i.state === "absent" || i.state === "failed")) void this.end();
  }

  private async send(item: Item): Promise<void> {
    const file = item.file!;
    this.running.set(item, undefined);
    item.state = "reading";
    this.changed();
    try {
      item.sum ??= await sumOf(file);
    } catch (error) {
      this.fail(item, { code: "unreadable", text: (error as Error).message, advice: "See whether it is still there, and choose it again." });
      return;
    }
    if (this.paused || !this.running.has(item)) {
      this.back(item);
      return;
    }
    item.state = "sending";
    let outcome = "";
    const upload = new Upload(file, {
      endpoint: "/upload",
      uploadUrl: item.url ?? null,
      headers: this.headers,
      metadata: { batch: item.batch, ordinal: String(item.ordinal), sha256: item.sum },
      chunkSize: piece,
      uploadDataDuringCreation: file.size <= inOne,
      storeFingerprintForResuming: false,
      retryDelays: [500, 2000, 5000, 10_000],
      onShouldRetry: (error) => {
        const status = statusOf(error);
        return status === 0 || status === 423 || status === 429 || status === 408 || (status >= 500 && status !== 507) || (status === 409 && methodOf(error) !== "POST");
      },
      onUploadUrlAvailable: () => {
        item.url = upload.url ?? undefined;
        void saveFiles([plain(item)]);
      },
      onProgress: (sent) => {
        this.heard.set(item, Date.now());
        item.sent = sent;
        this.changed();
      },
      onAfterResponse: (_, answer) => {
        outcome = answer.getHeader("Vitrine-Outcome") || outcome;
      },
      onSuccess: () => {
        this.settle(item, (outcome || "kept") as Fate, item.reasons);
      },
      onError: (error) => void this.failed(item, error as DetailedError),
    });
    this.running.set(item, upload);
    this.heard.set(item, Date.now());
    upload.start();
  }

  // back puts a file back into the row.
  private back(item: Item): void {
    this.running.delete(item);
    if (item.state !== "done") item.state = "waiting";
    this.changed();
  }

  private settle(item: Item, fate: Fate, reasons: Reason[]): void {
    this.running.delete(item);
    Object.assign(item, { state: "done", fate, reasons, sent: item.size, file: undefined, url: undefined });
    if (this.batch) {
      this.batch.touched = Date.now();
      void saveBatch(this.batch);
    }
    void saveFiles([plain(item)]);
    this.changed();
    this.pump();
  }

  private fail(item: Item, why: Reason): void {
    this.running.delete(item);
    item.state = "failed";
    item.reasons = [why];
    this.changed();
    this.pump();
  }

  private async failed(item: Item, error: DetailedError): Promise<void> {
    const status = statusOf(error);
    let said: Said = {};
    try {
      said = JSON.parse(error.originalResponse?.getBody() ?? "{}") as Said;
    } catch {
      // a proxy's page
    }
    const text = said.detail ?? "The node does not answer.";
    const attempt = (this.attempts.get(item) ?? 0) + 1;
    this.attempts.set(item, attempt);
    if (status === 422) {
      this.settle(item, said.code === "dicomdir" ? "skipped" : "refused", [{ code: said.code, text, advice: said.advice }]);
    } else if (status === 409 && methodOf(error) === "POST") {
      await this.learn(); // it has come already, and its answer was lost
      if (item.state !== "done") this.fail(item, { text, advice: said.advice });
      else this.pump();
    } else if (status === 460 && attempt < tries) {
      item.url = undefined; // something on the way changed it
      item.sum = undefined;
      this.back(item);
      this.pump();
    } else if (said.code === "link-full") {
      this.fail(item, { code: said.code, text, advice: said.advice });
    } else if (said.code?.startsWith("link-")) {
      this.hold(item, `${text} ${said.advice ?? ""}`); // it has ended: the same holds for every file
    } else if (status === 401 || status === 403) {
      this.hold(item, "You are not signed in any more, or may not send to this collection. Sign in again in another window, then go on: nothing that was sent is lost.");
    } else if (status === 507) {
      this.hold(item, `${text} ${said.advice ?? ""}`);
    } else if (status === 0 || status >= 500) {
      this.hold(item, navigator.onLine ? `${text} It is tried again in a moment; nothing that was sent is lost.` : noLine);
      clearTimeout(this.again);
      this.again = window.setTimeout(() => this.goOn(), 15_000);
    } else {
      this.fail(item, { code: said.code, text, advice: said.advice });
    }
  }

  // hold stops everything for a reason that is not of one file.
  private hold(item: Item, why: string): void {
    this.back(item);
    this.stall(why);
  }

  private stall(why: string): void {
    this.trouble = why;
    this.abort();
    this.changed();
  }

  private abort(): void {
    for (const [item, upload] of this.running) {
      void upload?.abort();
      this.back(item);
    }
  }

  pause(): void {
    this.paused = true;
    clearTimeout(this.again);
    this.abort();
  }

  goOn(): void {
    clearTimeout(this.again);
    this.paused = false;
    this.trouble = "";
    for (const item of this.items) {
      if (item.state === "failed" && item.file && item.ordinal) item.state = "waiting";
    }
    this.changed();
    this.pump();
  }

  // stop takes back what has not arrived whole, and ends the batch.
  async stop(): Promise<void> {
    this.pause();
    const left = this.items.filter((i) => i.state !== "done");
    this.items = this.items.filter((i) => i.state === "done");
    for (const item of left) {
      if (item.url) await this.fetch(item.url, { method: "DELETE", headers: { "Tus-Resumable": "1.0.0" } }).catch(() => undefined);
    }
    this.paused = false;
    this.trouble = "";
    await this.end();
  }

  private async end(): Promise<void> {
    const batch = this.batch;
    if (!batch || batch.ended) return;
    batch.ended = true;
    if (this.items.some((i) => (i.fate === "held" || i.fate === "conflict") && i.reasons.length === 0)) await this.learn(); // why they are held
    batch.folder = undefined;
    batch.touched = Date.now();
    await saveBatch(batch);
    await this.fetch(`/upload/batches/${batch.id}/end`, { method: "POST" }).catch(() => undefined); // it falls quiet by itself
    this.changed();
  }

  // drop forgets what was being sent: what arrived stays where it is.
  async drop(): Promise<void> {
    const batch = this.batch;
    this.source?.close();
    this.items = [];
    this.batch = undefined;
    this.byNumber.clear();
    if (batch) {
      await this.fetch(`/upload/batches/${batch.id}/end`, { method: "POST" }).catch(() => undefined);
      await forget(batch.id);
    }
    this.changed();
  }

  // learn asks what became of the files of the batch.
  private async learn(): Promise<void> {
    let after = 0;
    for (;;) {
      const answer = await this.fetch(`/upload/batches/${this.batch?.id}?after=${after}`, { headers: { Accept: "application/json" } }).catch(() => undefined);
      if (!answer?.ok) return;
      const said = (await answer.json()) as { files?: { ordinal: number; fate: string; upload: string; reasons?: Reason[] }[]; next?: number };
      for (const f of said.files ?? []) {
        const item = this.byNumber.get(f.ordinal);
        if (!item) continue;
        if (item.state === "done") {
          if (item.reasons.length > 0 || !f.reasons?.length) continue;
          item.reasons = f.reasons;
        } else if (f.fate === "arriving") item.url = f.upload;
        else {
          this.running.delete(item);
          Object.assign(item, { state: "done", fate: f.fate, reasons: f.reasons ?? [], sent: item.size, file: undefined, url: undefined });
        }
        void saveFiles([plain(item)]);
      }
      if (!said.next) return;
      after = said.next;
    }
  }

  // follow hears from the node what it finds later: an image is held because another reveals a name, a steward decides.
  private follow(): void {
    this.source?.close();
    if (!this.batch || this.byLink) return; // by a link one is told what became of each file as it arrives, and no more
    const source = (this.source = new EventSource(`/deposits/${this.batch.id}/events`));
    source.addEventListener("deposit", (event) => {
      this.admitted = (JSON.parse((event as MessageEvent<string>).data) as { catalogued: number }).catalogued;
      this.changed();
    });
    source.addEventListener("item", (event) => {
      const said = JSON.parse((event as MessageEvent<string>).data) as { ordinal: number; fate: Fate; reasons?: Reason[] };
      const item = this.byNumber.get(said.ordinal);
      if (!item || said.fate === "refused") return; // of what is refused its own answer tells
      item.reasons = said.reasons ?? [];
      if (item.state === "done") item.fate = said.fate;
      void saveFiles([plain(item)]);
      this.changed();
    });
    source.addEventListener("settled", () => source.close());
    window.addEventListener("pagehide", () => source.close());
  }
}

function plain(item: Item): Entry {
  const { batch, ordinal, path, size, modified, sum, url, fate, reasons } = item;
  return { batch, ordinal, path, size, modified, sum, url, fate, reasons };
}

function statusOf(error: Error | DetailedError): number {
  return "originalResponse" in error ? (error.originalResponse?.getStatus() ?? 0) : 0;
}

function methodOf(error: Error | DetailedError): string {
  return "originalRequest" in error ? (error.originalRequest?.getMethod() ?? "") : "";
}
