// Memories: a u64 id, bytes and tags. Ids are bigints where they come out, since they use all 64 bits.
'use strict'

const { native, copied } = require('./native.js')
const { packTags, unpackTags, unpackBlock } = require('./pack.js')
const { snapshotOf, viewed } = require('./objects.js')
const { Cursor, limitOf } = require('./cursor.js')

function memories (buffer, length) {
  const items = []
  for (let at = 0; at < length;) {
    const end = at + 12 + buffer.readUInt32LE(at + 8)
    items.push([buffer.readBigUInt64LE(at), buffer.subarray(at + 12, end)])
    at = end
  }
  return items
}

function ids (buffer, length) {
  const items = []
  for (let at = 0; at < length; at += 12) items.push(buffer.readBigUInt64LE(at))
  return items
}

const MEMORIES = { fill: native.memoryIterFill, fillAsync: native.memoryIterFillAsync, decode: memories }
const IDS = { fill: native.memoryIterFillIds, fillAsync: native.memoryIterFillIdsAsync, decode: ids }

function unpackInfo (packed) {
  return packed && { block: unpackBlock(packed, 0), tags: unpackTags(packed.subarray(24)) }
}

class Memories {
  #store
  #handle

  constructor (store, handle) {
    this.#store = store
    this.#handle = handle
  }

  /** Writes memory `id`, bytes and tags; one that is there is replaced. */
  async append (id, data, tags) {
    return native.memoryAppendAsync(this.#handle, id, packTags(tags), data)
  }

  appendSync (id, data, tags) {
    native.memoryAppend(this.#handle, id, packTags(tags), data)
  }

  delete (id) {
    return native.memoryDeleteAsync(this.#handle, id)
  }

  deleteSync (id) {
    native.memoryDelete(this.#handle, id)
  }

  async get (id, options) {
    return native.memoryGetAsync(this.#handle, snapshotOf(options), id)
  }

  getSync (id, options) {
    return copied(native.memoryGet(this.#handle, snapshotOf(options), id))
  }

  viewSync (id, options) {
    return viewed(native.memoryView(this.#handle, snapshotOf(options), id))
  }

  /** { block, tags }, where its bytes lie and what it is found by. */
  async info (id, options) {
    return unpackInfo(await native.memoryInfoAsync(this.#handle, snapshotOf(options), id))
  }

  infoSync (id, options) {
    return unpackInfo(native.memoryInfo(this.#handle, snapshotOf(options), id))
  }

  #find (options, kind) {
    const limit = limitOf(options)
    const handle = native.memoryFind(this.#handle, snapshotOf(options), packTags(options.all), packTags(options.any),
      packTags(options.none), options.from ?? 0)
    return new Cursor(this.#store, handle, kind, limit)
  }

  /** [id, data] of each memory with all tags of `all`, one of `any` and none of `none`, by ascending id. */
  find (options = {}) {
    return this.#find(options, MEMORIES)
  }

  /** The same, without touching their bytes. */
  findIds (options = {}) {
    return this.#find(options, IDS)
  }
}

module.exports = { Memories }
