// Opens the bucket of a local network that does not run, for a test that tampers with it:
// `node bucket.mjs <persist folder> <JSON list of steps>`. Prints the objects there are afterwards.
import { Miniflare } from "miniflare";

const CHUNK = 64 * 1024 + 16;
const chunk = (bytes, index) => bytes.subarray(index * CHUNK, (index + 1) * CHUNK);
const join = (...parts) => Buffer.concat(parts);

/** What can be done to the bytes of an object. */
const CHANGES = {
  drop: (bytes, { at }) => join(bytes.subarray(0, at * CHUNK), bytes.subarray((at + 1) * CHUNK)),
  double: (bytes, { at }) => join(bytes.subarray(0, (at + 1) * CHUNK), bytes.subarray(at * CHUNK)),
  swap: (bytes, { at, with: other }) => {
    const changed = Buffer.from(bytes);
    changed.set(chunk(bytes, at), other * CHUNK);
    changed.set(chunk(bytes, other), at * CHUNK);
    return changed;
  },
  cut: (bytes, { bytes: count }) => bytes.subarray(0, bytes.length - count),
  extend: (bytes, { bytes: count }) => join(bytes, Buffer.alloc(count)),
  flip: (bytes, { at }) => {
    const changed = Buffer.from(bytes);
    changed[at] ^= 1;
    return changed;
  },
};

async function take(bucket, step) {
  // Miniflare takes no Buffer.
  const put = (key, bytes) => bucket.put(key, new Uint8Array(bytes));
  const get = async (key) => Buffer.from(await (await bucket.get(key)).arrayBuffer());
  if (step.do === "put") return put(step.key, Buffer.alloc(step.bytes));
  if (step.do === "remove") return bucket.delete(step.key);
  const found = await get(step.key);
  if (step.do !== "exchange") return put(step.key, CHANGES[step.do](found, step));
  const other = await get(step.with);
  await put(step.key, other);
  return put(step.with, found);
}

const [persist, steps] = process.argv.slice(2);
const opened = new Miniflare({
  modules: true,
  script: "export default { fetch: () => new Response(null) };",
  r2Buckets: { BLOBS: "blobs" },
  defaultPersistRoot: persist,
  cf: false,
});
try {
  const bucket = await opened.getR2Bucket("BLOBS");
  for (const step of JSON.parse(steps)) await take(bucket, step);
  const { objects } = await bucket.list();
  console.log(JSON.stringify(objects.map(({ key, size }) => ({ key, size }))));
} finally {
  await opened.dispose();
}
