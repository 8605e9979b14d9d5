import { randomBytes } from 'node:crypto'
import type { Clock, OfflineListener, OfflineStore, StoredMessage, Timer } from '../core/ports.js'
import type { Payload } from '../protocol/frame.js'
import { keep } from '../core/keep.js'

/** How often messages are looked through for those that are too old. */
const SWEEP_MS = 60_000

interface Kept extends StoredMessage {
  /** Its place in the order of all messages of this store. */
  readonly place: number
  /** Monotonic milliseconds; Infinity: never. */
  readonly end: number
}

interface Inbox {
  /** By place. */
  messages: Kept[]
  /** No message ends before. */
  end: number
}

/** Messages that wait for the users of one process: lost with it. */
export class MemoryOfflineStore implements OfflineStore {
  readonly #clock: Clock
  readonly #maxMessages: number
  readonly #listener: OfflineListener
  readonly #inboxes = new Map<string, Inbox>()
  /** Of every id: an acknowledgement of what an earlier process had sent must not fit a message of this one. */
  readonly #prefix = `${randomBytes(6).toString('hex')}-`
  #place = 0
  /** Runs while there is a message. */
  #sweeper: Timer | null = null

  /** @param options `maxMessages`: the most that are kept for a user; 0: none */
  constructor (clock: Clock, { maxMessages }: { maxMessages: number }, listener: OfflineListener) {
    this.#clock = clock
    this.#maxMessages = maxMessages
    this.#listener = listener
  }

  /** Messages that are held, some of which may have been too old since the last sweep. */
  get messages (): number {
    let count = 0
    for (const { messages } of this.#inboxes.values()) count += messages.length
    return count
  }

  async put (user: string, payload: Payload, ttl: number): Promise<string> {
    const place = ++this.#place
    const id = `${this.#prefix}${place}`
    const now = this.#clock.monotonic()
    const end = ttl > 0 ? now + ttl : Infinity
    const inbox = this.#inboxes.get(user) ?? { messages: [], end }
    // Those that are too old make room first: they are not evicted.
    const expired = dropExpired(inbox, now)
    inbox.messages.push({ id, payload: keep(payload), place, end })
    inbox.end = Math.min(inbox.end, end)
    const evicted = inbox.messages.splice(0, Math.max(0, inbox.messages.length - this.#maxMessages)).length
    this.#settle(user, inbox)
    this.#tell('expired', expired)
    this.#tell('evicted', evicted)
    return id
  }

  async list (user: string, after: string | undefined, limit: number): Promise<readonly StoredMessage[]> {
    const inbox = this.#inboxes.get(user)
    if (inbox === undefined) return []
    const expired = dropExpired(inbox, this.#clock.monotonic())
    this.#settle(user, inbox)
    this.#tell('expired', expired)
    const start = firstBehind(inbox.messages, this.#placeOf(after))
    return inbox.messages.slice(start, start + limit).map(({ id, payload }) => ({ id, payload }))
  }

  async acknowledge (user: string, ids: readonly string[]): Promise<number> {
    const inbox = this.#inboxes.get(user)
    if (inbox === undefined) return 0
    const before = inbox.messages.length
    const forgotten = new Set(ids)
    inbox.messages = inbox.messages.filter(({ id }) => !forgotten.has(id))
    this.#settle(user, inbox)
    return before - inbox.messages.length
  }

  async close (): Promise<void> {
    this.#inboxes.clear()
    this.#stopSweeper()
  }

  #sweep (): void {
    const now = this.#clock.monotonic()
    let expired = 0
    for (const [user, inbox] of this.#inboxes) {
      expired += dropExpired(inbox, now)
      if (inbox.messages.length === 0) this.#inboxes.delete(user)
    }
    if (this.#inboxes.size === 0) this.#stopSweeper()
    this.#tell('expired', expired)
  }

  #settle (user: string, inbox: Inbox): void {
    if (inbox.messages.length > 0) {
      this.#inboxes.set(user, inbox)
      this.#sweeper ??= this.#clock.every(SWEEP_MS, () => { this.#sweep() })
    } else {
      this.#inboxes.delete(user)
      if (this.#inboxes.size === 0) this.#stopSweeper()
    }
  }

  #stopSweeper (): void {
    this.#sweeper?.cancel()
    this.#sweeper = null
  }

  #tell (reason: 'evicted' | 'expired', count: number): void {
    if (count > 0) this.#listener.onDropped(reason, count)
  }

  /** 0 for an id that is not of this store: all its messages came later. */
  #placeOf (id: string | undefined): number {
    return id?.startsWith(this.#prefix) === true ? Number(id.slice(this.#prefix.length)) : 0
  }
}

function dropExpired (inbox: Inbox, now: number): number {
  if (now < inbox.end) return 0
  const before = inbox.messages.length
  inbox.messages = inbox.messages.filter(({ end }) => end > now)
  inbox.end = inbox.messages.reduce((soonest, { end }) => Math.min(soonest, end), Infinity)
  return before - inbox.messages.length
}

/** Index of the first message that came after that place. */
function firstBehind (messages: readonly Kept[], place: number): number {
  let [low, high] = [0, messages.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((messages[middle] as Kept).place > place) high = middle
    else low = middle + 1
  }
  return low
}
