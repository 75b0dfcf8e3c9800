// Compiles the addon with the C compiler and links the library into it: `npm run build`, after `make`.
//
//   CC              the compiler; gcc
//   SARSEN_LIBRARY  libsarsen.a; that of this tree
//
// The headers of Node-API come from a package of their own, so that nothing of Node needs to be installed but Node.
'use strict'

const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')

const root = path.join(__dirname, '..', '..')
const target = path.resolve(root, process.env.CARGO_TARGET_DIR || 'target')
const library = process.env.SARSEN_LIBRARY || path.join(target, 'release', 'libsarsen.a')
const native = path.join(__dirname, 'native')
const build = path.join(__dirname, 'build')
const sources = fs.readdirSync(native).filter(name => name.endsWith('.c')).sort().map(name => path.join(native, name))

if (!fs.existsSync(library)) {
  console.error(`${library} is not there: run \`make\` first`)
  process.exit(1)
}
fs.mkdirSync(build, { recursive: true })
execFileSync(process.env.CC || 'gcc', [
  '-std=c11', '-D_GNU_SOURCE', '-O2', '-g', '-fPIC', '-shared', '-fvisibility=hidden',
  '-Wall', '-Wextra', '-Wpedantic', '-Wshadow', '-Werror',
  `-I${require('node-api-headers').include_dir}`, `-I${path.join(root, 'include')}`,
  ...sources, library, '-Wl,--exclude-libs,ALL', '-Wl,--no-undefined-version', '-lpthread', '-ldl', '-lm',
  '-o', path.join(build, 'sarsen.node')
], { stdio: 'inherit' })
