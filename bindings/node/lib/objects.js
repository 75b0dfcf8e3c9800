// Snapshots and views: what a program holds for a while and then gives back, at the latest when it is collected.
'use strict'

const { native, invalid, watch, unwatch } = require('./native.js')

/** One frozen view over all four kinds of data. While it is held, what it sees takes space on disk. */
class Snapshot {
  #handle
  #store // lives as long as this does

  constructor (store, handle) {
    this.#handle = handle
    this.#store = store
    watch(this, handle, 'snapshot')
  }

  /** The newest commit it sees. */
  get seq () {
    return native.snapshotSeq(this.#handle)
  }

  get store () {
    return this.#store
  }

  close () {
    unwatch(this)
    native.free(this.#handle)
  }

  [Symbol.dispose] () {
    this.close()
  }

  static handle (snapshot) {
    if (snapshot === undefined || snapshot === null) return undefined
    if (!(snapshot instanceof Snapshot)) throw invalid('snapshot is one of store.snapshot()')
    return snapshot.#handle
  }
}

/** The handle behind { snapshot }, undefined for now. */
function snapshotOf (options) {
  return options === undefined ? undefined : Snapshot.handle(options.snapshot)
}

/** Bytes inside the store, in place. They are for reading only: writing to them ends the process or harms the store. */
class View {
  #handle
  #memory

  constructor (handle) {
    this.#handle = handle
    this.#memory = native.viewBuffer(handle)
    this.bytes = Buffer.from(this.#memory)
    watch(this, handle, 'view')
  }

  /** Gives the bytes back: every Buffer over them is empty from then on. */
  release () {
    if (this.#handle === undefined) return
    unwatch(this)
    native.viewRelease(this.#handle, this.#memory)
    this.#handle = undefined
  }

  [Symbol.dispose] () {
    this.release()
  }
}

function viewed (handle) {
  return handle === undefined ? undefined : new View(handle)
}

module.exports = { Snapshot, View, snapshotOf, viewed }
