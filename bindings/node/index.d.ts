// sarsen for Node. Each method that works on the store comes twice: as a promise, whose work is done on another
// thread, and as one that ends in Sync and blocks. Errors are SarsenError, with the name of C's status as `code`.
//
// Bytes go in as Buffer, Uint8Array or string (UTF-8) and come out as Buffer. What is not there is undefined. Numbers
// and bigints go in alike; sequence numbers, indexes and sizes come out as numbers, ids of memories as bigints.

export type Bytes = Uint8Array | string
export type Tags = Iterable<string>
export type U64 = number | bigint

/** What a commit survives: kill -9 of the program, or power loss. */
export type Survive = 'process' | 'power'

export type StatusCode =
  | 'SARSEN_NOT_FOUND' | 'SARSEN_INVALID_ARGUMENT' | 'SARSEN_IO' | 'SARSEN_NO_SPACE' | 'SARSEN_CORRUPT'
  | 'SARSEN_LOCKED' | 'SARSEN_NOT_A_STORE' | 'SARSEN_VERSION' | 'SARSEN_READ_ONLY' | 'SARSEN_TOO_LARGE'
  | 'SARSEN_POISONED' | 'SARSEN_FORKED' | 'SARSEN_CONFLICT' | 'SARSEN_INTERNAL'

/** Whatever went wrong. The message says what to do next. */
export class SarsenError extends Error {
  constructor (code: string, message: string)
  readonly code: StatusCode
  /** C's number for it. */
  readonly status: number
  /** errno, where the system refused something. */
  readonly osCode?: number
  /** The file concerned, as a path within the store, and the place in it. */
  readonly file?: string
  readonly offset?: number
  /** The commits concerned. */
  readonly firstSeq?: number
  readonly lastSeq?: number
}

export interface OpenOptions {
  /** Create the store if nothing, or an empty directory, is at the path. Default: true. */
  create?: boolean
  /** Open for reading only, beside a writer in another process or without one. Default: false. */
  readOnly?: boolean
  /** What a commit survives that doesn't say. Default: 'power'. */
  survive?: Survive
  /** Size of a chunk file, 64 KiB to 16 GiB, for a store that is created. Default: 64 MiB. */
  chunkBytes?: U64
  /** Budget for the heap, at least 256 KiB. Default: 64 MiB. */
  memoryBytes?: U64
  /** Bytes of log to keep for readers of the log. Default: 0. */
  logRetentionBytes?: U64
  /** Run one thread for upkeep; else call maintain(). Default: true. */
  background?: boolean
  /** Open a damaged store for what is left of it. Default: false. */
  salvage?: boolean
  /** When large blocks and index pages are checked. Default: 'firstTouch'. */
  check?: 'firstTouch' | 'everyRead'
  /** How the log is written. Default: 'auto'. */
  logWrite?: 'auto' | 'mapped' | 'written'
  /** Cap on what is mapped of chunks; 0: none. Default: 0. */
  mappedBytes?: U64
}

export interface At {
  /** Read from this view instead of now. */
  snapshot?: Snapshot
}

export interface Recovery {
  verdict: 'clean' | 'replayed' | 'tornTail' | 'damaged'
  lastSeq: number
  provenSeq: number
  replayedCommits: number
  replayedBytes: number
  droppedBytes: number
  elapsedUs: number
}

/** Figures about a store: bytes unless named otherwise. */
export interface Stats {
  commits: number
  syncs: number
  bytesAppended: number
  kvCount: number
  memoryCount: number
  streamCount: number
  streamRecordCount: number
  blockCount: number
  blockBytesLive: number
  blockBytesDead: number
  logBytes: number
  indexBytes: number
  diskBytes: number
  heapBytes: number
  mappedBytes: number
  pinnedViews: number
  oldestSnapshotSeq: number
  checkpoints: number
  compactions: number
  stallsUs: number
}

export interface Finding {
  file: string
  offset: number
  what: string
}

export class Store {
  private constructor ()
  /** Opens, or creates, the store in the directory `path`. */
  static open (path: string, options?: OpenOptions): Promise<Store>
  static openSync (path: string, options?: OpenOptions): Store
  /** Waits for calls under way, checkpoints, lets go. Every commit survives power loss then. */
  close (): Promise<void>
  closeSync (): void
  readonly closed: boolean
  [Symbol.dispose] (): void
  [Symbol.asyncDispose] (): Promise<void>

  readonly kv: KeyValue
  readonly streams: Streams
  readonly memories: Memories
  readonly blocks: Blocks
  readonly log: Log

  /** Newest commit; 0: none. */
  readonly lastSeq: number
  /** Newest commit that survives power loss, with every one before it. */
  readonly durableSeq: number
  /** An empty batch, with room for `bytes` to begin with. */
  batch (options?: { bytes?: number }): Batch
  snapshot (): Promise<Snapshot>
  snapshotSync (): Snapshot
  /** Makes every commit so far survive power loss. */
  sync (): Promise<void>
  syncSync (): void
  /** True once commit `seq` survives power loss, syncing for it; false if the time ran out first. */
  waitDurable (seq: U64, options?: { timeoutMs?: number }): Promise<boolean>
  waitDurableSync (seq: U64, options?: { timeoutMs?: number }): boolean
  /** Calls back once, when commit `seq` survives power loss or never will. */
  notifyDurable (seq: U64, callback: (error: SarsenError | null, seq: number) => void): void
  /** Puts every commit so far into chunks and runs and releases the log before it. */
  checkpoint (): Promise<void>
  checkpointSync (): void
  /** Gives back the space of everything dead; takes time in proportion to the store. */
  compact (): Promise<void>
  compactSync (): void
  /** Upkeep by the host, for about `budgetMs`. Whether work is left. */
  maintain (budgetMs: number): Promise<boolean>
  maintainSync (budgetMs: number): boolean
  /** Writes a store of its own to `path`, where nothing may be yet. */
  backup (path: string, options?: At): Promise<void>
  backupSync (path: string, options?: At): void
  /** Lets a read-only store see what was committed since. The newest commit it sees. */
  refresh (): Promise<number>
  refreshSync (): number
  /** Takes over a directory in the ancestral layout into an empty store. The number of its commands. */
  import (path: string): Promise<number>
  importSync (path: string): number
  /** What opening found. */
  readonly recovery: Recovery
  stats (): Promise<Stats>
  statsSync (): Stats
  /** Reads and checks every byte of the store: [] where all is well. */
  verify (): Promise<Finding[]>
  verifySync (): Finding[]
}

/**
 * A walk over many items, as of when it was made. for..of and for await give one after another; read() a buffer full
 * at a time. Items point into that buffer: copy what you keep for long. Damage is thrown; read() goes on behind it.
 */
export class Cursor<Item> implements Iterable<Item>, AsyncIterable<Item> {
  private constructor ()
  readonly store: Store
  readonly done: boolean
  /** The next items, as many as a buffer holds; [] at the end. */
  read (): Promise<Item[]>
  readSync (): Item[]
  /** Everything that is left. */
  all (): Promise<Item[]>
  allSync (): Item[]
  /** The next item; undefined at the end. */
  next (): Promise<Item | undefined>
  nextSync (): Item | undefined
  close (): void
  [Symbol.iterator] (): IterableIterator<Item>
  [Symbol.asyncIterator] (): AsyncIterableIterator<Item>
  [Symbol.dispose] (): void
}

export interface Range extends At {
  gt?: Bytes
  gte?: Bytes
  lt?: Bytes
  lte?: Bytes
  /** Keys that start with it; instead of bounds. */
  prefix?: Bytes
  reverse?: boolean
  limit?: number
}

export interface KeyValue {
  set (key: Bytes, value: Bytes): Promise<void>
  setSync (key: Bytes, value: Bytes): void
  delete (key: Bytes): Promise<void>
  deleteSync (key: Bytes): void
  get (key: Bytes, options?: At): Promise<Buffer | undefined>
  getSync (key: Bytes, options?: At): Buffer | undefined
  /** The value in place. */
  viewSync (key: Bytes, options?: At): View | undefined
  /** Copies as much of the value as fits into `target`; the value's whole length. */
  readSync (key: Bytes, target: Uint8Array, options?: At): number | undefined
  /** Many keys at once, all from one snapshot. */
  getMany (keys: readonly Bytes[], options?: At): Promise<Array<Buffer | undefined>>
  getManySync (keys: readonly Bytes[], options?: At): Array<Buffer | undefined>
  scan (range?: Range): Cursor<[key: Buffer, value: Buffer]>
  keys (range?: Range): Cursor<Buffer>
  values (range?: Range): Cursor<Buffer>
}

export interface StreamBounds {
  first: number
  next: number
}

export interface Streams {
  /** The index of the new record. */
  append (name: Bytes, data: Bytes): Promise<number>
  appendSync (name: Bytes, data: Bytes): number
  /** The records are `first` to `next - 1`. */
  bounds (name: Bytes, options?: At): Promise<StreamBounds | undefined>
  boundsSync (name: Bytes, options?: At): StreamBounds | undefined
  get (name: Bytes, index: U64, options?: At): Promise<Buffer | undefined>
  getSync (name: Bytes, index: U64, options?: At): Buffer | undefined
  viewSync (name: Bytes, index: U64, options?: At): View | undefined
  /** Drops the records below `before`. */
  trim (name: Bytes, before: U64): Promise<void>
  trimSync (name: Bytes, before: U64): void
  /** Drops the stream: a later append starts at 0 again. */
  drop (name: Bytes): Promise<void>
  dropSync (name: Bytes): void
  /** Records from `from` on. SARSEN_NOT_FOUND: no such stream. */
  read (name: Bytes, options?: At & { from?: U64, limit?: number }): Cursor<[index: number, record: Buffer]>
  list (options?: At & { prefix?: Bytes, limit?: number }): Cursor<StreamBounds & { name: Buffer }>
}

export interface Query extends At {
  /** Tags that all have to be there. */
  all?: Tags
  /** Tags of which one has to be there. */
  any?: Tags
  /** Tags that may not be there. */
  none?: Tags
  /** Lowest id. */
  from?: U64
  limit?: number
}

export interface Memories {
  /** Writes memory `id`; one that is there is replaced, bytes and tags. */
  append (id: U64, data: Bytes, tags?: Tags): Promise<void>
  appendSync (id: U64, data: Bytes, tags?: Tags): void
  delete (id: U64): Promise<void>
  deleteSync (id: U64): void
  get (id: U64, options?: At): Promise<Buffer | undefined>
  getSync (id: U64, options?: At): Buffer | undefined
  viewSync (id: U64, options?: At): View | undefined
  /** Where its bytes lie, and its tags in byte order. */
  info (id: U64, options?: At): Promise<{ block: Block, tags: string[] } | undefined>
  infoSync (id: U64, options?: At): { block: Block, tags: string[] } | undefined
  find (query?: Query): Cursor<[id: bigint, data: Buffer]>
  /** The same, without touching the bytes. */
  findIds (query?: Query): Cursor<bigint>
}

/** Where a block lies. A plain value: copy it, store it. */
export class Block {
  constructor (chunk: number, crc32c: number, offset: number, length: number)
  readonly chunk: number
  readonly crc32c: number
  readonly offset: number
  readonly length: number
  /** The 24 bytes that stand for it. */
  toBuffer (): Buffer
  static fromBuffer (bytes: Uint8Array): Block
}

export interface Part {
  from?: number
  length?: number
}

export interface Blocks {
  /** A loose block: it holds itself until it is freed or named by a record. */
  append (data: Bytes): Promise<Block>
  appendSync (data: Bytes): Block
  free (block: Block): Promise<void>
  freeSync (block: Block): void
  /** SARSEN_NOT_FOUND: no such block. */
  read (block: Block, part?: Part): Promise<Buffer>
  readSync (block: Block, part?: Part): Buffer
  viewSync (block: Block, part?: Part): View
}

/** Bytes inside the store, in place. For reading only: writing to them ends the process or harms the store. */
export class View {
  private constructor ()
  readonly bytes: Buffer
  /** Gives the bytes back: every Buffer over them is empty from then on. */
  release (): void
  [Symbol.dispose] (): void
}

/** One frozen view over all four kinds of data. While it is held, what it sees takes space on disk. */
export class Snapshot {
  private constructor ()
  /** The newest commit it sees. */
  readonly seq: number
  readonly store: Store
  close (): void
  [Symbol.dispose] (): void
}

/** The commands of one atomic commit, built in one Buffer. */
export class Batch {
  private constructor ()
  readonly store: Store
  /** How many commands are in it; 0 after a commit. */
  readonly count: number
  readonly byteLength: number
  setKv (key: Bytes, value: Bytes): this
  deleteKv (key: Bytes): this
  appendStream (name: Bytes, data: Bytes): this
  /** A record whose bytes are those of a loose block. */
  appendStreamBlock (name: Bytes, block: Block): this
  trimStream (name: Bytes, before: U64): this
  dropStream (name: Bytes): this
  appendMemory (id: U64, data: Bytes, tags?: Tags): this
  appendMemoryBlock (id: U64, block: Block, tags?: Tags): this
  deleteMemory (id: U64): this
  appendBlock (data: Bytes): this
  freeBlock (block: Block): this
  /** Adds commands that are encoded already, as encoded() gives them. */
  load (encoded: Uint8Array): this
  encoded (): Buffer
  clear (): this
  /** All of it or nothing. The commit's seq; the batch is empty then, or as it was if the commit failed. */
  commit (options?: { survive?: Survive }): Promise<number>
  commitSync (options?: { survive?: Survive }): number
  /** What command number `command` of the last commit was given. */
  result (command: number): { index: number | undefined, block: Block | undefined }
}

interface InCommit {
  seq: number
  /** Keep both: above durableSeq a seq may be used again after power loss, under a higher epoch. */
  epoch: number
  /** The last command of its commit. */
  last: boolean
}

export type Command = InCommit & (
  | { kind: 'appendBlock', block: Block | undefined, value: Buffer }
  | { kind: 'freeBlock', block: Block | undefined }
  | { kind: 'appendMemory', id: bigint, tags: string[], block: Block | undefined, value: Buffer }
  | { kind: 'deleteMemory', id: bigint }
  | { kind: 'setKv', key: Buffer, value: Buffer }
  | { kind: 'deleteKv', key: Buffer }
  | { kind: 'appendStream', name: Buffer, index: number, block: Block | undefined, value: Buffer }
  /** `before` is Infinity where the stream was dropped. */
  | { kind: 'trimStream', name: Buffer, before: number }
)

export interface From {
  /** The first commit to read. Default: the oldest one in the log. */
  from?: U64
  /** The epoch of the commit before it, where it is known: SARSEN_CONFLICT if that is another one now. */
  epoch?: U64
}

export interface Log {
  /** Oldest commit still in the log; the next one to come where it is empty. */
  readonly firstSeq: number
  read (options?: From): LogReader
  /** Every command, for as long as somebody asks; ends when the signal does. */
  follow (options?: From & { signal?: AbortSignal }): AsyncGenerator<Command, void, undefined>
}

/** A place in the log. As an iterable it ends where the log does by then. */
export class LogReader implements Iterable<Command>, AsyncIterable<Command> {
  private constructor ()
  readonly store: Store
  /** The commands that come next; waits up to `timeoutMs` (default 0) for the first. [] if none came. */
  read (options?: { timeoutMs?: number, signal?: AbortSignal }): Promise<Command[]>
  readSync (options?: { timeoutMs?: number }): Command[]
  close (): void
  [Symbol.iterator] (): IterableIterator<Command>
  [Symbol.asyncIterator] (): AsyncIterableIterator<Command>
  [Symbol.dispose] (): void
}

/** The library's version, such as '0.1.0'. */
export const version: string
export const abiVersion: number
/** C's name for a status. */
export function statusName (status: number): string
