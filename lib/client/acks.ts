import type { ClientClock } from './platform.js'
import { jsonBytes } from './size.js'

/** They go together: after offline messages have been delivered there are many. */
const COLLECT_MS = 50
/** `ack` of hub.v1 has no more. */
const MAX_IDS = 1_000
/** Ids that are remembered, so that what is delivered once more after a lost `ack` is not handled once more. */
const MAX_REMEMBERED = 1_000
/** More than `ack` has beside the ids. */
const ENVELOPE_BYTES = 32

/** Acknowledgements of direct messages: at most one handling of each by this client, and an answer to each delivery. */
export class Acks {
  readonly #clock: ClientClock
  readonly #send: (ids: string[]) => void
  readonly #maxBytes: () => number
  readonly #seen = new Map<string, 'busy' | 'done'>()
  #due: string[] = []
  #timer: unknown

  /** @param maxBytes that the server takes in one message */
  constructor (clock: ClientClock, send: (ids: string[]) => void, maxBytes: () => number) {
    this.#clock = clock
    this.#send = send
    this.#maxBytes = maxBytes
  }

  /** A message came. @returns whether to handle it: it is neither being handled nor has been */
  begin (id: string): boolean {
    const seen = this.#seen.get(id)
    if (seen === 'done') this.done([id])
    if (seen === undefined) this.#remember(id, 'busy')
    return seen === undefined
  }

  done (ids: readonly string[]): void {
    for (const id of ids) this.#remember(id, 'done')
    if (this.#due.length === 0) this.#timer = this.#clock.setTimeout(() => { this.#flush() }, COLLECT_MS)
    this.#due.push(...ids)
  }

  /** It was not taken care of: should it come again, it is handled again. */
  failed (id: string): void { this.#seen.delete(id) }

  /** What is due is of no use on another connection: the server sends those messages again. */
  lost (): void {
    this.#clock.clearTimeout(this.#timer)
    this.#due = []
  }

  #flush (): void {
    let ids: string[] = []
    let bytes = ENVELOPE_BYTES
    for (const id of new Set(this.#due)) {
      const more = jsonBytes(id)
      if (ids.length > 0 && (ids.length >= MAX_IDS || bytes + more > this.#maxBytes())) {
        this.#send(ids)
        ids = []
        bytes = ENVELOPE_BYTES
      }
      ids.push(id)
      bytes += more
    }
    this.#due = []
    if (ids.length > 0) this.#send(ids)
  }

  #remember (id: string, what: 'busy' | 'done'): void {
    this.#seen.delete(id)
    this.#seen.set(id, what)
    const [oldest] = this.#seen.keys()
    if (this.#seen.size > MAX_REMEMBERED && oldest !== undefined) this.#seen.delete(oldest)
  }
}
