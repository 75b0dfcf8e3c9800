// What a crossing from Node to C costs: a get, and a put of a batch, by C, by this binding, by koffi, and by other
// stores from the same language. Best of five rounds over all keys for a get; one pass for puts, 1,000 a batch, all of
// them at the level that survives the death of the process. Every answer is checked.
//
//   node bindings/node/bench/crossing.js [COUNT]      after `npm ci` in its folder, `make`, and the binding's build
'use strict'

const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const koffi = require('koffi')
const { ClassicLevel } = require('classic-level')
const lmdb = require('lmdb')
const { Store } = require('../index.js')
const { SarsenLevel } = require('../level.js')

const COUNT = Number(process.argv[2] || 100000)
const BATCH = 1000
const ROUNDS = 5
const ASYNC_AT_ONCE = 100
const VALUE = Buffer.alloc(100, 'v')
const root = path.join(__dirname, '..', '..', '..')
const target = path.join(root, 'target', 'release')
const place = fs.mkdtempSync(path.join(process.env.BENCH_DIR || os.tmpdir(), 'sarsen-crossing-'))
const hexadecimal = number => number.toString(16).padStart(8, '0')
const keys = Array.from({ length: COUNT }, (_, number) =>
  Buffer.from(hexadecimal(Math.imul(number, 2654435761 | 0) >>> 0) + hexadecimal(number)))
const order = Array.from({ length: COUNT }, (_, number) => number * 7919 % COUNT)
const shuffled = order.map(number => keys[number])
const words = shuffled.map(String)

function since (start) {
  return Number(process.hrtime.bigint() - start) / COUNT
}

function right (value) {
  if (value === undefined || value === null || value.length !== VALUE.length) throw new Error('a wrong answer')
}

async function gets (get, list = shuffled) {
  let best = Infinity
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint()
    for (const key of list) right(get(key))
    best = Math.min(best, since(start))
  }
  return best
}

async function promised (get, list = shuffled) {
  let best = Infinity
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint()
    for (let first = 0; first < list.length; first += ASYNC_AT_ONCE) {
      const values = await Promise.all(list.slice(first, first + ASYNC_AT_ONCE).map(key => get(key)))
      values.forEach(right)
    }
    best = Math.min(best, since(start))
  }
  return best
}

async function puts (put) {
  const start = process.hrtime.bigint()
  for (let first = 0; first < COUNT; first += BATCH) await put(keys.slice(first, first + BATCH))
  return since(start)
}

function c () {
  const program = path.join(place, 'crossing')
  execFileSync(process.env.CC || 'gcc', ['-O2', '-std=c11', '-D_GNU_SOURCE', `-I${root}/include`,
    path.join(root, 'bindings', 'crossing', 'crossing.c'), path.join(target, 'libsarsen.a'), '-lpthread', '-ldl', '-lm', '-o', program])
  return JSON.parse(execFileSync(program, [path.join(place, 'c'), COUNT, BATCH]))
}

async function binding () {
  const store = Store.openSync(path.join(place, 'binding'), { survive: 'process' })
  const batch = store.batch()
  const put = await puts(list => {
    for (const key of list) batch.setKv(key, VALUE)
    batch.commitSync()
  })
  const target = Buffer.alloc(VALUE.length)
  const rows = [
    ['sarsen, getSync', await gets(key => store.kv.getSync(key)), put],
    ['sarsen, getSync by string', await gets(key => store.kv.getSync(key), words)],
    ['sarsen, readSync', await gets(key => (store.kv.readSync(key, target), target))],
    ['sarsen, viewSync', await gets(key => {
      const view = store.kv.viewSync(key)
      const bytes = { length: view.bytes.length }
      view.release()
      return bytes
    })],
    ['sarsen, getManySync of 100', await manySync(list => store.kv.getManySync(list))],
    ['sarsen, get (100 at once)', await promised(key => store.kv.get(key))]
  ]
  await store.close()
  const other = Store.openSync(path.join(place, 'promise'), { survive: 'process' })
  const promise = other.batch()
  rows.at(-1)[2] = await puts(list => {
    for (const key of list) promise.setKv(key, VALUE)
    return promise.commit()
  })
  await other.close()
  return rows
}

async function manySync (get) {
  let best = Infinity
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint()
    for (let first = 0; first < COUNT; first += 100) get(shuffled.slice(first, first + 100)).forEach(right)
    best = Math.min(best, since(start))
  }
  return best
}

/** The same calls without an addon: libsarsen.so through koffi. */
async function byKoffi () {
  const library = koffi.load(path.join(target, 'libsarsen.so'))
  const open = library.func('uint32_t sarsen_store_open(const char *path, void *options, _Out_ void **out, void *e)')
  const options = library.func('void *sarsen_options_new()')
  const level = library.func('uint32_t sarsen_options_set_durability(void *options, uint32_t survive)')
  const read = library.func('uint32_t sarsen_kv_read(void *store, void *snapshot, const uint8_t *key, size_t len, ' +
    'uint8_t *buffer, size_t cap, _Out_ size_t *out, void *error)')
  const makeBatch = library.func('void *sarsen_batch_new()')
  const load = library.func('uint32_t sarsen_batch_load(void *batch, const uint8_t *encoded, size_t len, void *error)')
  const commit = library.func('uint32_t sarsen_batch_commit(void *batch, void *store, uint32_t survive, ' +
    'void *seq, void *error)')
  const close = library.func('uint32_t sarsen_store_close(void *store, void *error)')
  const out = [null]
  const chosen = options()
  level(chosen, 1)
  if (open(path.join(place, 'koffi'), chosen, out, null) !== 0) throw new Error('koffi: open')
  const store = out[0]
  const batch = makeBatch()
  const encoder = Store.openSync(path.join(place, 'encoder'))
  const encoding = encoder.batch()
  const put = await puts(list => {
    for (const key of list) encoding.setKv(key, VALUE)
    const encoded = encoding.encoded()
    encoding.clear()
    if (load(batch, encoded, encoded.length, null) !== 0 || commit(batch, store, 0, null, null) !== 0) {
      throw new Error('koffi: put')
    }
  })
  encoder.closeSync()
  const buffer = Buffer.alloc(VALUE.length)
  const length = [0]
  const get = await gets(key => {
    if (read(store, null, key, key.length, buffer, buffer.length, length, null) !== 0) throw new Error('koffi: get')
    return buffer
  })
  close(store, null)
  return [['sarsen by koffi, read', get, put]]
}

async function level (name, Level) {
  const db = new Level(path.join(place, name), { keyEncoding: 'buffer', valueEncoding: 'buffer' })
  await db.open()
  const put = await puts(list => db.batch(list.map(key => ({ type: 'put', key, value: VALUE }))))
  const rows = [
    [`${name}, getSync`, await gets(key => db.getSync(key)), put],
    [`${name}, get (100 at once)`, await promised(key => db.get(key))]
  ]
  await db.close()
  return rows
}

async function byLmdb () {
  const db = lmdb.open({
    path: path.join(place, 'lmdb'), encoding: 'binary', keyEncoding: 'binary', noSync: true, mapSize: 1 << 30
  })
  const put = await puts(list => db.transactionSync(() => {
    for (const key of list) db.put(key, VALUE)
  }))
  const rows = [['lmdb, getBinary', await gets(key => db.getBinary(key)), put]]
  await db.close()
  return rows
}

async function main () {
  try {
    const floor = c()
    const rows = [['C', floor.get, floor.put], ...await binding(), ...await byKoffi(),
      ...await level('abstract-level on sarsen', SarsenLevel), ...await level('classic-level', ClassicLevel),
      ...await byLmdb()]
    console.log(`${COUNT} keys of 16 bytes, values of 100, ${BATCH} puts a batch; Node ${process.version}`)
    console.log('ns each, and in brackets how many times those of C')
    for (const [name, get, put] of rows) {
      const figure = (value, base) => value === undefined
        ? ''.padStart(16)
        : `${value.toFixed(0).padStart(7)} (${(value / base).toFixed(1)})`.padEnd(16)
      console.log(`${name.padEnd(42)} get ${figure(get, floor.get)} put ${figure(put, floor.put)}`.trimEnd())
    }
  } finally {
    fs.rmSync(place, { recursive: true, force: true })
  }
}

main()
