// The types say what there is: they compile, and name exactly the methods that the classes have.
'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const ts = require('typescript')
const sarsen = require('../index.js')

const root = path.join(__dirname, '..')
const OPTIONS = {
  noEmit: true,
  strict: true,
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2022.d.ts', 'lib.esnext.disposable.d.ts'],
  module: ts.ModuleKind.Node16,
  moduleResolution: ts.ModuleResolutionKind.Node16,
  types: ['node'],
  typeRoots: [path.join(root, 'node_modules', '@types')],
  skipLibCheck: false
}

function program (files) {
  return ts.createProgram(files, OPTIONS)
}

function complaints (built) {
  return ts.getPreEmitDiagnostics(built).map(found => ts.flattenDiagnosticMessageText(found.messageText, '\n'))
}

test('the types compile, with their right and wrong uses', () => {
  assert.deepEqual(complaints(program([path.join(__dirname, 'types.ts')])), [])
})

test('control: a wrong use is noticed', t => {
  const file = path.join(__dirname, `control-${process.pid}.ts`)
  t.after(() => fs.rmSync(file, { force: true }))
  fs.writeFileSync(file, "import { Store } from 'sarsen'\nStore.openSync(1)\n")
  assert.equal(complaints(program([file])).length, 1)
})

/** Names of the members that a class or interface declares. */
function declared (name) {
  const built = program([path.join(root, 'index.d.ts')])
  const file = built.getSourceFile(path.join(root, 'index.d.ts'))
  const found = file.statements.find(node => node.name !== undefined && node.name.text === name)
  assert.ok(found, `${name} is declared`)
  const names = found.members.filter(member => !ts.isConstructorDeclaration(member) &&
    !member.modifiers?.some(modifier => modifier.kind === ts.SyntaxKind.StaticKeyword))
    .map(member => member.name.getText(file).replace(/^\[Symbol\.(.*)\]$/, '@@$1'))
  return [...new Set(names)].sort()
}

function there (prototype) {
  return Reflect.ownKeys(prototype).filter(key => key !== 'constructor')
    .map(key => typeof key === 'symbol' ? key.description.replace(/^(Symbol|nodejs)\./, '@@') : key).sort()
}

test('each class has exactly the members that its types declare', t => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sarsen-types-'))
  const store = sarsen.Store.openSync(path.join(directory, 'store'))
  t.after(() => {
    store.closeSync()
    fs.rmSync(directory, { recursive: true })
  })
  const { kv, streams, memories, blocks, log } = store
  const parts = { KeyValue: kv, Streams: streams, Memories: memories, Blocks: blocks, Log: log }
  for (const [name, part] of Object.entries(parts)) {
    assert.deepEqual(there(Object.getPrototypeOf(part)), declared(name), name)
  }
  for (const name of ['Cursor', 'Snapshot', 'Batch', 'LogReader']) {
    assert.deepEqual(there(sarsen[name].prototype), declared(name), name)
  }
  const own = Object.keys(store)
  assert.deepEqual([...there(sarsen.Store.prototype), ...own].sort(), declared('Store'))
})
