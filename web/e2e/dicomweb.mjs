// Asks a node by the DICOMweb client that viewers use (npm dicomweb-client), and says line by line what came of it: ok, or not ok. It is given the address of a DICOMweb root,
// two tokens by the environment, and a file to store.
//
//   DEPOSITOR=... STEWARD=... node web/e2e/dicomweb.mjs http://127.0.0.1:8080/collections/kept/dicomweb image.dcm
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// The client is made for browsers. This is as much of their XMLHttpRequest as it uses.
class Request {
  #method; #url; #headers = {}; #answer = new Headers();
  readyState = 0; status = 0; responseType = ""; response = null;
  open(method, url) { this.#method = method.toUpperCase(); this.#url = url; }
  setRequestHeader(name, value) { this.#headers[name] = value; }
  getResponseHeader(name) { return this.#answer.get(name); }
  getAllResponseHeaders() { return [...this.#answer].map(([k, v]) => `${k}: ${v}\r\n`).join(""); }
  async send(body) {
    const r = await fetch(this.#url, { method: this.#method, headers: this.#headers, body });
    const bytes = await r.arrayBuffer();
    this.#answer = r.headers;
    this.status = r.status;
    this.responseURL = r.url;
    if (this.responseType === "arraybuffer") this.response = bytes;
    else {
      const text = new TextDecoder().decode(bytes);
      this.response = this.responseType === "json" ? (text === "" ? null : JSON.parse(text)) : text;
    }
    this.readyState = 4;
    this.onreadystatechange?.();
    this.onloadend?.();
  }
}
globalThis.XMLHttpRequest = Request;
const { api } = createRequire(import.meta.url)("dicomweb-client");

const [url, path] = process.argv.slice(2);
const as = (token, singlepart = "") => new api.DICOMwebClient({ url, singlepart, headers: { Authorization: `Bearer ${token}` }, verbose: false, errorInterceptor: () => {} });
const client = as(process.env.STEWARD);

let failed = 0;
async function check(what, f) {
  try {
    await f();
    console.log(`ok ${what}`);
  } catch (e) {
    failed++;
    console.log(`not ok ${what}: ${e.message} ${e.status ?? ""} ${e.response instanceof ArrayBuffer ? new TextDecoder().decode(e.response) : JSON.stringify(e.response) ?? ""}`);
  }
}
function equal(got, want, what = "value") {
  if (got !== want) throw new Error(`${what} is ${got}, not ${want}`);
}
const one = (b) => [b].flat()[0];
const text = (b) => new TextDecoder("latin1").decode(b);
const value = (row, tag) => row[tag]?.Value?.[0];

const file = readFileSync(path);
const studyInstanceUID = "1.2.3", seriesInstanceUID = "1.2.3.1", sopInstanceUID = "1.2.3.1.1";
const study = { studyInstanceUID }, series = { ...study, seriesInstanceUID }, instance = { ...series, sopInstanceUID };

await check("store", async () => {
  const answer = JSON.parse(await as(process.env.DEPOSITOR).storeInstances({ datasets: [file.buffer.slice(file.byteOffset, file.byteOffset + file.length)] }));
  equal(answer["00081199"].Value.length, 1, "the number kept");
});
// A study is found as soon as it is acknowledged.
await check("search for studies", async () => {
  const rows = await client.searchForStudies({ queryParams: { PatientName: "p1", fuzzymatching: true, includefield: "all", limit: 10 } });
  equal(rows.length, 1, "the number of studies");
  equal(value(rows[0], "0020000D"), studyInstanceUID);
});
await check("search for series", async () => equal(value((await client.searchForSeries(study))[0], "0020000E"), seriesInstanceUID));
await check("search for instances", async () => equal(value((await client.searchForInstances(series))[0], "00080018"), sopInstanceUID));
await check("search for all instances", async () => equal((await client.searchForInstances({ queryParams: { SOPInstanceUID: sopInstanceUID } })).length, 1));
let metadata;
await check("metadata of a study", async () => equal((await client.retrieveStudyMetadata(study)).length, 1));
await check("metadata of a series", async () => equal((await client.retrieveSeriesMetadata(series)).length, 1));
await check("metadata of an instance", async () => { metadata = one(await client.retrieveInstanceMetadata(instance)); equal(value(metadata, "00280008"), 2); });
await check("an instance", async () => equal(text((await client.retrieveInstance(instance)).slice(128, 132)), "DICM"));
await check("a series", async () => equal((await client.retrieveSeries(series)).length, 1));
await check("a study", async () => equal((await client.retrieveStudy(study)).length, 1));
await check("frames, uncompressed", async () => {
  const frames = await client.retrieveInstanceFrames({ ...instance, frameNumbers: [2, 1] });
  equal(frames.map(text).join("|"), "RGBSHCTID|rgbshctid");
});
await check("frames as they are kept", async () => {
  const frames = await client.retrieveInstanceFrames({ ...instance, frameNumbers: [1], mediaTypes: [{ mediaType: "image/x-dicom-rle", transferSyntaxUID: "1.2.840.10008.1.2.5" }] });
  equal(frames.length, 1);
  equal(new DataView(frames[0]).getUint32(0, true), 3, "the number of segments");
});
await check("an instance rendered", async () => {
  const b = one(await client.retrieveInstanceRendered({ ...instance, mediaTypes: [{ mediaType: "image/png" }], queryParams: { viewport: "3,1", window: "128,256,linear" } }));
  equal(text(b.slice(1, 4)), "PNG");
});
await check("frames rendered", async () => equal(new Uint8Array(one(await client.retrieveInstanceFramesRendered({ ...instance, frameNumbers: [2], mediaTypes: [{ mediaType: "image/jpeg" }] })))[1], 0xd8));
await check("a thumbnail", async () => equal(new Uint8Array(one(await client.retrieveInstanceThumbnail({ ...instance, mediaTypes: [{ mediaType: "image/jpeg" }] })))[1], 0xd8));
await check("a thumbnail of a frame", async () => equal(new Uint8Array(one(await client.retrieveInstanceFramesThumbnail({ ...instance, frameNumbers: [2], mediaTypes: [{ mediaType: "image/jpeg" }] })))[1], 0xd8));
await check("bulk data", async () => {
  const b = one(await client.retrieveBulkData({ BulkDataURI: metadata["00281201"].BulkDataURI }));
  equal(text(b), "ab".repeat(700));
});
await check("a range of bulk data", async () => {
  const b = one(await as(process.env.STEWARD, "bulkdata").retrieveBulkData({ BulkDataURI: metadata["00281201"].BulkDataURI, headers: { Range: "bytes=1-4" } }));
  equal(text(b), "baba");
});
await check("nothing without a right", async () => {
  try {
    await as(process.env.DEPOSITOR).retrieveInstanceMetadata(instance);
  } catch (e) {
    return equal(e.status, 404, "the status");
  }
  throw new Error("metadata came");
});
process.exit(failed ? 1 : 0);
