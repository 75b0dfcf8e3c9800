// An abstract-level database over the key-value part of a store. Keys and values are bytes; every encoding is
// abstract-level's. Each iterator holds a snapshot, so that seek() sees what the rest of it sees.
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { AbstractLevel, AbstractIterator, AbstractSnapshot } = require('abstract-level')
const { Store } = require('./index.js')

const CLEAR_AT_ONCE = 1000

function openError (message, code) {
  return Object.assign(new Error(message), { code })
}

class LevelSnapshot extends AbstractSnapshot {
  constructor (snapshot, options) {
    super(options)
    this.snapshot = snapshot
  }

  async _close () {
    this.snapshot.close()
  }
}

/** Of two bounds on one side the one that includes its key counts, by abstract-level's contract. */
function rangeOf ({ gt, gte, lt, lte }) {
  return { gt: gte === undefined ? gt : undefined, gte, lt: lte === undefined ? lt : undefined, lte }
}

/** Whether a key is inside of what the iterator was asked for; a seek beyond ends it. */
function inside (key, range) {
  return !((range.gt !== undefined && Buffer.compare(key, range.gt) <= 0) ||
    (range.gte !== undefined && Buffer.compare(key, range.gte) < 0) ||
    (range.lt !== undefined && Buffer.compare(key, range.lt) >= 0) ||
    (range.lte !== undefined && Buffer.compare(key, range.lte) > 0))
}

class LevelIterator extends AbstractIterator {
  #store
  #options
  #range
  #own // a snapshot of its own
  #snapshot
  #cursor
  #next // the range of a walk that has not begun
  #ready = []
  #at = 0

  constructor (db, store, options) {
    super(db, options)
    this.#store = store
    this.#options = options
    this.#own = options.snapshot ? undefined : store.snapshotSync()
    this.#snapshot = options.snapshot ? options.snapshot.snapshot : this.#own
    this.#range = rangeOf(options)
    this.#start(this.#range)
  }

  /** The walk begins with the first entry that is asked for: a closed snapshot is abstract-level's to name. */
  #start (range) {
    this.#cursor?.close()
    this.#cursor = undefined
    this.#next = range
    this.#ready = []
    this.#at = 0
  }

  #walk () {
    if (this.#cursor === undefined && this.#next !== undefined) {
      const scan = { ...this.#next, reverse: this.#options.reverse, snapshot: this.#snapshot }
      this.#cursor = this.#options.values ? this.#store.kv.scan(scan) : this.#store.kv.keys(scan)
    }
    return this.#cursor
  }

  #entry (item) {
    if (!this.#options.values) return [item, undefined]
    return this.#options.keys ? item : [undefined, item[1]]
  }

  async #more () {
    if (this.#at < this.#ready.length) return true
    this.#ready = (await this.#walk()?.read()) ?? []
    this.#at = 0
    return this.#ready.length > 0
  }

  async _next () {
    if (this.#at < this.#ready.length || await this.#more()) return this.#entry(this.#ready[this.#at++])
  }

  async _nextv (size) {
    const entries = []
    while (entries.length < size && await this.#more()) {
      const end = Math.min(this.#ready.length, this.#at + size - entries.length)
      while (this.#at < end) entries.push(this.#entry(this.#ready[this.#at++]))
    }
    return entries
  }

  /** Entries from the target on, inside of the range. */
  _seek (target) {
    const range = { ...this.#range }
    if (!inside(target, range)) {
      // A target outside of the range, on either side of it, has nothing behind it.
      this.#start(undefined)
      return
    }
    if (this.#options.reverse) {
      range.lte = target
      range.lt = undefined
    } else {
      range.gte = target
      range.gt = undefined
    }
    this.#start(range)
  }

  async _close () {
    this.#start(undefined)
    this.#own?.close()
  }
}

/** `sync: true` on a write makes it survive power loss; without, it survives the death of the process. */
class SarsenLevel extends AbstractLevel {
  #location
  #store

  constructor (location, options) {
    if (typeof location !== 'string' || location === '') throw new TypeError("'location' is to be a path")
    super({
      encodings: { buffer: true },
      implicitSnapshots: true,
      explicitSnapshots: true,
      permanence: true,
      seek: true,
      has: true,
      getSync: true,
      createIfMissing: true,
      errorIfExists: true
    }, options)
    this.#location = location
  }

  get location () {
    return this.#location
  }

  /** The store below, for what abstract-level knows nothing of. */
  get store () {
    return this.#store
  }

  static async destroy (location) {
    await fs.promises.rm(location, { recursive: true, force: true })
  }

  async _open (options) {
    const exists = fs.existsSync(path.join(this.#location, 'MANIFEST'))
    if (exists && options.errorIfExists) throw openError(`${this.#location} exists`, 'LEVEL_DATABASE_EXISTS')
    if (!exists && !options.createIfMissing) {
      throw openError(`${this.#location} does not exist (createIfMissing is false)`, 'LEVEL_DATABASE_MISSING')
    }
    this.#store = await Store.open(this.#location, {
      survive: 'process',
      ...options.store,
      create: options.createIfMissing
    })
  }

  async _close () {
    await this.#store?.close()
    this.#store = undefined
  }

  #at (options) {
    return options.snapshot ? { snapshot: options.snapshot.snapshot } : undefined
  }

  async _get (key, options) {
    return this.#store.kv.get(key, this.#at(options))
  }

  _getSync (key, options) {
    return this.#store.kv.getSync(key, this.#at(options))
  }

  async _getMany (keys, options) {
    return this.#store.kv.getMany(keys, this.#at(options))
  }

  async _has (key, options) {
    return this.#store.kv.readSync(key, NOTHING, this.#at(options)) !== undefined
  }

  async _hasMany (keys, options) {
    const at = this.#at(options)
    return keys.map(key => this.#store.kv.readSync(key, NOTHING, at) !== undefined)
  }

  #level (options) {
    return { survive: options.sync ? 'power' : undefined }
  }

  async _put (key, value, options) {
    if (!options.sync) return this.#store.kv.set(key, value)
    await this.#store.batch().setKv(key, value).commit(this.#level(options))
  }

  async _del (key, options) {
    if (!options.sync) return this.#store.kv.delete(key)
    await this.#store.batch().deleteKv(key).commit(this.#level(options))
  }

  async _batch (operations, options) {
    const batch = this.#store.batch()
    for (const operation of operations) {
      if (operation.type === 'put') batch.setKv(operation.key, operation.value)
      else batch.deleteKv(operation.key)
    }
    await batch.commit(this.#level(options))
  }

  /** Deletes in a few commits where the range is long, as much of it as was there when it began. */
  async _clear (options) {
    const { reverse, limit } = options
    const own = options.snapshot ? undefined : this.#store.snapshotSync()
    const snapshot = options.snapshot ? options.snapshot.snapshot : own
    const cursor = this.#store.kv.keys({ ...rangeOf(options), reverse, limit, snapshot })
    try {
      const batch = this.#store.batch()
      for await (const key of cursor) {
        batch.deleteKv(key)
        if (batch.count === CLEAR_AT_ONCE) await batch.commit()
      }
      await batch.commit(this.#level(options))
    } finally {
      own?.close()
    }
  }

  _iterator (options) {
    return new LevelIterator(this, this.#store, options)
  }

  _snapshot (options) {
    return new LevelSnapshot(this.#store.snapshotSync(), options)
  }
}

const NOTHING = Buffer.alloc(0)

module.exports = { SarsenLevel }
