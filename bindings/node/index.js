// sarsen for Node: see index.d.ts for what each call does.
'use strict'

const { native, SarsenError } = require('./lib/native.js')
const { Store } = require('./lib/store.js')
const { Batch } = require('./lib/batch.js')
const { Snapshot, View } = require('./lib/objects.js')
const { Cursor } = require('./lib/cursor.js')
const { LogReader } = require('./lib/log.js')
const { Block } = require('./lib/pack.js')

module.exports = {
  Store,
  Batch,
  Snapshot,
  View,
  Cursor,
  LogReader,
  Block,
  SarsenError,
  version: native.version(),
  abiVersion: native.abiVersion(),
  statusName: status => native.statusName(status)
}
