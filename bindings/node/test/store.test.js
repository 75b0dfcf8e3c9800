// Stores: opening, closing, durability, upkeep, snapshots, backup, verify, import, errors.
'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { setImmediate: turn } = require('node:timers/promises')
const { Worker } = require('node:worker_threads')
const { Store, SarsenError, Snapshot } = require('../index.js')
const { folder, open } = require('./scratch.js')

const text = value => value?.toString()

test('what was committed is there after closing and opening again', async t => {
  const place = path.join(folder(t), 'store')
  const store = await Store.open(place)
  await store.kv.set('key', 'value')
  await store.close()
  const again = Store.openSync(place, { create: false })
  assert.equal(text(again.kv.getSync('key')), 'value')
  assert.equal(again.recovery.verdict, 'clean')
  assert.equal(again.recovery.lastSeq, 1)
  again.closeSync()
})

test('an error has the name of its status as code, and says what to do', async t => {
  const place = path.join(folder(t), 'store')
  assert.throws(() => Store.openSync(place, { create: false }), error => {
    assert.ok(error instanceof SarsenError)
    assert.equal(error.code, 'SARSEN_NOT_A_STORE')
    assert.equal(error.status, 15)
    assert.ok(error.message.length > 20)
    return true
  })
  await assert.rejects(Store.open(place, { create: false }), { code: 'SARSEN_NOT_A_STORE', name: 'SarsenError' })
  const store = Store.openSync(place)
  t.after(() => store.close())
  assert.throws(() => Store.openSync(place), { code: 'SARSEN_LOCKED' })
  assert.throws(() => store.streams.read('none'), { code: 'SARSEN_NOT_FOUND' })
  assert.throws(() => store.kv.setSync(Buffer.alloc(65536), ''), { code: 'SARSEN_TOO_LARGE' })
})

test('options are checked, each of them', t => {
  const place = path.join(folder(t), 'store')
  for (const wrong of [{ survive: 'fire' }, { check: 1 }, { logWrite: 'x' }, { chunkBytes: 1 }, { memoryBytes: 1 },
    { memoryBytes: -1 }, { memoryBytes: 1.5 }, { create: 'yes' }, { mappedByte: 1 }, { survive: 'toString' }]) {
    assert.throws(() => Store.openSync(place, wrong), { code: 'SARSEN_INVALID_ARGUMENT' }, JSON.stringify(wrong))
  }
  Store.openSync(place, {
    create: true, readOnly: false, survive: 'power', chunkBytes: 65536, memoryBytes: 1n << 20n, logRetentionBytes: 0,
    background: false, salvage: false, check: 'everyRead', logWrite: 'written', mappedBytes: 0
  }).closeSync()
  const reader = Store.openSync(place, { readOnly: true })
  t.after(() => reader.close())
  assert.throws(() => reader.kv.setSync('a', 'b'), { code: 'SARSEN_READ_ONLY' })
})

test('a closed store refuses, and closing it once more is nothing', async t => {
  const store = open(t)
  store.kv.setSync('a', 'b')
  const cursor = store.kv.scan()
  await store.close()
  await store.close()
  store.closeSync()
  assert.equal(store.closed, true)
  assert.throws(() => store.kv.getSync('a'), { code: 'SARSEN_INVALID_ARGUMENT', message: /closed/ })
  await assert.rejects(store.kv.get('a'), { code: 'SARSEN_INVALID_ARGUMENT' })
  assert.throws(() => store.kv.scan(), { code: 'SARSEN_INVALID_ARGUMENT' })
  assert.throws(() => cursor.readSync(), { code: 'SARSEN_INVALID_ARGUMENT' })
  cursor.close()
})

test('close waits for the calls that were begun before it', async t => {
  const place = path.join(folder(t), 'store')
  const store = Store.openSync(place)
  const writes = []
  for (let key = 0; key < 200; key++) writes.push(store.kv.set(String(key), 'v'))
  await store.close()
  assert.equal((await Promise.allSettled(writes)).filter(one => one.status === 'fulfilled').length, 200)
  const again = Store.openSync(place)
  assert.equal(again.kv.keys().allSync().length, 200)
  again.closeSync()
})

test('closeSync amid calls on other threads loses none that was acknowledged', async t => {
  const place = path.join(folder(t), 'store')
  for (let round = 0; round < 10; round++) {
    const store = Store.openSync(place)
    const writes = []
    for (let key = 0; key < 50; key++) writes.push(store.kv.set(`${round} ${key}`, 'v').then(() => `${round} ${key}`))
    store.closeSync()
    const settled = await Promise.allSettled(writes)
    const again = Store.openSync(place)
    for (const one of settled) {
      if (one.status === 'fulfilled') assert.equal(text(again.kv.getSync(one.value)), 'v')
      else assert.equal(one.reason.code, 'SARSEN_INVALID_ARGUMENT')
    }
    again.closeSync()
  }
})

test('a promise is kept while the thread of JavaScript goes on', async t => {
  const store = open(t, { survive: 'power' })
  const order = []
  const write = store.kv.set('a', 'b').then(() => order.push('written'))
  order.push('returned')
  await turn()
  await write
  assert.deepEqual(order, ['returned', 'written'])
})

test('durability: what is not yet safe becomes so, by sync, wait and notice', async t => {
  const store = open(t)
  const commit = key => {
    store.kv.setSync(key, 'v')
    return store.lastSeq
  }
  store.syncSync()
  const first = commit('a')
  assert.equal(await store.waitDurable(first), true)
  assert.ok(store.durableSeq >= first)
  const second = commit('b')
  assert.equal(store.waitDurableSync(second, { timeoutMs: 60000 }), true)
  const third = commit('c')
  const told = await new Promise(resolve => store.notifyDurable(third, (error, seq) => resolve([error, seq])))
  assert.deepEqual(told, [null, third])
  assert.ok(store.durableSeq >= third)
  const fourth = commit('d')
  await store.sync()
  assert.ok(store.durableSeq >= fourth)
  await assert.rejects(store.waitDurable(1000), { code: 'SARSEN_INVALID_ARGUMENT' })
  assert.throws(() => store.notifyDurable(1000, () => {}), { code: 'SARSEN_INVALID_ARGUMENT' })
  assert.throws(() => store.notifyDurable(1), { code: 'SARSEN_INVALID_ARGUMENT' })
})

test('a snapshot sees what was, in each kind of read', async t => {
  const store = open(t)
  store.batch().setKv('k', 'old').appendStream('s', 'old').appendMemory(1, 'old', ['t']).commitSync()
  const snapshot = store.snapshotSync()
  const later = await store.snapshot()
  assert.equal(snapshot.seq, 1)
  store.batch().setKv('k', 'new').setKv('l', 'new').appendStream('s', 'new').appendMemory(1, 'new').appendMemory(2, '')
    .commitSync()
  const at = { snapshot }
  assert.equal(text(store.kv.getSync('k', at)), 'old')
  assert.equal(text(await store.kv.get('k', { snapshot: later })), 'old')
  assert.equal(store.kv.scan(at).allSync().length, 1)
  assert.deepEqual(store.streams.boundsSync('s', at), { first: 0, next: 1 })
  assert.equal(store.streams.getSync('s', 1, at), undefined)
  assert.equal(text(store.memories.getSync(1, at)), 'old')
  assert.deepEqual(store.memories.findIds({ all: ['t'], snapshot }).allSync(), [1n])
  assert.deepEqual(store.memories.findIds({ all: ['t'] }).allSync(), [])
  snapshot.close()
  later.close()
  assert.throws(() => store.kv.getSync('k', at), { code: 'SARSEN_INVALID_ARGUMENT' })
  assert.throws(() => store.kv.getSync('k', { snapshot: {} }), { code: 'SARSEN_INVALID_ARGUMENT' })
  assert.ok(snapshot instanceof Snapshot)
})

test('a backup is a store of its own, of now or of a snapshot', async t => {
  const place = folder(t)
  const store = open(t)
  store.kv.setSync('a', '1')
  const snapshot = store.snapshotSync()
  store.kv.setSync('b', '2')
  await store.backup(path.join(place, 'now'))
  store.backupSync(path.join(place, 'then'), { snapshot })
  snapshot.close()
  for (const [name, count] of [['now', 2], ['then', 1]]) {
    const copy = Store.openSync(path.join(place, name), { readOnly: true })
    assert.equal(copy.kv.keys().allSync().length, count)
    copy.closeSync()
  }
  await assert.rejects(store.backup(path.join(place, 'now')), SarsenError)
  await assert.rejects(store.backup('no\0path'), { code: 'SARSEN_INVALID_ARGUMENT' })
})

test('verify finds a flipped bit, and nothing in a store that is well', async t => {
  const place = path.join(folder(t), 'store')
  let store = Store.openSync(place)
  const block = store.blocks.appendSync(Buffer.alloc(200000, 7))
  assert.deepEqual(await store.verify(), [])
  assert.deepEqual(store.verifySync(), [])
  store.closeSync()
  const chunk = fs.readdirSync(place, { recursive: true }).find(name => /chunk/.test(name) &&
    fs.statSync(path.join(place, name)).isFile())
  const file = fs.openSync(path.join(place, chunk), 'r+')
  fs.writeSync(file, Buffer.from([8]), 0, 1, block.offset + 100000)
  fs.closeSync(file)
  store = Store.openSync(place)
  const [found] = await store.verify()
  assert.equal(found.file, chunk)
  assert.ok(found.what.length > 0 && Number.isInteger(found.offset))
  assert.throws(() => store.blocks.readSync(block), error => error.code === 'SARSEN_CORRUPT' && error.file === chunk)
  store.closeSync()
})

test('figures count what there is', async t => {
  const store = open(t)
  store.batch().setKv('a', 'b').appendStream('s', '1').appendStream('s', '2').appendMemory(1, 'm').commitSync()
  const stats = await store.stats()
  assert.deepEqual(store.statsSync().kvCount, 1)
  assert.equal(stats.streamRecordCount, 2)
  assert.equal(stats.memoryCount, 1)
  assert.equal(stats.commits, 1)
  assert.ok(stats.diskBytes > 0)
})

test('upkeep by hand: maintain, checkpoint and compact leave the data as it is', async t => {
  const store = open(t, { background: false })
  for (let key = 0; key < 1000; key++) store.kv.setSync(String(key), 'v'.repeat(100))
  while (await store.maintain(5));
  while (store.maintainSync(5));
  store.checkpointSync()
  await store.checkpoint()
  await store.compact()
  store.compactSync()
  assert.equal(store.statsSync().kvCount, 1000)
  assert.throws(() => store.maintainSync(-1), { code: 'SARSEN_INVALID_ARGUMENT' })
})

test('a reader beside a writer sees new commits after refresh', async t => {
  const place = path.join(folder(t), 'store')
  const writer = Store.openSync(place)
  writer.kv.setSync('a', '1')
  const reader = Store.openSync(place, { readOnly: true })
  writer.kv.setSync('b', '2')
  assert.equal(reader.kv.getSync('b'), undefined)
  assert.equal(await reader.refresh(), 2)
  assert.equal(reader.refreshSync(), 2)
  assert.equal(text(reader.kv.getSync('b')), '2')
  reader.closeSync()
  writer.closeSync()
})

/** A record of the ancestral log: docs/FORMAT.md, 'Ancestral layout'. */
function ancestral (variant, ...fields) {
  const number = (value, bytes) => {
    const packed = Buffer.alloc(8)
    packed.writeBigUInt64LE(BigInt(value))
    return packed.subarray(0, bytes)
  }
  const body = Buffer.concat([number(variant, 4), ...fields.map(field => typeof field === 'string'
    ? Buffer.concat([number(field.length, 8), Buffer.from(field)])
    : number(...field))])
  return Buffer.concat([number(body.length, 8), body])
}

test('import takes an ancestral directory over, whole or with an error not at all', async t => {
  const place = folder(t)
  const old = path.join(place, 'old')
  fs.mkdirSync(path.join(old, 'blocks'), { recursive: true })
  fs.writeFileSync(path.join(old, 'blocks', 'chunk_0000.bin'), 'memoryrecord')
  const records = [ancestral(1, 'key', 'value'), ancestral(0, [7, 8], [0, 4], [0, 8], [6, 8], [1, 8], 'tag'),
    ancestral(3, 'stream', [0, 4], [6, 8], [6, 8])]
  fs.writeFileSync(path.join(old, 'state.wal'), Buffer.concat(records))
  for (const way of ['import', 'importSync']) {
    const store = open(t)
    assert.equal(await store[way](old), 3)
    assert.equal(text(store.kv.getSync('key')), 'value')
    assert.deepEqual(store.memories.find({ all: ['tag'] }).allSync(), [[7n, Buffer.from('memory')]])
    assert.equal(text(store.streams.getSync('stream', 0)), 'record')
    assert.throws(() => store.importSync(old), SarsenError)
  }
  const store = open(t)
  fs.truncateSync(path.join(old, 'blocks', 'chunk_0000.bin'), 3)
  await assert.rejects(store.import(old), { code: 'SARSEN_CORRUPT' })
  await assert.rejects(store.import(path.join(place, 'missing')), SarsenError)
  assert.equal(store.lastSeq, 0)
})

test('using closes a store: its Symbol.dispose and Symbol.asyncDispose do', async t => {
  const place = path.join(folder(t), 'store')
  const first = Store.openSync(place)
  first[Symbol.dispose]()
  assert.equal(first.closed, true)
  const second = Store.openSync(place)
  await second[Symbol.asyncDispose]()
  assert.equal(second.closed, true)
})

test('a store that was forgotten is closed when it is collected, with a warning', t => {
  const place = path.join(folder(t), 'store')
  const program = `
    const { Store } = require(${JSON.stringify(path.join(__dirname, '..'))})
    const place = ${JSON.stringify(place)}
    const forget = () => {
      const store = Store.openSync(place)
      store.kv.setSync('a', 'b')
      store.kv.scan()
      store.snapshotSync()
    }
    process.on('warning', warning => {
      console.log(warning.name)
      Store.openSync(place).closeSync()
      console.log('open again')
      clearInterval(timer)
    })
    forget()
    const timer = setInterval(() => global.gc(), 1)`
  const out = execFileSync(process.execPath, ['--expose-gc', '-e', program], { stdio: ['ignore', 'pipe', 'ignore'] })
  assert.deepEqual(out.toString().trim().split('\n'), ['SarsenWarning', 'open again'])
})

test('a program that ends without closing leaves a store that opens cleanly', t => {
  const place = path.join(folder(t), 'store')
  execFileSync(process.execPath, ['-e', `
    const { Store } = require(${JSON.stringify(path.join(__dirname, '..'))})
    globalThis.store = Store.openSync(${JSON.stringify(place)})
    store.kv.setSync('a', 'b')
    store.log.follow({})[Symbol.asyncIterator]().next()
    process.exit(0)`])
  const store = Store.openSync(place)
  assert.equal(text(store.kv.getSync('a')), 'b')
  store.closeSync()
})

test('a worker that is ended amid a wait lets go of its store', async t => {
  const place = path.join(folder(t), 'store')
  const worker = new Worker(`
    const { parentPort } = require('node:worker_threads')
    const { Store } = require(${JSON.stringify(path.join(__dirname, '..'))})
    const store = Store.openSync(${JSON.stringify(place)})
    store.kv.setSync('a', 'b')
    store.notifyDurable(1, () => {})
    const follow = async () => { for await (const command of store.log.follow()) parentPort.postMessage(command.kind) }
    follow()`, { eval: true })
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
  await worker.terminate()
  const store = Store.openSync(place)
  assert.equal(text(store.kv.getSync('a')), 'b')
  store.closeSync()
})
