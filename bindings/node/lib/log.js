// The log: every command in commit order, and its tail as it grows.
'use strict'

const { native, invalid, watch, unwatch, microseconds } = require('./native.js')
const { unpackTags, unpackBlock, readNumber } = require('./pack.js')
const { DROP } = require('./streams.js')

const HEAD_BYTES = 72
const FIRST_BYTES = 16384
const MOST_BYTES = 262144
const A_WHILE_MS = 3600000
const KINDS = [undefined, 'appendBlock', 'freeBlock', 'appendMemory', 'deleteMemory', 'setKv', 'deleteKv',
  'appendStream', 'trimStream']

function blockOf (buffer, at) {
  const block = unpackBlock(buffer, at)
  return block.chunk === 0 && block.crc32c === 0 && block.offset === 0 && block.length === 0 ? undefined : block
}

function command (buffer, at, key, tags, value) {
  const kind = KINDS[buffer.readUInt32LE(at + 24)]
  const made = {
    seq: readNumber(buffer, at),
    epoch: readNumber(buffer, at + 8),
    last: buffer.readUInt32LE(at + 28) === 1,
    kind
  }
  switch (kind) {
    case 'appendBlock':
      return Object.assign(made, { block: blockOf(buffer, at + 32), value })
    case 'freeBlock':
      return Object.assign(made, { block: blockOf(buffer, at + 32) })
    case 'appendMemory':
      return Object.assign(made, {
        id: buffer.readBigUInt64LE(at + 16), tags: unpackTags(tags), block: blockOf(buffer, at + 32), value
      })
    case 'deleteMemory':
      return Object.assign(made, { id: buffer.readBigUInt64LE(at + 16) })
    case 'setKv':
      return Object.assign(made, { key, value })
    case 'deleteKv':
      return Object.assign(made, { key })
    case 'appendStream':
      return Object.assign(made, {
        name: key, index: readNumber(buffer, at + 16), block: blockOf(buffer, at + 32), value
      })
    default: {
      const before = buffer.readBigUInt64LE(at + 16)
      return Object.assign(made, { name: key, before: before === DROP ? Infinity : Number(before) })
    }
  }
}

function commands (buffer, length) {
  const items = []
  for (let at = 0; at < length;) {
    const keyEnd = at + HEAD_BYTES + buffer.readUInt32LE(at + 56)
    const tagsEnd = keyEnd + buffer.readUInt32LE(at + 60)
    const end = tagsEnd + readNumber(buffer, at + 64)
    items.push(command(buffer, at, buffer.subarray(at + HEAD_BYTES, keyEnd), buffer.subarray(keyEnd, tagsEnd),
      buffer.subarray(tagsEnd, end)))
    at = end
  }
  return items
}

/** A place in the log. */
class LogReader {
  #store
  #handle
  #bytes = FIRST_BYTES

  constructor (store, handle) {
    this.#store = store
    this.#handle = handle
    watch(this, handle, 'log reader')
  }

  get store () {
    return this.#store
  }

  #open () {
    if (this.#handle === undefined) throw invalid('the log reader is closed')
    return this.#handle
  }

  #take (buffer, length) {
    if (this.#bytes < MOST_BYTES) this.#bytes *= 4
    return commands(buffer, length)
  }

  /** The commands that come next, as many as a buffer holds; waits up to `timeoutMs` for the first. [] if none came. */
  readSync (options) {
    const timeout = microseconds(options?.timeoutMs ?? 0, 'timeoutMs')
    for (;;) {
      const buffer = Buffer.allocUnsafeSlow(this.#bytes)
      const length = native.logFill(this.#open(), buffer, timeout)
      if (length >= 0) return this.#take(buffer, length)
      this.#bytes = -length
    }
  }

  /** The same beside the program: a wait takes a thread of its own and ends early when `signal` does. */
  async read (options) {
    const timeout = microseconds(options?.timeoutMs ?? 0, 'timeoutMs')
    const signal = options?.signal
    signal?.throwIfAborted()
    const cancel = () => native.cancelWait(this.#handle)
    signal?.addEventListener('abort', cancel, { once: true })
    try {
      for (let wait = 0; ;) {
        const buffer = Buffer.allocUnsafeSlow(this.#bytes)
        const length = await native.logFillAsync(this.#open(), buffer, wait)
        signal?.throwIfAborted()
        if (this.#handle === undefined) return []
        if (length > 0) return this.#take(buffer, length)
        if (length < 0) {
          this.#bytes = -length
        } else if (wait === timeout) {
          return []
        } else {
          wait = timeout // nothing there: only now a thread is worth it
        }
      }
    } finally {
      signal?.removeEventListener('abort', cancel)
    }
  }

  /** A wait under way ends, and answers []. */
  close () {
    if (this.#handle === undefined) return
    const handle = this.#handle
    this.#handle = undefined
    unwatch(this)
    native.cancelWait(handle)
    native.free(handle)
  }

  [Symbol.dispose] () {
    this.close()
  }

  /** The commands that are in the log by now. */
  * [Symbol.iterator] () {
    try {
      for (let items = this.readSync(); items.length > 0; items = this.readSync()) yield * items
    } finally {
      this.close()
    }
  }

  async * [Symbol.asyncIterator] () {
    try {
      for (let items = await this.read(); items.length > 0; items = await this.read()) yield * items
    } finally {
      this.close()
    }
  }
}

class Log {
  #store
  #handle

  constructor (store, handle) {
    this.#store = store
    this.#handle = handle
  }

  /** Oldest commit still in the log; the next one to come where it is empty. */
  get firstSeq () {
    return native.logFirstSeq(this.#handle)
  }

  /** A reader from commit `from` on, or from the oldest there is. `epoch` is that of the commit before, if known. */
  read (options = {}) {
    const from = options.from ?? this.firstSeq
    return new LogReader(this.#store, native.logRead(this.#handle, from, options.epoch ?? 0))
  }

  /** Every command from `from` on, for as long as somebody asks; ends when `signal` does. */
  async * follow (options = {}) {
    const reader = this.read(options)
    const signal = options.signal
    try {
      for (;;) {
        const items = await reader.read({ timeoutMs: A_WHILE_MS, signal })
        for (const item of items) {
          yield item
          if (signal?.aborted) return
        }
      }
    } catch (error) {
      if (!signal?.aborted) throw error
    } finally {
      reader.close()
    }
  }
}

module.exports = { Log, LogReader }
