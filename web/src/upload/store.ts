// What this browser remembers of files that it sends, and nobody else knows: their names. It is kept for a week, so that sending can go on after the page was closed and so that the
// page of a deposit can say which file an item was.
export type Fate = "" | "kept" | "held" | "duplicate" | "conflict" | "refused" | "skipped";

export type Reason = { code?: string; where?: string; text: string; advice?: string };

export type Batch = {
  id: string;
  collection: string;
  who: string;
  began: number;
  touched: number;
  ended: boolean;
  folder?: FileSystemDirectoryHandle;
};

export type Entry = {
  batch: string;
  ordinal: number;
  path: string;
  size: number;
  modified: number;
  sum?: string;
  url?: string;
  fate: Fate;
  reasons: Reason[];
};

const week = 7 * 24 * 3600 * 1000;

let opened: Promise<IDBDatabase | undefined> | undefined;

function open(): Promise<IDBDatabase | undefined> {
  opened ??= new Promise((resolve) => {
    let request: IDBOpenDBRequest;
    try {
      request = indexedDB.open("vitrine-uploads", 1);
    } catch {
      resolve(undefined); // a private window may have none: then a closed page forgets
      return;
    }
    request.onupgradeneeded = () => {
      request.result.createObjectStore("batches", { keyPath: "id" });
      request.result.createObjectStore("files", { keyPath: ["batch", "ordinal"] });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => resolve(undefined);
  });
  return opened;
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("the browser's storage does not answer"));
  });
}

async function within<T>(mode: IDBTransactionMode, otherwise: T, act: (batches: IDBObjectStore, files: IDBObjectStore) => Promise<T>): Promise<T> {
  const db = await open();
  if (!db) return otherwise;
  try {
    const tx = db.transaction(["batches", "files"], mode);
    return await act(tx.objectStore("batches"), tx.objectStore("files"));
  } catch {
    return otherwise; // a full or blocked storage is no reason not to send
  }
}

const all = (batch: string): IDBKeyRange => IDBKeyRange.bound([batch, 0], [batch, Number.MAX_SAFE_INTEGER]);

export function saveBatch(batch: Batch): Promise<void> {
  return within("readwrite", undefined, async (batches) => {
    await done(batches.put(batch));
  });
}

export function saveFiles(entries: Entry[]): Promise<void> {
  return within("readwrite", undefined, async (_, files) => {
    await Promise.all(entries.map((e) => done(files.put(e))));
  });
}

export function filesOf(batch: string): Promise<Entry[]> {
  return within<Entry[]>("readonly", [], (_, files) => done(files.getAll(all(batch))));
}

// unfinished is what somebody was sending into a collection and did not end, latest first.
export function unfinished(collection: string, who: string): Promise<Batch[]> {
  return within<Batch[]>("readwrite", [], async (batches, files) => {
    const found: Batch[] = [];
    for (const batch of (await done(batches.getAll())) as Batch[]) {
      if (Date.now() - batch.touched > week) {
        await Promise.all([done(batches.delete(batch.id)), done(files.delete(all(batch.id)))]);
      } else if (!batch.ended && batch.collection === collection && batch.who === who) found.push(batch);
    }
    return found.sort((a, b) => b.touched - a.touched);
  });
}

export function forget(batch: string): Promise<void> {
  return within("readwrite", undefined, async (batches, files) => {
    await Promise.all([done(batches.delete(batch)), done(files.delete(all(batch)))]);
  });
}

// namesOf gives the names of a deposit's files by their ordinals; none if they were not sent from here.
export async function namesOf(deposit: string): Promise<Map<number, string>> {
  const entries = await filesOf(deposit);
  return new Map(entries.map((e) => [e.ordinal, e.path]));
}

// forgetAll forgets everything that somebody sent from here.
export function forgetAll(who: string): Promise<void> {
  return within("readwrite", undefined, async (batches, files) => {
    for (const batch of (await done(batches.getAll())) as Batch[]) {
      if (batch.who === who) await Promise.all([done(batches.delete(batch.id)), done(files.delete(all(batch.id)))]);
    }
  });
}
