// An abstract-level database over the key-value part of a store.
import { AbstractLevel, AbstractDatabaseOptions, AbstractOpenOptions } from 'abstract-level'
import { OpenOptions, Store } from 'sarsen'

export interface SarsenLevelOptions<K, V> extends AbstractDatabaseOptions<K, V> {
  /** Options of the store below. */
  store?: Omit<OpenOptions, 'create'>
}

/** `sync: true` on a write makes it survive power loss; without, it survives the death of the process. */
export class SarsenLevel<K = string, V = string> extends AbstractLevel<Buffer, K, V> {
  constructor (location: string, options?: SarsenLevelOptions<K, V> & AbstractOpenOptions)
  readonly location: string
  /** The store below, for what abstract-level knows nothing of; undefined while the database is closed. */
  readonly store: Store | undefined
  /** Deletes a database that is not open. */
  static destroy (location: string): Promise<void>
}
