// How values travel to the addon and back: tags, keys of a range, addresses of blocks.
'use strict'

const { invalid, tooLarge } = require('./native.js')

const MOST_TAG_BYTES = 1024
const MOST_TAGS = 1024
const EMPTY = Buffer.alloc(0)
const ADDRESS_BYTES = 24

function bytesOf (value, what) {
  if (typeof value === 'string') return Buffer.from(value, 'utf8')
  if (value instanceof Uint8Array) return value
  throw invalid(`${what} is to be a Buffer, a Uint8Array or a string`)
}

/** u16 length and bytes of each tag; undefined for none. */
function packTags (tags) {
  if (tags === undefined || tags === null) return undefined
  if (typeof tags === 'string') throw invalid('tags are a list or a set of strings')
  const list = []
  for (const tag of tags) {
    if (typeof tag !== 'string') throw invalid('a tag is a string')
    const len = Buffer.byteLength(tag)
    if (len === 0) throw invalid('a tag has at least one byte')
    if (len > MOST_TAG_BYTES) throw tooLarge('a tag has at most 1,024 bytes')
    const packed = Buffer.allocUnsafe(2 + len)
    packed.writeUInt16LE(len, 0)
    packed.write(tag, 2)
    list.push(packed)
  }
  if (list.length > MOST_TAGS) throw tooLarge('a memory has at most 1,024 tags')
  return list.length === 0 ? undefined : Buffer.concat(list)
}

function unpackTags (packed) {
  const tags = []
  for (let at = 0; at < packed.length;) {
    const len = packed.readUInt16LE(at)
    tags.push(packed.utf8Slice(at + 2, at + 2 + len))
    at += 2 + len
  }
  return tags
}

/** Where a block lies. A plain value: copy it, store it. */
class Block {
  constructor (chunk, crc32c, offset, length) {
    this.chunk = chunk
    this.crc32c = crc32c
    this.offset = offset
    this.length = length
    Object.freeze(this)
  }

  /** The 24 bytes that stand for the address in a store of your own. */
  toBuffer () {
    return packBlock(this)
  }

  static fromBuffer (bytes) {
    if (!(bytes instanceof Uint8Array) || bytes.length !== ADDRESS_BYTES) {
      throw invalid('the address of a block is 24 bytes')
    }
    return unpackBlock(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0)
  }
}

function packBlock (block) {
  const whole = (number, most) => Number.isInteger(number) && number >= 0 && number <= most
  if (!block || !whole(block.chunk, 0xffffffff) || !whole(block.crc32c, 0xffffffff) ||
      !whole(block.offset, Number.MAX_SAFE_INTEGER) || !whole(block.length, Number.MAX_SAFE_INTEGER)) {
    throw invalid('this is no address of a block')
  }
  const packed = Buffer.allocUnsafe(ADDRESS_BYTES)
  packed.writeUInt32LE(block.chunk, 0)
  packed.writeUInt32LE(block.crc32c, 4)
  packed.writeBigUInt64LE(BigInt(block.offset), 8)
  packed.writeBigUInt64LE(BigInt(block.length), 16)
  return packed
}

function unpackBlock (packed, at) {
  return new Block(packed.readUInt32LE(at), packed.readUInt32LE(at + 4), readNumber(packed, at + 8),
    readNumber(packed, at + 16))
}

/** A u64 that is below 2^53 by what it counts. */
function readNumber (bytes, at) {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 0x100000000
}

function after (key) {
  const next = Buffer.allocUnsafe(key.length + 1)
  next.set(key, 0)
  next[key.length] = 0
  return next
}

/**
 * { gt, gte, lt, lte } as [start, end) of C, where a bound without bytes means none; undefined if nothing can be
 * in the range.
 */
function bounds (range) {
  let start = EMPTY
  let end = EMPTY
  if (range.gte !== undefined) start = bytesOf(range.gte, 'gte')
  if (range.gt !== undefined) {
    const from = after(bytesOf(range.gt, 'gt'))
    if (Buffer.compare(from, start) > 0) start = from
  }
  if (range.lte !== undefined) end = after(bytesOf(range.lte, 'lte'))
  if (range.lt !== undefined) {
    const before = bytesOf(range.lt, 'lt')
    if (before.length === 0) return undefined
    if (end.length === 0 || Buffer.compare(before, end) < 0) end = before
  }
  return [start, end]
}

module.exports = { EMPTY, bytesOf, packTags, unpackTags, Block, packBlock, unpackBlock, readNumber, bounds }
