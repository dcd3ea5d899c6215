// node's mysql2 with its defaults, run by tests/clients.rs. Prints all it sees: what it prints through
// Highwater must be what it prints straight at the primary.
'use strict';

const assert = require('node:assert');
const { Readable } = require('node:stream');
const promised = require('mysql2/promise');

const [host, port, user, password, database] = process.argv.slice(2);
const account = { host, port: Number(port), user, password, database };

function say(what, seen) {
  console.log(what, JSON.stringify(seen));
}

async function refused(what, attempt) {
  const error = await attempt.then(
    () => assert.fail(`${what}: no error`),
    (error) => error
  );
  say(what, [error.code, error.errno, error.sqlState, error.sqlMessage]);
}

async function types(connection) {
  await connection.query(
    'CREATE TABLE types (id INT PRIMARY KEY AUTO_INCREMENT, i BIGINT, u BIGINT UNSIGNED, d DECIMAL(30,10), f DOUBLE, ' +
      's VARCHAR(100), b BLOB, day DATE, at DATETIME(6), t TIME(3), j JSON, bits BIT(5), n INT)'
  );
  const row = [
    '-9223372036854775808',
    '18446744073709551615',
    '12345678901234567890.0123456789',
    1.5,
    'd\u00e9j\u00e0 \u{1f30a}',
    Buffer.from([0, 255, 39, 92]),
    '2024-02-29',
    '2024-02-29 01:02:03.000004',
    '-100:00:00.125',
    '{"a": [1, null]}',
    Buffer.from([21]),
    null,
  ];
  const insert = `INSERT INTO types VALUES (NULL${', ?'.repeat(row.length)})`;
  const [text] = await connection.query(insert, row);
  const [prepared] = await connection.execute(insert, row);
  say('insert ids', [text.insertId, prepared.insertId, prepared.affectedRows]);
  for (const round of [1, 2]) {
    const [rows, fields] = await connection.query('SELECT * FROM types ORDER BY id');
    assert.deepStrictEqual({ ...rows[0], id: 0 }, { ...rows[1], id: 0 });
    const [again] = await connection.execute('SELECT * FROM types WHERE id >= ? ORDER BY id', [1]);
    assert.deepStrictEqual(again, rows);
    say(`types ${round}`, rows);
    say('columns', fields.map((field) => [field.name, field.columnType, field.flags, field.characterSet]));
  }
  const strings = { sql: 'SELECT * FROM types', dateStrings: true, supportBigNumbers: true, bigNumberStrings: true };
  say('as text', (await connection.query(strings))[0]);
}

async function transactions(connection, other) {
  await connection.query('CREATE TABLE money (id INT PRIMARY KEY, n INT)');
  await connection.beginTransaction();
  await connection.execute('INSERT INTO money VALUES (?, ?), (?, ?)', [1, 10, 2, 20]);
  say('inside', (await connection.query('SELECT * FROM money ORDER BY id'))[0]);
  say('outside', (await other.query('SELECT COUNT(*) AS n FROM money FOR SHARE SKIP LOCKED'))[0]);
  await connection.rollback();
  say('rolled back', (await connection.query('SELECT COUNT(*) AS n FROM money'))[0]);
  await connection.beginTransaction();
  await connection.query('INSERT INTO money VALUES (1, 10)');
  await connection.commit();
  for (let round = 0; round < 20; round++) {
    await connection.execute('UPDATE money SET n = n + 1 WHERE id = 1');
    const [[{ n }]] = await connection.execute('SELECT n FROM money WHERE id = 1');
    assert.strictEqual(n, 11 + round);
  }
  await refused('duplicate', connection.execute('INSERT INTO money VALUES (?, ?)', [1, 1]));
  await refused('no such column', connection.query('SELECT nosuch FROM money'));
  await refused('no such table', connection.execute('SELECT * FROM nosuch WHERE id = ?', [1]));
  await refused('syntax', connection.query('SELEC 1'));
}

async function session(connection) {
  await connection.query('USE information_schema');
  say('schema', (await connection.query('SELECT DATABASE() AS d'))[0]);
  await connection.query(`USE ${database}`);
  await connection.query("SET time_zone = '+05:30', sql_mode = 'ANSI_QUOTES', @mine = 'kept'");
  const state = 'SELECT DATABASE() AS d, @@time_zone AS z, @@sql_mode AS m, @mine AS v, "q" FROM (SELECT 1 AS q) t';
  say('state', (await connection.query(state))[0]);
  say('state, prepared', (await connection.execute(state))[0]);
  await connection.changeUser({});
  const plain = 'SELECT DATABASE() AS d, @@time_zone AS z, @mine AS v, CURRENT_USER() AS u';
  say('changed user', (await connection.query(plain))[0]);
  await connection.query("SET @mine = 'again'");
  await connection.changeUser({ user: 'second', password: 'second-pw', database: 'information_schema' });
  say('another user', (await connection.query(plain))[0]);
  await refused('wrong password', connection.changeUser({ user, password: 'wrong' }));
}

async function pooled() {
  const pool = promised.createPool({ ...account, connectionLimit: 1 });
  // What a connection wrote itself it sees with all that was written before.
  await pool.query('INSERT INTO money VALUES (7, 70)');
  for (let round = 0; round < 30; round++) {
    const [[{ n }]] = await pool.query('SELECT ? + 1 AS n', [round]);
    assert.strictEqual(Number(n), round + 1);
    const [[row]] = await pool.execute('SELECT SUM(n) AS s FROM money WHERE id IN (?, 1)', [7]);
    assert.strictEqual(Number(row.s), 100);
  }
  await Promise.all([1, 2, 3, 4].map((id) => pool.query('SELECT SLEEP(0), ?', [id])));
  await pool.end();
}

async function several() {
  const connection = await promised.createConnection({ ...account, multipleStatements: true });
  const sql =
    'CREATE TABLE many (id INT PRIMARY KEY AUTO_INCREMENT, v INT); INSERT INTO many (v) VALUES (1), (2); ' +
    'SELECT LAST_INSERT_ID() AS l; SELECT * FROM many; UPDATE many SET v = 3; SELECT SUM(v) AS s FROM many';
  const [results] = await connection.query(sql);
  say('several', results);
  await refused('the second fails', connection.query('INSERT INTO many VALUES (7, 7); SELECT nosuch; SELECT 1'));
  say('after', (await connection.query('SELECT COUNT(*) AS n FROM many'))[0]);
  await connection.end();
}

async function file(connection) {
  await connection.query('CREATE TABLE lines_of (id INT PRIMARY KEY, v VARCHAR(20))');
  const lines = Readable.from(
    (function* () {
      for (let id = 0; id < 20000; id++) yield Buffer.from(`${id}\tline ${id}\n`);
    })()
  );
  const load = { sql: "LOAD DATA LOCAL INFILE 'given' INTO TABLE lines_of", infileStreamFactory: () => lines };
  const [loaded] = await connection.query(load);
  say('loaded', [loaded.affectedRows, loaded.info]);
  say('sum', (await connection.query('SELECT COUNT(*) AS n, SUM(id) AS s FROM lines_of'))[0]);
}

function streamed(connection) {
  return new Promise((resolve, reject) => {
    let rows = 0;
    const sql = 'SELECT a.id, b.id AS other, REPEAT("x", 50) AS x FROM lines_of a JOIN lines_of b WHERE b.id < 5';
    connection.connection
      .query(sql)
      .stream({ highWaterMark: 5 })
      .on('data', () => (rows += 1))
      .on('error', reject)
      .on('end', () => {
        say('streamed', rows);
        resolve();
      });
  });
}

async function main() {
  const connection = await promised.createConnection(account);
  const other = await promised.createConnection(account);
  await types(connection);
  await transactions(connection, other);
  await pooled();
  await several();
  await file(connection);
  await streamed(connection);
  await session(other);
  other.destroy();
  await connection.ping();
  await connection.end();
  console.log('all is well');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
