import { randomInt } from 'node:crypto'
import type { OfflineListener, OfflineStore, StoredMessage } from '../core/ports.js'
import type { Payload } from '../protocol/frame.js'
import type { Keys } from './keys.js'
import type { RedisLink, Reply } from './link.js'
import { decodePayload, encodePayload } from './payload-codec.js'
import { Script } from './script.js'

const PUT = new Script('offline-shared', 'offline-put')
const LIST = new Script('offline-shared', 'offline-list')
const ACKNOWLEDGE = new Script('offline-shared', 'offline-acknowledge')

/**
 * An id as this store gives it: that of a stream entry. Redis reads other spellings of a number too, and refuses a whole
 * command for one that is none: ids come from peers.
 */
const ID = /^(?:0|[1-9]\d{0,14})-(?:0|[1-9]\d{0,17})$/
/** Of a stream: its id, and its one field. */
type Entry = readonly [id: Buffer, fields: readonly [name: Buffer, payload: Buffer]]

/** Of the random part of an id: what randomInt takes at most. */
const MAX_RANDOM = 2 ** 48 - 1

/**
 * Messages that wait for users, in Redis. Nothing stays for ever, but what was put there for ever.
 * A `put` that is rejected may have kept its message all the same.
 */
export class RedisOfflineStore implements OfflineStore {
  readonly #link: RedisLink
  readonly #keys: Keys
  readonly #maxMessages: number
  readonly #listener: OfflineListener

  /**
   * @param options `maxMessages`: the most that are kept for a user; 0: none
   * @param listener is told of what this node notices: what ended more than a minute ago and was not looked at since, nobody does
   */
  constructor (link: RedisLink, keys: Keys, { maxMessages }: { maxMessages: number }, listener: OfflineListener) {
    this.#link = link
    this.#keys = keys
    this.#maxMessages = maxMessages
    this.#listener = listener
  }

  async put (user: string, payload: Payload, ttl: number): Promise<string> {
    const [id, expired, evicted] = await this.#run(PUT, user, [encodePayload(payload), ttl, this.#maxMessages, randomInt(MAX_RANDOM)]) as [Buffer, number, number]
    this.#tell('expired', expired)
    this.#tell('evicted', evicted)
    return String(id)
  }

  async list (user: string, after: string | undefined, limit: number): Promise<readonly StoredMessage[]> {
    const messages: StoredMessage[] = []
    // An id that is not of this store is of a message that came before all others.
    let start = after !== undefined && ID.test(after) ? `(${after}` : '-'
    while (messages.length < limit) {
      const wanted = limit - messages.length
      const [expired, entries] = await this.#run(LIST, user, [start, wanted]) as [number, readonly Entry[]]
      this.#tell('expired', expired)
      for (const entry of entries) {
        const message = messageOf(entry)
        if (message !== null) messages.push(message)
        start = `(${String(entry[0])}`
      }
      if (entries.length < wanted) break
    }
    return messages
  }

  async acknowledge (user: string, ids: readonly string[]): Promise<number> {
    const own = ids.filter((id) => ID.test(id))
    return own.length === 0 ? 0 : await this.#run(ACKNOWLEDGE, user, own) as number
  }

  /** The connection is its owner's to close. */
  async close (): Promise<void> {}

  async #run (script: Script, user: string, args: ReadonlyArray<string | number | Buffer>): Promise<Reply> {
    return await this.#link.run(script, [this.#keys.offline(user), this.#keys.offlineExpiry(user)], args)
  }

  #tell (reason: 'evicted' | 'expired', count: number): void {
    if (count > 0) this.#listener.onDropped(reason, count)
  }
}

/** Of what a later version has put there, null: it is left for a node that can read it, and ends like all others. */
function messageOf ([id, [, payload]]: Entry): StoredMessage | null {
  try {
    return { id: String(id), payload: decodePayload(payload) }
  } catch {
    return null
  }
}
