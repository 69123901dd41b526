// Gathers files that were dropped or chosen, with their paths below what was chosen, and tells at a glance what cannot be an image.
export type Found = { file: File; path: string };

// Files that media and systems add, and that nobody means to send. A DICOMDIR is an index of files and no image (PS3.3 F).
const ignored = /^(dicomdir|\.ds_store|thumbs\.db|desktop\.ini|autorun\.inf|\..*|~\$.*)$/i;

export function isIgnored(path: string): boolean {
  return ignored.test(path.slice(path.lastIndexOf("/") + 1)) || /(^|\/)__MACOSX\//.test(path);
}

export function fromInput(list: FileList): Found[] {
  return [...list].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
}

// fromDrop reads what was dropped, folders with all that is in them. It has to be called within the event: items are gone after it.
export async function fromDrop(data: DataTransfer): Promise<{ found: Found[]; folder?: FileSystemDirectoryHandle }> {
  const items = [...data.items].filter((i) => i.kind === "file");
  const handles = items.length === 1 && "getAsFileSystemHandle" in DataTransferItem.prototype ? items.map((i) => i.getAsFileSystemHandle!()) : [];
  const entries = items.map((i) => i.webkitGetAsEntry());
  const plain = [...data.files];
  const handle = handles[0] ? await handles[0].catch(() => null) : null;
  const found: Found[] = [];
  for (const entry of entries) {
    if (entry) await walk(entry, found);
  }
  if (entries.every((e) => !e)) found.push(...plain.map((file) => ({ file, path: file.name })));
  return { found, folder: handle?.kind === "directory" ? (handle as FileSystemDirectoryHandle) : undefined };
}

async function walk(entry: FileSystemEntry, found: Found[]): Promise<void> {
  if (entry.isFile) {
    const file = await new Promise<File | undefined>((resolve) => (entry as FileSystemFileEntry).file(resolve, () => resolve(undefined)));
    if (file) found.push({ file, path: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (some.length === 0) return; // it gives a hundred at a time
    for (const inner of some) await walk(inner, found);
  }
}

// fromFolder reads a folder that the browser remembers, once its owner allows it again.
export async function fromFolder(folder: FileSystemDirectoryHandle, path = folder.name): Promise<Found[]> {
  const found: Found[] = [];
  for await (const [name, handle] of folder.entries()) {
    if (handle.kind === "directory") found.push(...(await fromFolder(handle as FileSystemDirectoryHandle, `${path}/${name}`)));
    else found.push({ file: await (handle as FileSystemFileHandle).getFile(), path: `${path}/${name}` });
  }
  return found;
}

const magics: [string, number[], string][] = [
  ["archive", [0x37, 0x7a, 0xbc, 0xaf], "this is a 7z archive"],
  ["archive", [0x52, 0x61, 0x72, 0x21], "this is a rar archive"],
  ["not-dicom", [0x25, 0x50, 0x44, 0x46], "this is a PDF, and not DICOM"],
  ["not-dicom", [0x89, 0x50, 0x4e, 0x47], "this is a PNG picture, and not DICOM"],
  ["not-dicom", [0xff, 0xd8, 0xff], "this is a JPEG picture, and not DICOM"],
  ["not-dicom", [0x4d, 0x5a], "this is a program, and not DICOM"],
];

// glance says why a file cannot be an image, by its first bytes; nothing if it may be one.
export async function glance(file: File): Promise<{ code: string; text: string; advice: string } | undefined> {
  if (file.size === 0) return { code: "empty", text: "the file is empty", advice: "Export it again from where it came from." };
  const head = new Uint8Array(await file.slice(0, 132).arrayBuffer());
  if (head.length === 132 && String.fromCharCode(...head.slice(128)) === "DICM") return undefined;
  for (const [code, magic, text] of magics) {
    if (magic.every((b, i) => head[i] === b)) {
      return { code, text, advice: code === "archive" ? "Unpack it, and choose the folder." : "Leave it out: pictures and documents are not taken here." };
    }
  }
  return undefined;
}
