// Streams: per name, records numbered from 0.
'use strict'

const { native, copied } = require('./native.js')
const { readNumber } = require('./pack.js')
const { snapshotOf, viewed } = require('./objects.js')
const { Cursor, limitOf } = require('./cursor.js')

const DROP = 0xffffffffffffffffn

function records (buffer, length) {
  const items = []
  for (let at = 0; at < length;) {
    const end = at + 12 + buffer.readUInt32LE(at + 8)
    items.push([readNumber(buffer, at), buffer.subarray(at + 12, end)])
    at = end
  }
  return items
}

function names (buffer, length) {
  const items = []
  for (let at = 0; at < length;) {
    const end = at + 20 + buffer.readUInt32LE(at + 16)
    items.push({ name: buffer.subarray(at + 20, end), first: readNumber(buffer, at), next: readNumber(buffer, at + 8) })
    at = end
  }
  return items
}

const RECORDS = { fill: native.streamIterFill, fillAsync: native.streamIterFillAsync, decode: records }
const NAMES = { fill: native.streamNamesFill, fillAsync: native.streamNamesFillAsync, decode: names }

class Streams {
  #store
  #handle

  constructor (store, handle) {
    this.#store = store
    this.#handle = handle
  }

  /** The index of the new record. */
  append (name, data) {
    return native.streamAppendAsync(this.#handle, name, data)
  }

  appendSync (name, data) {
    return native.streamAppend(this.#handle, name, data)
  }

  async bounds (name, options) {
    return native.streamBoundsAsync(this.#handle, snapshotOf(options), name)
  }

  boundsSync (name, options) {
    return native.streamBounds(this.#handle, snapshotOf(options), name)
  }

  async get (name, index, options) {
    return native.streamGetAsync(this.#handle, snapshotOf(options), name, index)
  }

  getSync (name, index, options) {
    return copied(native.streamGet(this.#handle, snapshotOf(options), name, index))
  }

  viewSync (name, index, options) {
    return viewed(native.streamView(this.#handle, snapshotOf(options), name, index))
  }

  /** Drops the records below `before`. */
  trim (name, before) {
    return native.streamTrimAsync(this.#handle, name, before)
  }

  trimSync (name, before) {
    native.streamTrim(this.#handle, name, before)
  }

  /** Drops the stream: a later append starts at 0 again. */
  drop (name) {
    return native.streamTrimAsync(this.#handle, name, DROP)
  }

  dropSync (name) {
    native.streamTrim(this.#handle, name, DROP)
  }

  /** [index, record] from `from` on. */
  read (name, options = {}) {
    const limit = limitOf(options)
    const handle = native.streamRead(this.#handle, snapshotOf(options), name, options.from ?? 0)
    return new Cursor(this.#store, handle, RECORDS, limit)
  }

  /** { name, first, next } of each stream whose name starts with `prefix`. */
  list (options = {}) {
    const limit = limitOf(options)
    const handle = native.streamList(this.#handle, snapshotOf(options), options.prefix ?? '')
    return new Cursor(this.#store, handle, NAMES, limit)
  }
}

module.exports = { Streams, DROP }
