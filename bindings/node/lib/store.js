// A store: opening, closing, durability, upkeep, figures. Each method comes as a promise, whose work is done on
// another thread, and as one that ends in Sync and blocks.
'use strict'

const { native, invalid, watch, unwatch, choice, SURVIVE, microseconds, SarsenError } = require('./native.js')
const { readNumber } = require('./pack.js')
const { Snapshot, snapshotOf } = require('./objects.js')
const { Cursor } = require('./cursor.js')
const { Batch } = require('./batch.js')
const { KeyValue } = require('./kv.js')
const { Streams } = require('./streams.js')
const { Memories } = require('./memories.js')
const { Blocks } = require('./blocks.js')
const { Log } = require('./log.js')

const CHECK = { firstTouch: 1, everyRead: 2 }
const LOG_WRITE = { auto: 0, mapped: 1, written: 2 }
const VERDICTS = ['clean', 'replayed', 'tornTail', 'damaged']
const FOREVER = Number.MAX_SAFE_INTEGER
const OPTIONS = ['create', 'readOnly', 'survive', 'chunkBytes', 'memoryBytes', 'logRetentionBytes', 'background',
  'salvage', 'check', 'logWrite', 'mappedBytes']

function findings (buffer, length) {
  const items = []
  for (let at = 0; at < length;) {
    const fileEnd = at + 16 + buffer.readUInt32LE(at + 8)
    const end = fileEnd + buffer.readUInt32LE(at + 12)
    items.push({
      file: buffer.utf8Slice(at + 16, fileEnd), offset: readNumber(buffer, at), what: buffer.utf8Slice(fileEnd, end)
    })
    at = end
  }
  return items
}

const FINDINGS = { fill: native.reportFill, fillAsync: native.reportFillAsync, decode: findings }

function openOptions (options) {
  if (options === undefined || options === null) return undefined
  for (const name of Object.keys(options)) {
    if (!OPTIONS.includes(name)) throw invalid(`there is no option ${name}; there are ${OPTIONS.join(', ')}`)
  }
  return {
    ...options,
    survive: choice(SURVIVE, options.survive, 'survive'),
    check: choice(CHECK, options.check, 'check'),
    logWrite: choice(LOG_WRITE, options.logWrite, 'logWrite')
  }
}

class Store {
  #handle
  #closing

  /** Use Store.open or Store.openSync. */
  constructor (handle) {
    this.#handle = handle
    this.kv = new KeyValue(this, handle)
    this.streams = new Streams(this, handle)
    this.memories = new Memories(this, handle)
    this.blocks = new Blocks(handle)
    this.log = new Log(this, handle)
    watch(this, handle, 'store')
  }

  /** Opens, or creates, the store in the directory `path`. */
  static async open (path, options) {
    return new Store(await native.storeOpenAsync(path, openOptions(options)))
  }

  static openSync (path, options) {
    return new Store(native.storeOpen(path, openOptions(options)))
  }

  /** Waits for calls under way, checkpoints, lets go. Every commit survives power loss then. Once more: nothing. */
  close () {
    if (this.#closing === undefined) {
      unwatch(this)
      this.#closing = native.storeCloseAsync(this.#handle)
    }
    return this.#closing
  }

  /** The same at once: a call on another thread that has not begun is refused. */
  closeSync () {
    if (this.#closing !== undefined) return
    unwatch(this)
    this.#closing = Promise.resolve()
    native.storeClose(this.#handle)
  }

  get closed () {
    return this.#closing !== undefined
  }

  [Symbol.dispose] () {
    this.closeSync()
  }

  [Symbol.asyncDispose] () {
    return this.close()
  }

  /** Newest commit; 0: none. */
  get lastSeq () {
    return native.storeLastSeq(this.#handle)
  }

  /** Newest commit that survives power loss, with every one before it. */
  get durableSeq () {
    return native.storeDurableSeq(this.#handle)
  }

  batch (options) {
    return new Batch(this, this.#handle, options?.bytes)
  }

  async snapshot () {
    return new Snapshot(this, await native.snapshotNewAsync(this.#handle))
  }

  snapshotSync () {
    return new Snapshot(this, native.snapshotNew(this.#handle))
  }

  /** Makes every commit so far survive power loss. */
  sync () {
    return native.storeSyncAsync(this.#handle)
  }

  syncSync () {
    native.storeSync(this.#handle)
  }

  /** True once commit `seq` survives power loss, syncing for it; false if `timeoutMs` ran out first. */
  async waitDurable (seq, options) {
    const timeout = options?.timeoutMs === undefined ? FOREVER : microseconds(options.timeoutMs, 'timeoutMs')
    return native.storeWaitDurableAsync(this.#handle, seq, timeout)
  }

  waitDurableSync (seq, options) {
    const timeout = options?.timeoutMs === undefined ? FOREVER : microseconds(options.timeoutMs, 'timeoutMs')
    return native.storeWaitDurable(this.#handle, seq, timeout)
  }

  /** Calls `callback(error, seq)` once, when commit `seq` survives power loss or never will. */
  notifyDurable (seq, callback) {
    if (typeof callback !== 'function') throw invalid('a function is expected')
    native.storeNotifyDurable(this.#handle, seq, (reached, status) => {
      if (status === 0) return callback(null, reached)
      const code = native.statusName(status)
      const error = new SarsenError(code, `commit ${reached} was not made durable: ${code}`)
      error.status = status
      callback(error, reached)
    })
  }

  checkpoint () {
    return native.storeCheckpointAsync(this.#handle)
  }

  checkpointSync () {
    native.storeCheckpoint(this.#handle)
  }

  /** Gives back the space of everything dead; takes time in proportion to the store. */
  compact () {
    return native.storeCompactAsync(this.#handle)
  }

  compactSync () {
    native.storeCompact(this.#handle)
  }

  /** Upkeep by the host, for about `budgetMs`. Whether work is left. */
  async maintain (budgetMs) {
    return native.storeMaintainAsync(this.#handle, microseconds(budgetMs, 'budgetMs'))
  }

  maintainSync (budgetMs) {
    return native.storeMaintain(this.#handle, microseconds(budgetMs, 'budgetMs'))
  }

  /** Writes a store of its own to `path`: what the snapshot sees, or the newest commit. */
  async backup (path, options) {
    return native.storeBackupAsync(this.#handle, snapshotOf(options), path)
  }

  backupSync (path, options) {
    native.storeBackup(this.#handle, snapshotOf(options), path)
  }

  /** Lets a read-only store see what was committed since. The newest commit it sees. */
  refresh () {
    return native.storeRefreshAsync(this.#handle)
  }

  refreshSync () {
    return native.storeRefresh(this.#handle)
  }

  /** Takes over a directory in the ancestral layout. The number of its commands. */
  import (path) {
    return native.storeImportAsync(this.#handle, path)
  }

  importSync (path) {
    return native.storeImport(this.#handle, path)
  }

  /** What opening found. */
  get recovery () {
    const found = native.storeRecovery(this.#handle)
    found.verdict = VERDICTS[found.verdict]
    return found
  }

  stats () {
    return native.storeStatsAsync(this.#handle)
  }

  statsSync () {
    return native.storeStats(this.#handle)
  }

  /** Reads and checks every byte. [{ file, offset, what }]: empty where all is well. */
  async verify () {
    return new Cursor(this, await native.storeVerifyAsync(this.#handle), FINDINGS).all()
  }

  verifySync () {
    return new Cursor(this, native.storeVerify(this.#handle), FINDINGS).allSync()
  }
}

module.exports = { Store }
