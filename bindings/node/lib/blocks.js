// Blocks: bytes with an address that never changes.
'use strict'

const { native } = require('./native.js')
const { packBlock, unpackBlock } = require('./pack.js')
const { viewed } = require('./objects.js')

function range (block, options) {
  const from = options?.from ?? 0
  return [from, options?.length ?? Math.max(block.length - from, 0)]
}

class Blocks {
  #handle

  constructor (handle) {
    this.#handle = handle
  }

  /** The address of the new block, which holds itself until it is freed or named by a record. */
  async append (data) {
    return unpackBlock(await native.blockAppendAsync(this.#handle, data), 0)
  }

  appendSync (data) {
    return unpackBlock(native.blockAppend(this.#handle, data), 0)
  }

  async free (block) {
    return native.blockFreeAsync(this.#handle, packBlock(block))
  }

  freeSync (block) {
    native.blockFree(this.#handle, packBlock(block))
  }

  /** The bytes of a block, or { from, length } of them. */
  async read (block, options) {
    const packed = packBlock(block)
    return native.blockReadAsync(this.#handle, packed, ...range(block, options))
  }

  readSync (block, options) {
    const packed = packBlock(block)
    return native.blockRead(this.#handle, packed, ...range(block, options))
  }

  viewSync (block, options) {
    const packed = packBlock(block)
    return viewed(native.blockView(this.#handle, packed, ...range(block, options)))
  }
}

module.exports = { Blocks }
