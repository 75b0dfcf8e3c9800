// Nothing that the C API has is missing here: each function of the golden list has a counterpart that is there, and
// that the tests of this binding use.
'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const sarsen = require('../index.js')
const { open } = require('./scratch.js')

const GOLDEN = path.join(__dirname, '..', '..', '..', 'c_tests', 'exported_symbols.txt')
const NATIVE = path.join(__dirname, '..', 'native')

/** C's name without sarsen_, and what stands for it: members of objects, options of open ('?'), fields of errors. */
const COUNTERPARTS = {
  abi_version: 'abiVersion',
  version: 'version',
  status_name: 'statusName',
  error_status: 'error.status',
  error_message: 'error.message',
  error_os_code: 'error.osCode',
  error_file: 'error.file',
  error_offset: 'error.offset',
  error_first_seq: 'error.firstSeq',
  error_last_seq: 'error.lastSeq',
  error_free: 'error.code', // errors are collected
  view_release: 'view.release',
  options_new: 'Store.open',
  options_free: 'Store.open',
  options_set_create: '?create',
  options_set_read_only: '?readOnly',
  options_set_durability: '?survive',
  options_set_chunk_bytes: '?chunkBytes',
  options_set_memory_bytes: '?memoryBytes',
  options_set_log_retention_bytes: '?logRetentionBytes',
  options_set_background: '?background',
  options_set_salvage: '?salvage',
  options_set_check: '?check',
  options_set_log_write: '?logWrite',
  options_set_mapped_bytes: '?mappedBytes',
  store_open: 'Store.open Store.openSync',
  store_close: 'store.close store.closeSync',
  store_last_seq: 'store.lastSeq',
  store_durable_seq: 'store.durableSeq',
  store_sync: 'store.sync store.syncSync',
  store_wait_durable: 'store.waitDurable store.waitDurableSync',
  store_notify_durable: 'store.notifyDurable',
  store_checkpoint: 'store.checkpoint store.checkpointSync',
  store_compact: 'store.compact store.compactSync',
  store_maintain: 'store.maintain store.maintainSync',
  store_backup: 'store.backup store.backupSync',
  store_refresh: 'store.refresh store.refreshSync',
  store_import: 'store.import store.importSync',
  store_recovery: 'store.recovery',
  store_stats: 'store.stats store.statsSync',
  store_verify: 'store.verify store.verifySync',
  report_next: 'store.verify',
  report_free: 'store.verify',
  snapshot_new: 'store.snapshot store.snapshotSync',
  snapshot_seq: 'snapshot.seq',
  snapshot_free: 'snapshot.close',
  // A set of tags is any iterable of strings.
  tags_new: 'memories.append',
  tags_add: 'memories.append',
  tags_count: 'memories.info',
  tags_get: 'memories.info',
  tags_free: 'memories.append',
  batch_new: 'store.batch',
  batch_clear: 'batch.clear',
  batch_free: 'store.batch', // batches are collected
  batch_count: 'batch.count',
  batch_set_kv: 'batch.setKv',
  batch_delete_kv: 'batch.deleteKv',
  batch_append_stream: 'batch.appendStream',
  batch_trim_stream: 'batch.trimStream batch.dropStream',
  batch_append_memory: 'batch.appendMemory',
  batch_delete_memory: 'batch.deleteMemory',
  batch_append_block: 'batch.appendBlock',
  batch_free_block: 'batch.freeBlock',
  batch_append_stream_block: 'batch.appendStreamBlock',
  batch_append_memory_block: 'batch.appendMemoryBlock',
  batch_load: 'batch.load',
  batch_commit: 'batch.commit batch.commitSync',
  batch_result: 'batch.result',
  block_append: 'blocks.append blocks.appendSync',
  block_free: 'blocks.free blocks.freeSync',
  block_read: 'blocks.read blocks.readSync',
  block_view: 'blocks.viewSync',
  kv_set: 'kv.set kv.setSync',
  kv_delete: 'kv.delete kv.deleteSync',
  kv_get: 'kv.get kv.getSync kv.viewSync',
  kv_read: 'kv.readSync',
  kv_get_many: 'kv.getMany kv.getManySync',
  kv_scan: 'kv.scan kv.keys kv.values',
  kv_prefix: 'kv.scan',
  kv_iter_next: 'cursor.next cursor.nextSync',
  kv_iter_fill: 'cursor.read cursor.readSync',
  kv_iter_free: 'cursor.close',
  stream_append: 'streams.append streams.appendSync',
  stream_bounds: 'streams.bounds streams.boundsSync',
  stream_get: 'streams.get streams.getSync streams.viewSync',
  stream_trim: 'streams.trim streams.trimSync streams.drop streams.dropSync',
  stream_read: 'streams.read',
  stream_iter_next: 'cursor.next cursor.nextSync',
  stream_iter_fill: 'cursor.read cursor.readSync',
  stream_iter_free: 'cursor.close',
  stream_list: 'streams.list',
  stream_names_next: 'cursor.next cursor.nextSync',
  stream_names_free: 'cursor.close',
  memory_append: 'memories.append memories.appendSync',
  memory_delete: 'memories.delete memories.deleteSync',
  memory_get: 'memories.get memories.getSync memories.viewSync',
  memory_info: 'memories.info memories.infoSync',
  memory_find: 'memories.find memories.findIds',
  memory_iter_next: 'cursor.next cursor.nextSync',
  memory_iter_free: 'cursor.close',
  log_first_seq: 'log.firstSeq',
  log_read: 'log.read log.follow',
  log_next: 'reader.read reader.readSync',
  log_reader_free: 'reader.close'
}

/** C functions of which the addon needs none, since JavaScript or another function does their work, and why. */
const NOT_CALLED = {
  batch_count: 'counted in JavaScript',
  batch_set_kv: 'encoded in JavaScript for batch_load',
  batch_delete_kv: 'encoded',
  batch_append_stream: 'encoded',
  batch_trim_stream: 'encoded',
  batch_append_memory: 'encoded',
  batch_delete_memory: 'encoded',
  batch_append_block: 'encoded',
  batch_free_block: 'encoded',
  batch_append_stream_block: 'encoded',
  batch_append_memory_block: 'encoded',
  error_status: 'it is what the function returned',
  stream_iter_next: 'read by stream_iter_fill'
}

function golden () {
  return fs.readFileSync(GOLDEN, 'utf8').trim().split('\n').map(name => name.replace(/^sarsen_/, ''))
}

/** Names of C functions without an entry here, and entries without a C function. */
function differences (functions) {
  const known = Object.keys(COUNTERPARTS)
  return [...functions.filter(name => !known.includes(name)), ...known.filter(name => !functions.includes(name))]
}

test('each exported C function has a counterpart, and there is none for what is not exported', () => {
  assert.deepEqual(differences(golden()), [])
})

test('control: a C function without one is noticed', () => {
  assert.deepEqual(differences([...golden(), 'kv_count']), ['kv_count'])
  assert.deepEqual(differences(golden().slice(1)), ['abi_version'])
})

test('the addon calls each C function, apart from those that are accounted for', () => {
  const text = fs.readdirSync(NATIVE).map(name => fs.readFileSync(path.join(NATIVE, name), 'utf8')).join('\n')
    .replace(/\/\*[\s\S]*?\*\//g, '')
  const missing = golden().filter(name => !new RegExp(`\\bsarsen_${name}\\b`).test(text))
  assert.deepEqual(missing, Object.keys(NOT_CALLED).sort())
})

test('each counterpart is there, and a test uses it', t => {
  const store = open(t)
  store.kv.setSync('a', 'b')
  const objects = {
    store,
    Store: sarsen.Store,
    kv: store.kv,
    streams: store.streams,
    memories: store.memories,
    blocks: store.blocks,
    log: store.log,
    batch: store.batch(),
    snapshot: store.snapshotSync(),
    cursor: store.kv.scan(),
    reader: store.log.read(),
    view: store.kv.viewSync('a')
  }
  const types = fs.readFileSync(path.join(__dirname, '..', 'index.d.ts'), 'utf8')
  const tests = ['store.test.js', 'data.test.js'].map(name => fs.readFileSync(path.join(__dirname, name), 'utf8'))
    .join('\n')
  const inError = types.match(/class SarsenError[\s\S]*?\n}/)[0]
  const inOptions = types.match(/interface OpenOptions[\s\S]*?\n}/)[0]
  for (const counterpart of Object.values(COUNTERPARTS).flatMap(list => list.split(' '))) {
    const [object, member] = counterpart.split('.')
    if (counterpart.startsWith('?')) {
      assert.match(inOptions, new RegExp(`\\b${counterpart.slice(1)}\\?:`), counterpart)
      assert.match(tests, new RegExp(`\\b${counterpart.slice(1)}:`), counterpart)
    } else if (object === 'error') {
      assert.ok(member === 'message' || new RegExp(`readonly ${member}\\??:`).test(inError), counterpart)
    } else if (member === undefined) {
      assert.ok(sarsen[object] !== undefined, counterpart)
    } else {
      assert.ok(member in objects[object], counterpart)
      assert.match(tests, new RegExp(`\\.${member}\\b`), `no test uses ${counterpart}`)
    }
  }
  for (const object of ['snapshot', 'cursor', 'reader']) objects[object].close()
  objects.view.release()
})

test('what the library says about itself', () => {
  assert.match(sarsen.version, /^\d+\.\d+\.\d+$/)
  assert.equal(typeof sarsen.abiVersion, 'number')
  assert.equal(sarsen.statusName(1), 'SARSEN_NOT_FOUND')
  assert.equal(sarsen.statusName(999), 'unknown status')
})
