import type { HistoryPolicyOf, Publication } from '../core/ports.js'
import type { StreamPosition } from '../core/types.js'
import type { Keys } from './keys.js'
import type { RedisLink } from './link.js'
import { decodeRecord } from './publication-codec.js'
import { Script } from './script.js'

const history = new Script('epoch-shared', 'history')

/** What lua/history.lua answers. */
type Reply = readonly [epoch: Buffer, offset: Buffer, complete: number, entries: ReadonlyArray<readonly [id: Buffer, fields: readonly [Buffer, Buffer]]>, sequence: Buffer]

export interface LogAnswer {
  /** Of the room at that moment. */
  readonly position: StreamPosition
  /** Oldest first. */
  readonly publications: readonly Publication[]
  /** Whether they are all that there is behind the position that was asked for. */
  readonly recovered: boolean
  /** Number of the latest entry of the bus at that moment. */
  readonly sequence: number
}

export interface RoomLogsOptions {
  readonly link: Pick<RedisLink, 'run'>
  readonly keys: Keys
  readonly policyOf: HistoryPolicyOf
  /** Milliseconds for which the position of a room is known after its last use; 0: no limit. */
  readonly lastingOf: (room: string) => number
  readonly newEpoch: () => string
}

/** What Redis has kept of rooms. All throw as RedisLink's `run` does. */
export class RoomLogs {
  readonly #options: RoomLogsOptions

  constructor (options: RoomLogsOptions) {
    this.#options = options
  }

  /** @param since undefined: all that is kept @param limit the most to return; 0: no limit */
  async ask (room: string, since: StreamPosition | undefined, limit: number): Promise<LogAnswer> { return await this.#ask(room, since, limit, 0) }

  /** All behind a position; when it is not kept, what is. */
  async askBehind (room: string, since: StreamPosition): Promise<LogAnswer> { return await this.#ask(room, since, 0, 1) }

  async #ask (room: string, since: StreamPosition | undefined, limit: number, isAnyWanted: 0 | 1): Promise<LogAnswer> {
    const { link, keys, policyOf, lastingOf, newEpoch } = this.#options
    const { size, ttl, mode } = policyOf(room)
    const args = [newEpoch(), lastingOf(room), size > 0 ? mode : '', ttl, since?.epoch ?? '', since?.offset ?? 0, limit, isAnyWanted]
    const [epoch, offset, complete, entries, sequence] = await link.run(history, [keys.meta(room), keys.log(room), keys.batches(keys.busOf(room))], args) as Reply
    return {
      position: { epoch: String(epoch), offset: Number(String(offset)) },
      publications: entries.map(([id, [, record]]) => decodeRecord(Number.parseInt(id.toString('latin1'), 10), record)),
      recovered: complete === 1,
      sequence: Number(String(sequence))
    }
  }
}
