// Asks a node by another implementation of DIMSE (npm dcmjs-dimse), and says line by line what came of it: ok, or not ok. With `store` it stores files, with `ask` it finds one study of them, and has it sent
// to itself by C-MOVE, on a port that it listens on, and by C-GET. It takes uncompressed objects alone.
//
//   node web/e2e/dimse.mjs store HOST PORT FILE...
//   node web/e2e/dimse.mjs ask HOST PORT OWN-PORT STUDY INSTANCES
//
// With CERT and KEY in the environment (PEM files) it calls over TLS.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { Client, Scp, Server, constants, log, requests, responses } = createRequire(import.meta.url)("dcmjs-dimse");
const { PresentationContextResult, Status, TransferSyntax } = constants;
log.setLevel?.("silent");

const [what, host, port, ...rest] = process.argv.slice(2);
const own = "DCMJS", called = "KEPT";
const how = {};
if (process.env.CERT) how.securityOptions = { cert: readFileSync(process.env.CERT), key: readFileSync(process.env.KEY), rejectUnauthorized: false };

let failed = 0;
async function check(name, f) {
  try {
    await f();
    console.log(`ok ${name}`);
  } catch (e) {
    failed++;
    console.log(`not ok ${name}: ${e.message}`);
  }
}
function equal(got, want, name = "value") {
  if (got !== want) throw new Error(`${name} is ${got}, not ${want}`);
}

// send sends one request on an association of its own; it gives every response.
function send(request, onStore) {
  return new Promise((resolve, reject) => {
    const all = [];
    const client = new Client();
    request.on("response", (r) => all.push(r));
    client.addRequest(request);
    if (onStore) client.on("cStoreRequest", onStore);
    client.on("associationRejected", () => reject(new Error("the association was rejected")));
    client.on("networkError", reject);
    client.on("closed", () => resolve(all));
    client.send(host, Number(port), own, called, how);
  });
}
const last = (all) => all[all.length - 1];
const pending = (all) => all.filter((r) => r.getStatus() === Status.Pending);

// took is what a receiver has: the pixels by SOP Instance UID.
function took(into, request, done) {
  const d = request.getDataset();
  const e = d.getElements();
  into.set(e.SOPInstanceUID, { syntax: d.getTransferSyntaxUid(), rows: e.Rows, pixels: Buffer.from([e.PixelData].flat()[0]).toString("latin1") });
  const r = responses.CStoreResponse.fromRequest(request);
  r.setStatus(Status.Success);
  done(r);
}
function whole(into, instances) {
  equal(into.size, instances, "the number of instances");
  for (const [uid, x] of into) {
    if (x.syntax !== TransferSyntax.ImplicitVRLittleEndian && x.syntax !== TransferSyntax.ExplicitVRLittleEndian) throw new Error(`${uid} came in ${x.syntax}`);
    equal(x.rows, 4, "rows");
    equal(x.pixels.length, 32, "bytes of pixels");
  }
}

if (what === "store") {
  await check("C-ECHO", async () => equal(last(await send(new requests.CEchoRequest())).getStatus(), Status.Success, "status"));
  for (const file of rest) {
    await check("C-STORE", async () => equal(last(await send(new requests.CStoreRequest(file))).getStatus(), Status.Success, "status"));
  }
} else {
  const [ownPort, study, instances] = rest;
  const n = Number(instances);
  const one = (all, keyword) => pending(all)[0].getDataset().getElements()[keyword];
  await check("C-FIND of studies", async () => {
    const all = await send(requests.CFindRequest.createStudyFindRequest({ StudyInstanceUID: study, NumberOfStudyRelatedInstances: "", PatientName: "" }));
    equal(pending(all).length, 1, "matches");
    equal(last(all).getStatus(), Status.Success, "status");
    equal(Number(one(all, "NumberOfStudyRelatedInstances")), n, "instances");
    equal([one(all, "PatientName")].flat()[0]?.Alphabetic ?? one(all, "PatientName"), "Ångström^Test", "the name");
  });
  let series;
  await check("C-FIND of series", async () => {
    const all = await send(requests.CFindRequest.createSeriesFindRequest({ StudyInstanceUID: study, SeriesInstanceUID: "", Modality: "CT" }));
    series = one(all, "SeriesInstanceUID");
    equal(pending(all).length, 1, "matches");
  });
  await check("C-FIND of images", async () => {
    equal(pending(await send(requests.CFindRequest.createImageFindRequest({ StudyInstanceUID: study, SeriesInstanceUID: series, SOPInstanceUID: "" }))).length, n, "matches");
  });
  await check("C-FIND of nothing", async () => {
    const all = await send(requests.CFindRequest.createStudyFindRequest({ PatientID: "NOBODY" }));
    equal(all.length, 1, "responses");
  });
  await check("C-MOVE", async () => {
    const into = new Map();
    class Receiver extends Scp {
      associationRequested(association) {
        for (const c of association.getPresentationContexts()) {
          const context = association.getPresentationContext(c.id);
          const plain = context.getTransferSyntaxUids().find((t) => t === TransferSyntax.ImplicitVRLittleEndian || t === TransferSyntax.ExplicitVRLittleEndian);
          if (plain) context.setResult(PresentationContextResult.Accept, plain);
          else context.setResult(PresentationContextResult.RejectTransferSyntaxesNotSupported);
        }
        this.sendAssociationAccept();
      }
      cStoreRequest(request, done) { took(into, request, done); }
      associationReleaseRequested() { this.sendAssociationReleaseResponse(); }
    }
    const server = new Server(Receiver);
    server.listen(Number(ownPort), {});
    try {
      const all = await send(requests.CMoveRequest.createStudyMoveRequest(own, study));
      equal(last(all).getStatus(), Status.Success, "status");
      equal(last(all).getCompleted(), n, "completed");
    } finally {
      server.close();
    }
    whole(into, n);
  });
  await check("C-GET", async () => {
    const into = new Map();
    const all = await send(requests.CGetRequest.createStudyGetRequest(study), (request, done) => took(into, request, done));
    equal(last(all).getStatus(), Status.Success, "status");
    whole(into, n);
  });
}
process.exit(failed ? 1 : 0);
