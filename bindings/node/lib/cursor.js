// A walk over many items, which crosses to C once for each buffer full of them. It serves for..of and for await, and
// gives whole buffers to those who ask.
'use strict'

const { native, invalid, watch, unwatch } = require('./native.js')

const FIRST_BYTES = 4096
const MOST_BYTES = 262144

/**
 * `fill(handle, buffer)` and `fillAsync` are the addon's: a length, 0 for the end, or minus the length needed.
 * `decode(buffer, length)` makes items that point into the buffer, which is never used again.
 */
class Cursor {
  #handle
  #owner // lives as long as this does
  #kind
  #bytes = FIRST_BYTES
  #left
  #ready = [] // items of a buffer that an iterator has begun
  #at = 0

  constructor (owner, handle, kind, limit) {
    this.#owner = owner
    this.#handle = handle
    this.#kind = kind
    this.#left = limit === undefined || limit < 0 ? Infinity : limit
    if (handle !== undefined) watch(this, handle, 'cursor')
  }

  get store () {
    return this.#owner
  }

  /** Whether it gave everything, or was closed. */
  get done () {
    return this.#handle === undefined && this.#at === this.#ready.length
  }

  #buffer () {
    return Buffer.allocUnsafeSlow(this.#bytes)
  }

  #take (buffer, length) {
    if (length === 0) {
      this.close()
      return []
    }
    if (this.#bytes < MOST_BYTES) this.#bytes *= 4
    let items = this.#kind.decode(buffer, length)
    if (items.length >= this.#left) {
      items = items.slice(0, this.#left)
      this.close()
    }
    this.#left -= items.length
    return items
  }

  #rest () {
    const items = this.#at === 0 ? this.#ready : this.#ready.slice(this.#at)
    this.#ready = []
    this.#at = 0
    return items
  }

  /** The next items, as many as a buffer holds; [] at the end. Damage is thrown; the next call goes on behind it. */
  readSync () {
    if (this.#at < this.#ready.length) return this.#rest()
    if (this.#left === 0) this.close()
    while (this.#handle !== undefined) {
      const buffer = this.#buffer()
      const length = this.#kind.fill(this.#handle, buffer)
      if (length >= 0) return this.#take(buffer, length)
      this.#bytes = -length
    }
    return []
  }

  async read () {
    if (this.#at < this.#ready.length) return this.#rest()
    if (this.#left === 0) this.close()
    while (this.#handle !== undefined) {
      const buffer = this.#buffer()
      const length = await this.#kind.fillAsync(this.#handle, buffer)
      if (this.#handle === undefined) return [] // closed meanwhile
      if (length >= 0) return this.#take(buffer, length)
      this.#bytes = -length
    }
    return []
  }

  /** Everything that is left. */
  allSync () {
    const all = []
    for (let items = this.readSync(); items.length > 0; items = this.readSync()) all.push(...items)
    return all
  }

  async all () {
    const all = []
    for (let items = await this.read(); items.length > 0; items = await this.read()) all.push(...items)
    return all
  }

  nextSync () {
    if (this.#at === this.#ready.length) {
      this.#ready = this.readSync()
      this.#at = 0
    }
    return this.#at < this.#ready.length ? this.#ready[this.#at++] : undefined
  }

  async next () {
    if (this.#at === this.#ready.length) {
      const items = await this.read()
      this.#ready = items
      this.#at = 0
    }
    return this.#at < this.#ready.length ? this.#ready[this.#at++] : undefined
  }

  close () {
    if (this.#handle === undefined) return
    unwatch(this)
    native.free(this.#handle)
    this.#handle = undefined
  }

  * [Symbol.iterator] () {
    try {
      for (;;) {
        const item = this.nextSync()
        if (item === undefined) return
        yield item
      }
    } finally {
      this.close()
    }
  }

  async * [Symbol.asyncIterator] () {
    try {
      for (;;) {
        // A promise only where a buffer is to be filled.
        const item = this.#at < this.#ready.length ? this.#ready[this.#at++] : await this.next()
        if (item === undefined) return
        yield item
      }
    } finally {
      this.close()
    }
  }

  [Symbol.dispose] () {
    this.close()
  }
}

function limitOf (options) {
  const limit = options === undefined ? undefined : options.limit
  if (limit !== undefined && limit !== Infinity && !Number.isInteger(limit)) throw invalid('limit is a whole number')
  return limit
}

module.exports = { Cursor, limitOf }
