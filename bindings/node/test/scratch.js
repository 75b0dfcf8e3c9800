// A folder for the stores of one test, gone after it.
'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { Store } = require('../index.js')

function make () {
  return fs.mkdtempSync(path.join(os.tmpdir(), 'sarsen-node-'))
}

function remove (place) {
  fs.rmSync(place, { recursive: true, force: true })
}

function folder (t) {
  const place = make()
  t.after(() => remove(place))
  return place
}

function open (t, options) {
  const place = make()
  const store = Store.openSync(path.join(place, 'store'), { survive: 'process', ...options })
  t.after(async () => {
    await store.close()
    remove(place)
  })
  return store
}

module.exports = { folder, open }
