// Parts of the File System Access API that TypeScript's own types do not have yet.
interface FileSystemDirectoryHandle {
  entries(): AsyncIterableIterator<[string, FileSystemHandle]>;
  requestPermission(options: { mode: "read" }): Promise<PermissionState>;
}

interface DataTransferItem {
  getAsFileSystemHandle?(): Promise<FileSystemHandle | null>;
}

interface Window {
  showDirectoryPicker?(options: { id?: string; mode?: "read" }): Promise<FileSystemDirectoryHandle>;
}
