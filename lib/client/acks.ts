import type { ClientClock } from './platform.js'

/** They go together: after offline messages have been delivered there are many. */
const COLLECT_MS = 50
/** `ack` of hub.v1 has no more. */
const MAX_IDS = 1_000
/** Ids that are remembered, so that what is delivered once more after a lost `ack` is not handled once more. */
const MAX_REMEMBERED = 1_000

/** Acknowledgements of direct messages: at most one handling of each by this client, and an answer to each delivery. */
export class Acks {
  readonly #clock: ClientClock
  readonly #send: (ids: string[]) => void
  readonly #seen = new Map<string, 'busy' | 'done'>()
  #due: string[] = []
  #timer: unknown

  constructor (clock: ClientClock, send: (ids: string[]) => void) {
    this.#clock = clock
    this.#send = send
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
    const ids = [...new Set(this.#due)]
    this.#due = []
    for (let i = 0; i < ids.length; i += MAX_IDS) this.#send(ids.slice(i, i + MAX_IDS))
  }

  #remember (id: string, what: 'busy' | 'done'): void {
    this.#seen.delete(id)
    this.#seen.set(id, what)
    const [oldest] = this.#seen.keys()
    if (this.#seen.size > MAX_REMEMBERED && oldest !== undefined) this.#seen.delete(oldest)
  }
}
