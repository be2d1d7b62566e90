// The floor of `cargo xtask bench memory`: one object that keeps the same rows as an agent's memory (a
// record, a row of 77 bytes, an index of words) and nothing else: no cryptography, no tree, no checks.
import { DurableObject } from "cloudflare:workers";

const SCHEMA = [
  `CREATE TABLE IF NOT EXISTS records(
    n INTEGER PRIMARY KEY AUTOINCREMENT, collection TEXT NOT NULL, rkey TEXT NOT NULL,
    version INTEGER NOT NULL, level TEXT NOT NULL, cid BLOB NOT NULL, block BLOB NOT NULL,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL)`,
  "CREATE UNIQUE INDEX IF NOT EXISTS records_by_path ON records(collection, rkey)",
  `CREATE TABLE IF NOT EXISTS wraps(
    dek BLOB PRIMARY KEY, collection TEXT NOT NULL, rkey TEXT NOT NULL,
    epoch INTEGER NOT NULL, row BLOB NOT NULL) WITHOUT ROWID`,
  "CREATE VIRTUAL TABLE IF NOT EXISTS search USING fts5(tokens, tokenize = 'ascii', content = '', contentless_delete = 1)",
];

const COLUMNS = "n, collection, rkey, version, level, block, created_at, updated_at";
const PAGE = 100;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function view(row) {
  return {
    id: `${row.collection}:${row.rkey}`,
    version: row.version,
    level: row.level,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    record: JSON.parse(decoder.decode(row.block)),
  };
}

export class FloorMemory extends DurableObject {
  #last = 0;

  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    for (const statement of SCHEMA) this.sql.exec(statement);
  }

  async fetch(request) {
    const url = new URL(request.url);
    const [, id] = url.pathname.split("/").filter(Boolean);
    if (request.method === "POST") return Response.json(this.#store(await request.json()), { status: 201 });
    if (id === "nothing") return Response.json({});
    if (id === "search") return Response.json(this.#search(url.searchParams.get("q")));
    if (id !== undefined) return Response.json(this.#get(id));
    return Response.json(this.#list(Number(url.searchParams.get("cursor") ?? 0)));
  }

  #store({ record }) {
    const now = Date.now();
    this.#last = Math.max(this.#last + 1, now * 1000);
    const row = { collection: record.$type, rkey: String(this.#last), version: 1, level: "private", created_at: now, updated_at: now };
    row.block = encoder.encode(JSON.stringify(record));
    const random = crypto.getRandomValues(new Uint8Array(129));
    this.ctx.storage.transactionSync(() => {
      this.sql.exec(
        "INSERT INTO wraps(dek, collection, rkey, epoch, row) VALUES(?, ?, ?, 1, ?)",
        random.slice(0, 16), row.collection, row.rkey, random.slice(16, 93),
      );
      const { n } = this.sql.exec(
        `INSERT INTO records(collection, rkey, version, level, cid, block, created_at, updated_at)
         VALUES(?, ?, ?, ?, ?, ?, ?, ?) RETURNING n`,
        row.collection, row.rkey, 1, row.level, random.slice(93), row.block, now, now,
      ).one();
      this.sql.exec("INSERT INTO search(rowid, tokens) VALUES(?, ?)", n, record.text);
    });
    return view(row);
  }

  #get(id) {
    const [collection, rkey] = decodeURIComponent(id).split(":");
    return view(this.sql.exec(`SELECT ${COLUMNS} FROM records WHERE collection = ? AND rkey = ?`, collection, rkey).one());
  }

  #list(after) {
    const rows = this.sql.exec(`SELECT ${COLUMNS} FROM records WHERE n > ? ORDER BY n LIMIT ?`, after, PAGE).toArray();
    return { records: rows.map(view), cursor: String(rows.at(-1)?.n ?? 0) };
  }

  #search(text) {
    const words = text.split(/\s+/).map((word) => `"${word}"`).join(" OR ");
    const rows = this.sql.exec(
      `SELECT ${COLUMNS} FROM (SELECT rowid AS place, -bm25(search) AS relevance FROM search
         WHERE search MATCH ? ORDER BY bm25(search) LIMIT 400)
       JOIN records ON n = place ORDER BY relevance DESC LIMIT 50`,
      words,
    ).toArray();
    return { hits: rows.map(view) };
  }
}

export default {
  fetch(request, env) {
    return env.MEMORY.get(env.MEMORY.idFromName("memory")).fetch(request);
  },
};
