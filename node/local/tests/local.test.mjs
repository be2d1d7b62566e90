import assert from "node:assert/strict";
import { test } from "node:test";

import { readOnly } from "../control.mjs";
import { pending, statements } from "../migrate.mjs";
import { miniflareOptions, parseConfig } from "../options.mjs";

test("a script is split at the ends of statements only", () => {
  const script = `
    -- a remark; with a semicolon
    CREATE TABLE a (x TEXT DEFAULT ';' /* not ; here */);
    CREATE TRIGGER t AFTER INSERT ON a BEGIN
      DELETE FROM a WHERE x = CASE WHEN 1 THEN 'end' END;
      SELECT 1;
    END;
    INSERT INTO a VALUES ('it''s; fine')`;
  const found = statements(script);
  assert.equal(found.length, 3);
  assert.match(found[0], /DEFAULT ';'/);
  assert.match(found[1], /SELECT 1;\s+END$/);
  assert.equal(found[2], "INSERT INTO a VALUES ('it''s; fine')");
});

test("migrations go forward only", () => {
  assert.deepEqual(pending(["1.sql", "2.sql"], ["1.sql"]), ["2.sql"]);
  assert.deepEqual(pending(["1.sql"], ["1.sql"]), []);
  assert.throws(() => pending(["1.sql"], ["1.sql", "2.sql"]), /2\.sql/);
  assert.throws(() => pending(["0.sql", "1.sql"], ["1.sql"]), /1\.sql/);
});

test("only statements that read are run", () => {
  assert.equal(readOnly("SELECT 1;"), "SELECT 1");
  assert.equal(readOnly("with x as (select 1) select * from x"), "SELECT * FROM (with x as (select 1) select * from x)");
  for (const sql of ["DELETE FROM a", "PRAGMA writable_schema=1", "", "ATTACH 'x' AS y"]) {
    assert.throws(() => readOnly(sql));
  }
});

test("a config without what is needed is refused", () => {
  assert.throws(() => parseConfig('{"name":"alpha"}'), /host/);
  assert.throws(() => parseConfig('{"name":"a","host":"h","script":"s","persist":"p","port":"1"}'), /port/);
});

test("a network reaches exactly the named peers, and itself least of all", () => {
  const config = parseConfig(JSON.stringify({
    name: "alpha",
    host: "localhost:8701",
    port: 8701,
    script: new URL("../floor/", import.meta.url).pathname,
    persist: "/nowhere",
    vars: { NETWORK_HOST: "localhost:8701", DEV_PEER_HOSTS: "localhost:8701,localhost:8702" },
  }));
  const { workers, host } = miniflareOptions(config, () => {});
  assert.equal(host, "127.0.0.1");
  const egress = workers.find((worker) => worker.name === "egress");
  assert.deepEqual(Object.values(egress.serviceBindings), [{ external: { address: "127.0.0.1:8702", http: {} } }]);
  assert.deepEqual(workers[0].outboundService, { name: "egress" });
});

test("a network has a bucket where it has a directory", () => {
  const config = {
    name: "alpha",
    host: "localhost:8701",
    port: 8701,
    script: new URL("../floor/", import.meta.url).pathname,
    persist: "/nowhere",
  };
  const main = (more) => miniflareOptions(parseConfig(JSON.stringify({ ...config, ...more })), () => {}).workers[0];
  assert.deepEqual(main({ migrations: "/migrations" }).r2Buckets, { BLOBS: "blobs" });
  assert.equal(main({}).r2Buckets, undefined);
  assert.equal(main({ migrations: "/migrations", vars: { LOCAL_BUCKET: "none" } }).r2Buckets, undefined);
});
