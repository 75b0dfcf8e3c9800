// The commands of one atomic commit, written into one Buffer in the layout of sarsen_batch_load (docs/FORMAT.md,
// 'Batches'). Nothing crosses to C until the commit, which is one call.
'use strict'

const { native, invalid, tooLarge, watch, choice, SURVIVE } = require('./native.js')
const { packTags, packBlock, unpackBlock, readNumber } = require('./pack.js')
const { DROP } = require('./streams.js')

const HEAD_BYTES = 24
const MOST_KEY_BYTES = 65535
const MOST_DATA_BYTES = 0xffffffff
const IS_ADDRESS = 1
const APPEND_BLOCK = 1
const FREE_BLOCK = 2
const APPEND_MEMORY = 3
const DELETE_MEMORY = 4
const SET_KV = 5
const DELETE_KV = 6
const APPEND_STREAM = 7
const TRIM_STREAM = 8

/** Most bytes that a value may take. */
function room (value) {
  if (typeof value === 'string') return value.length * 3
  if (value instanceof Uint8Array) return value.length
  throw invalid('bytes are to be a Buffer, a Uint8Array or a string')
}

class Batch {
  #store
  #storeHandle
  #handle
  #buffer
  #length = 0
  #count = 0
  #committing = false
  #committed = -1 // commands of the last commit, while their results can be asked for

  constructor (store, storeHandle, bytes = 4096) {
    this.#store = store
    this.#storeHandle = storeHandle
    this.#handle = native.batchNew()
    this.#buffer = Buffer.allocUnsafeSlow(bytes)
    watch(this, this.#handle, 'batch')
  }

  get store () {
    return this.#store
  }

  /** How many commands are in the batch; 0 after a commit. */
  get count () {
    return this.#count
  }

  /** How many bytes they take. */
  get byteLength () {
    return this.#length
  }

  #reserve (bytes) {
    if (this.#committing) throw invalid('the batch is being committed: await that first')
    const need = this.#length + bytes
    if (need <= this.#buffer.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(need, this.#buffer.length * 2))
    this.#buffer.copy(grown, 0, 0, this.#length)
    this.#buffer = grown
  }

  #put (value, at) {
    if (typeof value === 'string') return this.#buffer.utf8Write(value, at)
    this.#buffer.set(value, at)
    return value.length
  }

  /** Nothing is in the batch before the last byte of a command is: one that is refused leaves no trace. */
  #add (kind, flags, key, id, tags, data) {
    const tagBytes = tags === undefined ? 0 : tags.length
    this.#reserve(HEAD_BYTES + room(key) + tagBytes + room(data))
    const buffer = this.#buffer
    const start = this.#length
    let at = start + HEAD_BYTES
    const keyLength = this.#put(key, at)
    if (keyLength > MOST_KEY_BYTES) throw tooLarge('keys and names have at most 65,535 bytes')
    at += keyLength
    let tagCount = 0
    if (tagBytes > 0) {
      for (let tag = 0; tag < tagBytes; tag += 2 + tags.readUInt16LE(tag)) tagCount++
      buffer.set(tags, at)
      at += tagBytes
    }
    const dataLength = this.#put(data, at)
    if (dataLength > MOST_DATA_BYTES) throw tooLarge('values, records and blocks are shorter than 4 GiB')
    at += dataLength
    buffer[start] = kind
    buffer[start + 1] = flags
    buffer[start + 2] = tagCount & 0xff
    buffer[start + 3] = tagCount >> 8
    buffer.writeUInt32LE(keyLength, start + 4)
    if (id === 0) {
      buffer.fill(0, start + 8, start + 16)
    } else {
      writeId(buffer, id, start + 8)
    }
    buffer.writeUInt32LE(dataLength, start + 16)
    buffer.writeUInt32LE(0, start + 20)
    this.#length = at
    this.#count++
    this.#committed = -1
    return this
  }

  setKv (key, value) {
    return this.#add(SET_KV, 0, key, 0, undefined, value)
  }

  deleteKv (key) {
    return this.#add(DELETE_KV, 0, key, 0, undefined, '')
  }

  appendStream (name, data) {
    return this.#add(APPEND_STREAM, 0, name, 0, undefined, data)
  }

  /** A record whose bytes are those of a loose block. */
  appendStreamBlock (name, block) {
    return this.#add(APPEND_STREAM, IS_ADDRESS, name, 0, undefined, packBlock(block))
  }

  /** Drops the records below `before`. */
  trimStream (name, before) {
    return this.#add(TRIM_STREAM, 0, name, before, undefined, '')
  }

  dropStream (name) {
    return this.#add(TRIM_STREAM, 0, name, DROP, undefined, '')
  }

  appendMemory (id, data, tags) {
    return this.#add(APPEND_MEMORY, 0, '', id, packTags(tags), data)
  }

  /** Memory `id` with the bytes of a loose block. */
  appendMemoryBlock (id, block, tags) {
    return this.#add(APPEND_MEMORY, IS_ADDRESS, '', id, packTags(tags), packBlock(block))
  }

  deleteMemory (id) {
    return this.#add(DELETE_MEMORY, 0, '', id, undefined, '')
  }

  /** A loose block; its address is in result(). */
  appendBlock (data) {
    return this.#add(APPEND_BLOCK, 0, '', 0, undefined, data)
  }

  freeBlock (block) {
    return this.#add(FREE_BLOCK, 0, '', 0, undefined, packBlock(block))
  }

  /** Adds commands that are encoded already. What is inside them is checked when they are committed. */
  load (encoded) {
    if (!(encoded instanceof Uint8Array)) throw invalid('encoded commands are a Buffer or a Uint8Array')
    const bytes = Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength)
    let count = 0
    let at = 0
    for (; at < bytes.length; count++) {
      if (bytes.length - at < HEAD_BYTES) throw invalid('the encoded commands end inside one')
      let tags = bytes.readUInt16LE(at + 2)
      const data = readNumber(bytes, at + 16)
      at += HEAD_BYTES + bytes.readUInt32LE(at + 4)
      for (; tags > 0 && at + 2 <= bytes.length; tags--) at += 2 + bytes.readUInt16LE(at)
      at += data
    }
    if (at > bytes.length) throw invalid('the encoded commands end inside one')
    this.#reserve(bytes.length)
    this.#buffer.set(bytes, this.#length)
    this.#length += bytes.length
    this.#count += count
    this.#committed = -1
    return this
  }

  /** The commands as they are encoded, for load() of another batch. */
  encoded () {
    return Buffer.from(this.#buffer.subarray(0, this.#length))
  }

  clear () {
    if (this.#committing) throw invalid('the batch is being committed: await that first')
    this.#length = 0
    this.#count = 0
    this.#committed = -1
    return this
  }

  #level (options) {
    return choice(SURVIVE, options?.survive, 'survive') ?? 0
  }

  #commit (seq) {
    this.#committed = this.#count
    this.#length = 0
    this.#count = 0
    return seq
  }

  /** All of it or nothing. The commit's seq; the batch is empty then. If it failed, the batch is as it was. */
  async commit (options) {
    const level = this.#level(options)
    if (this.#committing) throw invalid('the batch is being committed: await that first')
    this.#committing = true
    this.#committed = -1
    try {
      return this.#commit(
        await native.batchCommitAsync(this.#handle, this.#storeHandle, this.#buffer, this.#length, level))
    } finally {
      this.#committing = false
    }
  }

  commitSync (options) {
    const level = this.#level(options)
    if (this.#committing) throw invalid('the batch is being committed: await that first')
    this.#committed = -1
    return this.#commit(native.batchCommit(this.#handle, this.#storeHandle, this.#buffer, this.#length, level))
  }

  /** What command number `command` of the last commit was given: { index } of a stream's record, { block }. */
  result (command) {
    if (this.#committed < 0) throw invalid('results are there after a commit, until the batch is changed')
    const packed = native.batchResult(this.#handle, command)
    const index = packed.readBigUInt64LE(0)
    const block = unpackBlock(packed, 8)
    return {
      index: index === DROP ? undefined : Number(index),
      block: block.chunk === 0 && block.crc32c === 0 && block.offset === 0 && block.length === 0 ? undefined : block
    }
  }
}

function writeId (buffer, id, at) {
  if (typeof id === 'bigint') {
    if (id < 0n || id > DROP) throw invalid('an id is from 0 to 2^64 - 1')
    buffer.writeBigUInt64LE(id, at)
  } else if (Number.isSafeInteger(id) && id >= 0) {
    buffer.writeUInt32LE(id % 0x100000000, at)
    buffer.writeUInt32LE(Math.floor(id / 0x100000000), at + 4)
  } else {
    throw invalid('an id is a whole number, or a bigint from 2^53 on')
  }
}

module.exports = { Batch }
