// Key-value: ordered byte keys.
'use strict'

const { native, invalid, copied } = require('./native.js')
const { EMPTY, bytesOf, bounds } = require('./pack.js')
const { snapshotOf, viewed } = require('./objects.js')
const { Cursor, limitOf } = require('./cursor.js')

function entries (buffer, length) {
  const items = []
  for (let at = 0; at < length;) {
    const keyEnd = at + 8 + buffer.readUInt32LE(at)
    const end = keyEnd + buffer.readUInt32LE(at + 4)
    items.push([buffer.subarray(at + 8, keyEnd), buffer.subarray(keyEnd, end)])
    at = end
  }
  return items
}

function keys (buffer, length) {
  const items = []
  for (let at = 0; at < length;) {
    const end = at + 8 + buffer.readUInt32LE(at)
    items.push(buffer.subarray(at + 8, end))
    at = end
  }
  return items
}

function values (buffer, length) {
  return entries(buffer, length).map(entry => entry[1])
}

const ENTRIES = { fill: native.kvIterFill, fillAsync: native.kvIterFillAsync, decode: entries }
const VALUES = { fill: native.kvIterFill, fillAsync: native.kvIterFillAsync, decode: values }
const KEYS = { fill: native.kvIterFillKeys, fillAsync: native.kvIterFillKeysAsync, decode: keys }

function packKeys (list) {
  const parts = []
  for (const key of list) {
    const bytes = bytesOf(key, 'a key')
    const len = Buffer.allocUnsafe(4)
    len.writeUInt32LE(bytes.length, 0)
    parts.push(len, bytes)
  }
  return Buffer.concat(parts)
}

function unpackValues (packed, count) {
  const list = new Array(count)
  let at = 0
  for (let place = 0; place < count; place++) {
    const high = packed.readUInt32LE(at + 4)
    const end = high === 0xffffffff ? at + 8 : at + 8 + packed.readUInt32LE(at)
    list[place] = high === 0xffffffff ? undefined : packed.subarray(at + 8, end)
    at = end
  }
  return list
}

class KeyValue {
  #store
  #handle

  constructor (store, handle) {
    this.#store = store
    this.#handle = handle
  }

  set (key, value) {
    return native.kvSetAsync(this.#handle, key, value)
  }

  setSync (key, value) {
    native.kvSet(this.#handle, key, value)
  }

  delete (key) {
    return native.kvDeleteAsync(this.#handle, key)
  }

  deleteSync (key) {
    native.kvDelete(this.#handle, key)
  }

  async get (key, options) {
    return native.kvGetAsync(this.#handle, snapshotOf(options), key)
  }

  getSync (key, options) {
    return copied(native.kvGet(this.#handle, snapshotOf(options), key))
  }

  /** The value in place; to be released. */
  viewSync (key, options) {
    return viewed(native.kvView(this.#handle, snapshotOf(options), key))
  }

  /** Copies as much of the value as fits into `target`; the value's whole length. */
  readSync (key, target, options) {
    return native.kvRead(this.#handle, snapshotOf(options), key, target)
  }

  async getMany (list, options) {
    const packed = packKeys(list)
    const values = await native.kvGetManyAsync(this.#handle, snapshotOf(options), packed, list.length)
    return unpackValues(values, list.length)
  }

  getManySync (list, options) {
    return unpackValues(native.kvGetMany(this.#handle, snapshotOf(options), packKeys(list), list.length), list.length)
  }

  #scan (options, kind) {
    const limit = limitOf(options)
    const snapshot = snapshotOf(options)
    const reverse = options.reverse === true
    if (options.prefix !== undefined) {
      for (const bound of ['gt', 'gte', 'lt', 'lte']) {
        if (options[bound] !== undefined) throw invalid('a scan has a prefix or bounds')
      }
      const handle = native.kvPrefix(this.#handle, snapshot, bytesOf(options.prefix, 'prefix'), reverse)
      return new Cursor(this.#store, handle, kind, limit)
    }
    const range = bounds(options)
    // The store is asked in any case: a closed one says so.
    const handle = native.kvScan(this.#handle, snapshot, range ? range[0] : EMPTY, range ? range[1] : EMPTY, reverse)
    return new Cursor(this.#store, handle, kind, range ? limit : 0)
  }

  /** [key, value] of each pair in a range, as of now or of a snapshot. */
  scan (options = {}) {
    return this.#scan(options, ENTRIES)
  }

  keys (options = {}) {
    return this.#scan(options, KEYS)
  }

  values (options = {}) {
    return this.#scan(options, VALUES)
  }
}

module.exports = { KeyValue }
