// The four kinds of data, batches over them, and the log that tells of them.
'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const { Block, SarsenError } = require('../index.js')
const { open } = require('./scratch.js')

const text = value => value?.toString()
const texts = list => list.map(text)
const MOST_ID = 0xffffffffffffffffn

test('values of every length come back as they went in, by each way of reading', async t => {
  const store = open(t)
  for (const length of [0, 1, 100, 4095, 4096, 65535, 65536, 65537, 1000000]) {
    const value = Buffer.alloc(length, length % 251)
    const key = `key ${length}`
    if (length % 2) store.kv.setSync(key, value)
    else await store.kv.set(Buffer.from(key), new Uint8Array(value))
    assert.ok(value.equals(store.kv.getSync(key)), key)
    assert.ok(value.equals(await store.kv.get(key)), key)
    const view = store.kv.viewSync(key)
    assert.ok(value.equals(view.bytes), key)
    view.release()
    const target = Buffer.alloc(10)
    assert.equal(store.kv.readSync(key, target), length)
    assert.ok(target.subarray(0, length).equals(value.subarray(0, 10)))
  }
  assert.equal(store.statsSync().pinnedViews, 0)
  for (const way of ['getSync', 'viewSync']) assert.equal(store.kv[way]('none'), undefined)
  assert.equal(await store.kv.get('none'), undefined)
  assert.equal(store.kv.readSync('none', Buffer.alloc(1)), undefined)
})

test('strings of every length and script are keys', async t => {
  const store = open(t)
  const keys = ['', 'a', 'é', '日本', '😀'.repeat(30)]
  for (let length = 40; length < 70; length++) {
    keys.push('é'.repeat(length), '日'.repeat(length), 'a'.repeat(3 * length))
  }
  for (const key of keys) store.kv.setSync(key, key)
  for (const key of keys) {
    assert.equal(text(store.kv.getSync(Buffer.from(key))), key)
    assert.equal(text(await store.kv.get(key)), key)
  }
})

test('what is passed to a promise may be changed at once', async t => {
  const store = open(t)
  const key = Buffer.from('key')
  const value = Buffer.alloc(1000, 1)
  const write = store.kv.set(key, value)
  key.fill(0)
  value.fill(0)
  await write
  assert.ok(Buffer.alloc(1000, 1).equals(store.kv.getSync('key')))
})

test('a value got from the store is a copy: writing to it changes nothing', t => {
  const store = open(t)
  store.kv.setSync('a', 'value')
  store.kv.getSync('a').fill(0)
  store.kv.scan().allSync()[0][1].fill(0)
  assert.equal(text(store.kv.getSync('a')), 'value')
})

test('a released view is empty, twice released is once, and two views of one value are two', t => {
  const store = open(t)
  store.kv.setSync('a', 'value')
  const [one, two] = [store.kv.viewSync('a'), store.kv.viewSync('a')]
  assert.equal(store.statsSync().pinnedViews, 2)
  one.release()
  one.release()
  one[Symbol.dispose]()
  assert.equal(one.bytes.length, 0)
  assert.equal(text(two.bytes), 'value')
  two.release()
  assert.equal(store.statsSync().pinnedViews, 0)
})

test('a view stays good when its store is closed', async t => {
  const store = open(t)
  store.kv.setSync('a', 'value')
  const view = store.kv.viewSync('a')
  await store.close()
  assert.equal(text(view.bytes), 'value')
  view.release()
})

test('getMany answers in the order asked, with a gap for what is not there', async t => {
  const store = open(t)
  store.batch().setKv('a', '1').setKv('b', '').setKv('c', Buffer.alloc(100000, 3)).commitSync()
  const promised = await store.kv.getMany(['c', 'x', 'b', 'a'])
  for (const got of [promised, store.kv.getManySync(['c', 'x', Buffer.from('b'), 'a'])]) {
    assert.equal(got.length, 4)
    assert.equal(got[0].length, 100000)
    assert.equal(got[1], undefined)
    assert.deepEqual(texts(got.slice(2)), ['', '1'])
  }
  assert.deepEqual(await store.kv.getMany([]), [])
})

test('deleting is by key, and of what is not there no error', async t => {
  const store = open(t)
  store.batch().setKv('a', '1').setKv('b', '2').commitSync()
  store.kv.deleteSync('a')
  await store.kv.delete('b')
  await store.kv.delete('b')
  assert.deepEqual(store.kv.keys().allSync(), [])
})

test('each range of keys is what a sorted array says, both ways, with each limit', t => {
  const store = open(t)
  const keys = ['', '\0', 'a', 'a\0', 'aa', 'ab', 'b', 'é']
  const batch = store.batch()
  for (const key of keys) batch.setKv(key, `<${key}>`)
  batch.commitSync()
  const sorted = [...keys].sort((one, two) => Buffer.compare(Buffer.from(one), Buffer.from(two)))
  const order = (one, two) => Buffer.compare(Buffer.from(one), Buffer.from(two))
  let compared = 0
  for (const low of [undefined, 'gt', 'gte']) {
    for (const high of [undefined, 'lt', 'lte']) {
      for (const start of low ? [...keys, 'zz'] : ['']) {
        for (const end of high ? [...keys, 'zz'] : ['']) {
          for (const reverse of [false, true]) {
            for (const limit of [undefined, 0, 2]) {
              const range = { reverse, limit }
              if (low) range[low] = start
              if (high) range[high] = end
              const expected = sorted.filter(key =>
                (low === undefined || order(key, start) > 0 || (low === 'gte' && key === start)) &&
                (high === undefined || order(key, end) < 0 || (high === 'lte' && key === end)))
              if (reverse) expected.reverse()
              assert.deepEqual(texts(store.kv.keys(range).allSync()), expected.slice(0, limit), JSON.stringify(range))
              compared++
            }
          }
        }
      }
    }
  }
  assert.ok(compared > 1000)
  assert.deepEqual(texts(store.kv.values({ prefix: 'a', reverse: true }).allSync()), ['<ab>', '<aa>', '<a\0>', '<a>'])
  assert.deepEqual(texts(store.kv.keys({ prefix: Buffer.from('b') }).allSync()), ['b'])
  assert.throws(() => store.kv.scan({ prefix: 'a', gt: 'a' }), { code: 'SARSEN_INVALID_ARGUMENT' })
  assert.throws(() => store.kv.scan({ limit: 1.5 }), { code: 'SARSEN_INVALID_ARGUMENT' })
})

test('a scan over more than a buffer, and over values longer than one, gives every pair once', async t => {
  const store = open(t)
  const batch = store.batch()
  const name = key => String(key).padStart(5, '0')
  for (let key = 0; key < 20000; key++) batch.setKv(name(key), key % 5000 === 7 ? Buffer.alloc(600000, 1) : `v${key}`)
  await batch.commit()
  let at = 0
  for (const [key, value] of store.kv.scan()) {
    assert.equal(text(key), name(at))
    assert.equal(value.length, at % 5000 === 7 ? 600000 : `v${at}`.length)
    at++
  }
  assert.equal(at, 20000)
  for await (const [key] of store.kv.scan({ reverse: true })) assert.equal(text(key), name(--at))
  assert.equal(at, 0)
  for await (const key of store.kv.keys()) assert.equal(text(key), name(at++))
  assert.equal(at, 20000)
})

test('a cursor gives one by one, by buffers, and the rest, without loss between', async t => {
  const store = open(t)
  const batch = store.batch()
  for (let key = 0; key < 3000; key++) batch.setKv(String(key).padStart(4, '0'), '')
  batch.commitSync()
  const cursor = store.kv.keys()
  const got = [cursor.nextSync(), await cursor.next(), ...cursor.readSync(), ...await cursor.read(), cursor.nextSync(),
    ...await cursor.all()]
  assert.equal(got.length, 3000)
  assert.deepEqual(texts(got), texts(store.kv.keys().allSync()))
  assert.equal(cursor.done, true)
  assert.equal(cursor.nextSync(), undefined)
  assert.equal(await cursor.next(), undefined)
  assert.equal(cursor.store, store)
  for (const left of store.kv.scan()) {
    assert.ok(left)
    break
  }
})

test('two calls at once on one cursor: the second is refused, and nothing is lost', async t => {
  const store = open(t)
  store.kv.setSync('a', 'b')
  const cursor = store.kv.scan()
  const first = cursor.read()
  await assert.rejects(cursor.read(), { code: 'SARSEN_INVALID_ARGUMENT', message: /await/ })
  assert.equal((await first).length, 1)
})

test('a cursor closed amid a read answers with nothing', async t => {
  const store = open(t)
  store.kv.setSync('a', 'b')
  const cursor = store.kv.scan()
  const reading = cursor.read()
  cursor.close()
  assert.deepEqual(await reading, [])
})

test('streams number their records, are trimmed from the front, dropped, and listed', async t => {
  const store = open(t)
  assert.equal(store.streams.appendSync('log', 'zero'), 0)
  assert.equal(await store.streams.append('log', 'one'), 1)
  store.streams.appendSync('other', Buffer.alloc(100000, 1))
  assert.equal(text(store.streams.getSync('log', 1)), 'one')
  assert.equal(text(await store.streams.get('log', 0n)), 'zero')
  assert.equal(store.streams.getSync('log', 2), undefined)
  assert.equal(store.streams.getSync('none', 0), undefined)
  const view = store.streams.viewSync('log', 0)
  assert.equal(text(view.bytes), 'zero')
  view.release()
  assert.deepEqual(await store.streams.bounds('log'), { first: 0, next: 2 })
  await store.streams.trim('log', 1)
  assert.deepEqual(store.streams.boundsSync('log'), { first: 1, next: 2 })
  assert.deepEqual(store.streams.read('log').allSync().map(([index, record]) => [index, text(record)]), [[1, 'one']])
  assert.deepEqual(store.streams.list({ prefix: 'l' }).allSync(), [{ name: Buffer.from('log'), first: 1, next: 2 }])
  assert.equal((await store.streams.list().all()).length, 2)
  store.streams.trimSync('log', 2)
  assert.deepEqual(store.streams.boundsSync('log'), { first: 2, next: 2 })
  await store.streams.drop('log')
  store.streams.dropSync('other')
  assert.equal(store.streams.boundsSync('log'), undefined)
  assert.equal(store.streams.appendSync('log', 'again'), 0)
})

test('a stream is read from any record on', async t => {
  const store = open(t)
  const batch = store.batch()
  for (let record = 0; record < 5000; record++) batch.appendStream('s', `r${record}`)
  batch.commitSync()
  let at = 4000
  for await (const [index, record] of store.streams.read('s', { from: 4000 })) {
    assert.equal(index, at)
    assert.equal(text(record), `r${at++}`)
  }
  assert.equal(at, 5000)
  assert.equal(store.streams.read('s', { limit: 3 }).allSync().length, 3)
})

test('memories are found by tags, with ids of all 64 bits', async t => {
  const store = open(t)
  store.memories.appendSync(1, 'one', ['a', 'b'])
  await store.memories.append(2n, 'two', new Set(['a', 'c']))
  store.memories.appendSync(MOST_ID, 'last', ['a', 'é'])
  store.memories.appendSync(4, 'plain')
  const find = query => store.memories.findIds(query).allSync()
  assert.deepEqual(find({}), [1n, 2n, 4n, MOST_ID])
  assert.deepEqual(find({ all: ['a'] }), [1n, 2n, MOST_ID])
  assert.deepEqual(find({ all: ['a'], none: ['b'] }), [2n, MOST_ID])
  assert.deepEqual(find({ any: ['b', 'é'] }), [1n, MOST_ID])
  assert.deepEqual(find({ all: ['a'], from: 2 }), [2n, MOST_ID])
  assert.deepEqual(find({ all: ['a'], limit: 1 }), [1n])
  const found = await store.memories.find({ all: ['c'] }).all()
  assert.deepEqual(found.map(([id, data]) => [id, text(data)]), [[2n, 'two']])
  assert.deepEqual(store.memories.infoSync(1).tags, ['a', 'b'])
  const { block, tags } = await store.memories.info(MOST_ID)
  assert.deepEqual(tags, ['a', 'é'])
  assert.equal(text(store.blocks.readSync(block)), 'last')
  const view = store.memories.viewSync(1)
  assert.equal(text(view.bytes), 'one')
  view.release()
  store.memories.deleteSync(1)
  await store.memories.delete(2)
  assert.equal(store.memories.getSync(1), undefined)
  assert.equal(await store.memories.get(2), undefined)
  assert.equal(store.memories.infoSync(2), undefined)
  await assert.rejects(store.memories.append(1, '', ['']), SarsenError)
  assert.throws(() => store.memories.appendSync(1, '', ['x'.repeat(1025)]), { code: 'SARSEN_TOO_LARGE' })
  assert.throws(() => store.memories.appendSync(-1, ''), { code: 'SARSEN_INVALID_ARGUMENT' })
  assert.throws(() => store.memories.appendSync(MOST_ID + 1n, ''), { code: 'SARSEN_INVALID_ARGUMENT' })
})

test('many long memories are found, each whole', async t => {
  const store = open(t)
  const batch = store.batch()
  for (let id = 0; id < 50; id++) batch.appendMemory(id, Buffer.alloc(id * 9973, id), ['t'])
  batch.commitSync()
  let at = 0
  for await (const [id, data] of store.memories.find({ all: ['t'] })) {
    assert.equal(id, BigInt(at))
    assert.ok(Buffer.alloc(at * 9973, at).equals(data))
    at++
  }
  assert.equal(at, 50)
})

test('a block is read whole or in part by an address that can be kept', async t => {
  const store = open(t)
  const bytes = Buffer.from(Array.from({ length: 200000 }, (_, at) => at % 251))
  const block = store.blocks.appendSync(bytes)
  const kept = Block.fromBuffer(block.toBuffer())
  assert.deepEqual(kept, block)
  assert.ok(bytes.equals(store.blocks.readSync(kept)))
  assert.ok(bytes.subarray(70000, 70010).equals(await store.blocks.read(kept, { from: 70000, length: 10 })))
  assert.ok(bytes.subarray(199990).equals(store.blocks.readSync(kept, { from: 199990 })))
  const view = store.blocks.viewSync(kept, { from: 1, length: 2 })
  assert.deepEqual([...view.bytes], [1, 2])
  view.release()
  assert.throws(() => store.blocks.readSync(kept, { from: 199999, length: 2 }), { code: 'SARSEN_INVALID_ARGUMENT' })
  assert.throws(() => store.blocks.readSync({}), { code: 'SARSEN_INVALID_ARGUMENT' })
  assert.throws(() => Block.fromBuffer(Buffer.alloc(3)), { code: 'SARSEN_INVALID_ARGUMENT' })
  const other = await store.blocks.append('small')
  await store.blocks.free(other)
  store.blocks.freeSync(block)
  const gone = new Block(99, 0, 4096, 10)
  assert.throws(() => store.blocks.readSync(gone), { code: 'SARSEN_NOT_FOUND' })
})

test('a batch is one commit over all four kinds, and tells what its commands were given', async t => {
  const store = open(t)
  const block = store.blocks.appendSync('shared')
  const before = store.lastSeq
  const batch = store.batch({ bytes: 1 })
    .setKv('a', '1').setKv('gone', '').deleteKv('gone')
    .appendStream('s', 'r0').appendStreamBlock('s', block).trimStream('s', 1)
    .appendMemory(7, 'm', ['t', 'u']).appendMemoryBlock(MOST_ID, block, ['t']).appendMemory(8, '').deleteMemory(8)
    .appendBlock('loose').appendStream('dropped', 'x').dropStream('dropped').freeBlock(new Block(1, 0, 0, 0))
  assert.equal(batch.count, 14)
  assert.ok(batch.byteLength > 14 * 24)
  assert.equal(await batch.commit({ survive: 'power' }), before + 1)
  assert.equal(store.durableSeq, before + 1)
  assert.equal(batch.count, 0)
  assert.equal(batch.result(3).index, 0)
  assert.equal(batch.result(4).index, 1)
  assert.equal(batch.result(0).index, undefined)
  assert.equal(text(store.blocks.readSync(batch.result(10).block)), 'loose')
  assert.deepEqual(texts(store.kv.keys().allSync()), ['a'])
  assert.deepEqual(store.streams.boundsSync('s'), { first: 1, next: 2 })
  assert.equal(text(store.streams.getSync('s', 1)), 'shared')
  assert.equal(text(store.memories.getSync(MOST_ID)), 'shared')
  assert.deepEqual(store.memories.findIds({ all: ['t'] }).allSync(), [7n, MOST_ID])
  assert.equal(store.streams.boundsSync('dropped'), undefined)
  assert.throws(() => batch.result(14), { code: 'SARSEN_INVALID_ARGUMENT' })
  batch.setKv('b', '')
  assert.throws(() => batch.result(0), { code: 'SARSEN_INVALID_ARGUMENT' })
})

test('a batch that fails is as it was, and what is refused leaves no trace in it', async t => {
  const store = open(t)
  const batch = store.batch().setKv('a', '1').appendStreamBlock('s', new Block(99, 1, 4096, 10))
  await assert.rejects(batch.commit(), { code: 'SARSEN_NOT_FOUND' })
  assert.throws(() => batch.commitSync(), { code: 'SARSEN_NOT_FOUND' })
  assert.equal(batch.count, 2)
  const length = batch.byteLength
  for (const wrong of [() => batch.setKv('k'.repeat(65536), ''), () => batch.setKv('a', 5), () => batch.setKv(null, ''),
    () => batch.appendMemory(-1, ''), () => batch.appendMemory(1.5, ''), () => batch.appendMemory(1, '', ['']),
    () => batch.appendMemory(1, '', 'tag'), () => batch.load(Buffer.alloc(23)), () => batch.load('x'),
    () => batch.appendStreamBlock('s', {}), () => batch.trimStream('s', -1)]) {
    assert.throws(wrong, SarsenError, wrong.toString())
    assert.equal(batch.count, 2)
    assert.equal(batch.byteLength, length)
  }
  assert.equal(store.lastSeq, 0)
  assert.equal(batch.clear().count, 0)
  assert.equal(batch.commitSync(), 0)
  await assert.rejects(batch.commit({ survive: 'x' }), { code: 'SARSEN_INVALID_ARGUMENT' })
})

test('a batch is not changed while it is committed', async t => {
  const store = open(t)
  const batch = store.batch().setKv('a', '1')
  const commit = batch.commit()
  assert.throws(() => batch.setKv('b', ''), { code: 'SARSEN_INVALID_ARGUMENT', message: /await/ })
  assert.throws(() => batch.clear(), { code: 'SARSEN_INVALID_ARGUMENT' })
  assert.throws(() => batch.commitSync(), { code: 'SARSEN_INVALID_ARGUMENT' })
  await assert.rejects(batch.commit(), { code: 'SARSEN_INVALID_ARGUMENT' })
  assert.equal(await commit, 1)
  assert.deepEqual(texts(store.kv.keys().allSync()), ['a'])
})

test('encoded commands go from batch to batch, and wrong ones are refused by the commit', t => {
  const store = open(t)
  const made = store.batch().setKv('a', '1').appendMemory(1, 'm', ['t', 'uu'])
  const batch = store.batch().setKv('b', '2').load(made.encoded())
  assert.equal(batch.count, 3)
  batch.commitSync()
  assert.deepEqual(texts(store.kv.keys().allSync()), ['a', 'b'])
  const wrong = Buffer.alloc(24, 0)
  wrong[0] = 77
  assert.throws(() => store.batch().load(wrong).commitSync(), { code: 'SARSEN_INVALID_ARGUMENT' })
})

test('the log tells every command, as it was given', async t => {
  const store = open(t, { logRetentionBytes: 1 << 20 })
  const block = store.blocks.appendSync('shared')
  store.batch().setKv('a', '1').deleteKv('a').appendStream('s', 'r').trimStream('s', 1).dropStream('s')
    .appendMemory(MOST_ID, 'm', ['t', 'u']).deleteMemory(MOST_ID).freeBlock(block).commitSync()
  const commands = store.log.read().readSync()
  assert.deepEqual(commands.map(one => [one.seq, one.kind, one.last]), [
    [1, 'appendBlock', true], [2, 'setKv', false], [2, 'deleteKv', false], [2, 'appendStream', false],
    [2, 'trimStream', false], [2, 'trimStream', false], [2, 'appendMemory', false], [2, 'deleteMemory', false],
    [2, 'freeBlock', true]])
  assert.equal(text(commands[0].value), 'shared')
  assert.deepEqual(commands[0].block, block)
  assert.deepEqual([text(commands[1].key), text(commands[1].value)], ['a', '1'])
  assert.deepEqual([text(commands[3].name), commands[3].index, text(commands[3].value)], ['s', 0, 'r'])
  assert.deepEqual([commands[4].before, commands[5].before], [1, Infinity])
  assert.deepEqual([commands[6].id, commands[6].tags, text(commands[6].value)], [MOST_ID, ['t', 'u'], 'm'])
  assert.equal(commands[7].id, MOST_ID)
  assert.equal(commands[0].epoch, 1)
  assert.equal(store.log.firstSeq, 1)
  assert.equal([...store.log.read({ from: 2 })].length, 8)
  let count = 0
  for await (const command of store.log.read({ from: 2, epoch: 1 })) count += command.seq === 2
  assert.equal(count, 8)
  assert.throws(() => store.log.read({ from: 2, epoch: 5 }), { code: 'SARSEN_CONFLICT' })
  assert.throws(() => store.log.read({ from: 50 }), { code: 'SARSEN_INVALID_ARGUMENT' })
})

test('following gives what is there, then what comes, and ends by break or signal', async t => {
  const store = open(t)
  store.kv.setSync('k0', '')
  const keys = []
  for await (const command of store.log.follow({ from: 1 })) {
    keys.push(text(command.key))
    if (keys.length === 5) break
    setImmediate(key => store.kv.setSync(key, ''), `k${keys.length}`)
  }
  assert.deepEqual(keys, ['k0', 'k1', 'k2', 'k3', 'k4'])
  const abort = new AbortController()
  const followed = []
  for await (const command of store.log.follow({ from: 5, signal: abort.signal })) {
    followed.push(command.seq)
    setImmediate(() => abort.abort())
  }
  assert.deepEqual(followed, [5])
})

test('a reader waits as long as it was told, and close or a signal ends that', async t => {
  const store = open(t)
  store.kv.setSync('a', '')
  const reader = store.log.read({ from: 2 })
  assert.deepEqual(reader.readSync(), [])
  assert.deepEqual(reader.readSync({ timeoutMs: 1 }), [])
  assert.deepEqual(await reader.read({ timeoutMs: 1 }), [])
  const abort = new AbortController()
  const aborted = reader.read({ timeoutMs: 1e9, signal: abort.signal })
  setImmediate(() => abort.abort())
  await assert.rejects(aborted, { name: 'AbortError' })
  const waiting = reader.read({ timeoutMs: 1e9 })
  store.kv.setSync('b', '')
  assert.equal((await waiting)[0].seq, 2)
  const closed = reader.read({ timeoutMs: 1e9 })
  setImmediate(() => reader.close())
  assert.deepEqual(await closed, [])
  assert.throws(() => reader.readSync(), { code: 'SARSEN_INVALID_ARGUMENT' })
})

test('closing the store ends a wait on its log with an error', async t => {
  const store = open(t)
  const reader = store.log.read({ from: 1 })
  const waiting = assert.rejects(reader.read({ timeoutMs: 1e9 }), { code: 'SARSEN_INVALID_ARGUMENT' })
  await new Promise(resolve => setImmediate(resolve))
  await store.close()
  await waiting
  reader.close()
})

test('more followers than the pool has threads leave it to others', async t => {
  const store = open(t)
  const abort = new AbortController()
  let seen = 0
  const followers = Array.from({ length: 12 }, async () => {
    for await (const command of store.log.follow({ from: 1, signal: abort.signal })) {
      seen += command.seq
      if (seen === 12) abort.abort()
    }
  })
  await new Promise(resolve => setImmediate(resolve))
  await store.kv.set('a', 'b') // runs in the pool
  await Promise.all(followers)
  assert.equal(seen, 12)
})
