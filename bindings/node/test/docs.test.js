// The page of the documentation: each of its programs is run, in the order of the page, in a folder of its own.
'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { folder } = require('./scratch.js')

const root = path.join(__dirname, '..')
const PAGE = path.join(root, '..', '..', 'docs', 'node.md')

/** Runs a program as a module that finds this package by its name. */
function run (place, program) {
  fs.mkdirSync(path.join(place, 'node_modules'), { recursive: true })
  const link = path.join(place, 'node_modules', 'sarsen')
  if (!fs.existsSync(link)) fs.symlinkSync(root, link)
  const file = path.join(place, 'program.mjs')
  fs.writeFileSync(file, program)
  return spawnSync(process.execPath, [file], { cwd: place })
}

/** A piece that opens its own store is a program; any other one is given a store. */
function programs () {
  const pieces = [...fs.readFileSync(PAGE, 'utf8').matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(found => found[1])
  const start = "import assert from 'node:assert/strict'\n"
  const whole = pieces.filter(piece => piece.startsWith('import'))
  const parts = pieces.filter(piece => !piece.startsWith('import'))
  const open = "import { Store } from 'sarsen'\nconst store = Store.openSync('page.sarsen')\n"
  const joined = start + open + parts.join('') + 'store.closeSync()\n'
  return { count: pieces.length, list: [...whole.map(piece => start + piece), joined] }
}

test('each program of docs/node.md runs as it stands', t => {
  const { count, list } = programs()
  assert.ok(count >= 10, `${count} pieces`)
  for (const program of list) {
    const ran = run(folder(t), program)
    assert.equal(ran.status, 0, `${program}\n${ran.stderr}`)
  }
})

test('the first program prints what it should', t => {
  assert.equal(run(folder(t), programs().list[0]).stdout.toString(), 'commit 1: They still stand.\n')
})

test('control: a program that fails is noticed', t => {
  assert.notEqual(run(folder(t), "import { Store } from 'sarsen'\nStore.none()\n").status, 0)
})
