// SarsenLevel: abstract-level's own suite, whole, and what goes beyond it.
'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const path = require('node:path')
const { Store } = require('../index.js')
const { SarsenLevel } = require('../level.js')
const { folder } = require('./scratch.js')

/** What the suite has asserted when everything it offers is supported; fewer would mean that a part was left out. */
const ASSERTIONS = 5132

test("abstract-level's suite passes, every assertion of it", t => {
  const run = spawnSync(process.execPath, [path.join(__dirname, 'level_suite.js')], { maxBuffer: 1 << 28 })
  const out = run.stdout.toString()
  const failed = out.split('\n').filter(line => line.startsWith('not ok'))
  assert.deepEqual(failed, [])
  assert.equal(run.status, 0, run.stderr.toString())
  const count = name => Number(out.match(new RegExp(`^# ${name} +(\\d+)$`, 'm'))?.[1])
  t.diagnostic(`${count('pass')} assertions of abstract-level's suite pass`)
  assert.equal(count('pass'), ASSERTIONS)
  assert.equal(count('tests'), ASSERTIONS)
})

test('the suite ran with each feature that it knows', async t => {
  const db = new SarsenLevel(path.join(folder(t), 'db'))
  await db.close()
  for (const feature of ['implicitSnapshots', 'explicitSnapshots', 'seek', 'has', 'getSync', 'createIfMissing',
    'errorIfExists', 'permanence', 'deferredOpen']) {
    assert.equal(db.supports[feature], true, feature)
  }
})

test('a write with sync survives power loss when it is done, and the store below is there to ask', async t => {
  const db = new SarsenLevel(path.join(folder(t), 'db'), { valueEncoding: 'json' })
  await db.put('a', { n: 1 }, { sync: true })
  assert.equal(db.store.durableSeq, 1)
  await db.batch([{ type: 'put', key: 'b', value: 2 }, { type: 'del', key: 'a' }], { sync: true })
  assert.equal(db.store.durableSeq, 2)
  await db.del('b', { sync: true })
  assert.equal(db.store.durableSeq, 3)
  db.store.streams.appendSync('log', 'beside it')
  await db.close()
  const store = Store.openSync(db.location)
  assert.equal(store.streams.getSync('log', 0).toString(), 'beside it')
  store.closeSync()
})

test('clear empties more than one commit takes, and destroy leaves nothing', async t => {
  const db = new SarsenLevel(path.join(folder(t), 'db'))
  await db.batch(Array.from({ length: 3500 }, (_, key) => ({ type: 'put', key: String(key), value: 'v' })))
  await db.clear({ gte: '5' })
  assert.equal((await db.keys({ gte: '5' }).all()).length, 0)
  assert.ok((await db.keys().all()).length > 1500)
  await db.clear()
  assert.equal((await db.keys().all()).length, 0)
  await db.close()
  await SarsenLevel.destroy(db.location)
  await assert.rejects(db.open({ createIfMissing: false }), { code: 'LEVEL_DATABASE_NOT_OPEN' })
})
