// The addon, the class of its errors, and the little that every other file needs from both.
'use strict'

const path = require('node:path')

const native = require(process.env.SARSEN_NODE_ADDON || path.join(__dirname, '..', 'build', 'sarsen.node'))

/** Whatever went wrong: `code` is the name of the status in C, such as SARSEN_CORRUPT. */
class SarsenError extends Error {
  constructor (code, message) {
    super(message)
    this.code = code
  }

  get name () {
    return 'SarsenError'
  }
}

const SCRATCH_BYTES = 65536
const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES)
native.start(SarsenError, scratch)

const INVALID_ARGUMENT = 10
const TOO_LARGE = 18

function refusal (status, message) {
  const error = new SarsenError(native.statusName(status), message)
  error.status = status
  return error
}

function invalid (message) {
  return refusal(INVALID_ARGUMENT, message)
}

function tooLarge (message) {
  return refusal(TOO_LARGE, message)
}

/** The answer of a synchronous get: bytes, undefined, or how many bytes of the scratch memory they are. */
function copied (answer) {
  if (typeof answer !== 'number') return answer
  const bytes = Buffer.allocUnsafe(answer)
  scratch.copy(bytes, 0, 0, answer)
  return bytes
}

// What a program forgot to give back: sarsen's handle goes when its object was collected. Only a store is worth a
// warning, since it holds a lock and a thread.
const forgotten = new FinalizationRegistry(({ handle, what }) => {
  native.free(handle)
  if (what === 'store') process.emitWarning('a store of sarsen was collected before it was closed', 'SarsenWarning')
})

function watch (object, handle, what) {
  forgotten.register(object, { handle, what }, object)
}

function unwatch (object) {
  forgotten.unregister(object)
}

/** One of a few words, as C's number; undefined stays. */
function choice (words, word, what) {
  if (word === undefined) return undefined
  if (typeof word !== 'string' || !Object.hasOwn(words, word)) {
    throw invalid(`${what} is one of ${Object.keys(words).join(', ')}`)
  }
  return words[word]
}

const SURVIVE = { process: 1, power: 2 }

/** A time in milliseconds as whole microseconds. */
function microseconds (milliseconds, what) {
  if (typeof milliseconds !== 'number' || !(milliseconds >= 0)) throw invalid(`${what} is a number from 0 on`)
  return Math.min(Math.ceil(milliseconds * 1000), Number.MAX_SAFE_INTEGER)
}

module.exports = {
  native,
  SarsenError,
  invalid,
  tooLarge,
  copied,
  watch,
  unwatch,
  choice,
  SURVIVE,
  microseconds
}
