// Uses of the types that have to be right, and some that have to be wrong. Compiled by types.test.js, never run.
import { Store, Batch, Block, Command, SarsenError } from 'sarsen'
import { SarsenLevel } from 'sarsen/level'

async function uses (): Promise<void> {
  const store: Store = await Store.open('somewhere', { survive: 'process', memoryBytes: 1n << 20n })
  const value: Buffer | undefined = store.kv.getSync('key')
  for (const [key, bytes] of store.kv.scan({ gte: 'a', limit: 2 })) key.equals(bytes)
  for await (const [id, data] of store.memories.find({ all: ['tag'], any: new Set(['x']) })) data.at(Number(id))
  const batch: Batch = store.batch().setKv('a', new Uint8Array(2)).appendStream('s', 'r')
  const seq: number = await batch.commit({ survive: 'power' })
  const block: Block | undefined = batch.result(1).block
  for await (const command of store.log.follow({ from: seq })) {
    if (command.kind === 'trimStream') command.before.toFixed()
    const kind: Command['kind'] = command.kind
    kind.at(0)
  }
  // @ts-expect-error: durability has two levels
  await batch.commit({ survive: 'fire' })
  // @ts-expect-error: a value is bytes
  store.kv.setSync('a', 1)
  // @ts-expect-error: a store is opened, not made
  store.kv.setSync('a', new Store())
  // @ts-expect-error: get may find nothing
  store.kv.getSync('a').length
  try {
    store.closeSync()
  } catch (error) {
    if (error instanceof SarsenError && error.code === 'SARSEN_POISONED') block?.toBuffer()
  }
  const level = new SarsenLevel<string, { a: number }>('place', { valueEncoding: 'json' })
  const { a }: { a: number } | undefined = (await level.get('key'))!
  a.toFixed(value?.length)
}

void uses
