// abstract-level's own suite against SarsenLevel, with the runner that suite is written for. Run by level.test.js,
// which counts the assertions; `node test/level_suite.js` shows them one by one.
'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const test = require('tape')
const suite = require('abstract-level/test')
const { SarsenLevel } = require('../level.js')

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'sarsen-level-'))
let count = 0

suite({ test, factory: options => new SarsenLevel(path.join(root, String(count++)), options) })
test.onFinish(() => fs.rmSync(root, { recursive: true, force: true }))
