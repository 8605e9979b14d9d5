import { randomUUID } from 'node:crypto'
import type { RequestId, ServerMessage } from '../../protocol/hub-v1/schema.js'
import type { JsonText } from '../../protocol/json-text.js'
import type { Clock } from '../ports.js'

/** Answers that one session keeps: more than a client has requests under way. */
const MAX_ANSWERS = 128
/** Characters of all of them together. */
const MAX_CHARACTERS = 256 * 1024

/** An answer to a request, as it was at that moment: a reply, or an error. */
export type Answer = { readonly op: 'reply', readonly id: RequestId, readonly payload: JsonText | null } | ServerMessage<'error'>

interface Kept {
  /** null: `promise` has not settled. */
  answer: Answer | null
  readonly promise: Promise<Answer>
  /** When it was given, in monotonic milliseconds. */
  at: number
}

/** What stays of a connection when it has ended: what it asked for lately, so that a request that is sent again is not done again. */
export class Session {
  readonly id = randomUUID()
  readonly user: string | null
  /** Made with the first request that has an id. */
  #kept: Map<RequestId, Kept> | null = null
  #characters = 0
  /** What has taken over: requests that this one still had are its, too. */
  #successor: Session | null = null

  constructor (user: string | null) {
    this.user = user
  }

  /** Whether nothing is kept. */
  get isEmpty (): boolean { return this.#kept === null }

  /**
   * Does what a request asks for, unless it was done, or is being done: then the answer is that one's.
   * @param run MUST NOT reject
   */
  async once (id: RequestId, clock: Clock, run: () => Promise<Answer>): Promise<Answer> {
    if (this.#successor !== null) return await this.#successor.once(id, clock, run)
    const known = this.#kept?.get(id)
    if (known !== undefined) return known.answer ?? await known.promise
    const kept: Kept = { answer: null, promise: run(), at: 0 }
    ;(this.#kept ??= new Map()).set(id, kept)
    this.#trim()
    const answer = kept.answer = await kept.promise
    kept.at = clock.monotonic()
    this.#count(id, kept)
    return answer
  }

  /** Takes over what another session has: what is asked there from now on is asked here. */
  adopt (other: Session): void {
    const own = this.#kept
    this.#kept = other.#kept
    this.#characters += other.#characters
    for (const [id, kept] of own ?? []) {
      this.#drop(id)
      ;(this.#kept ??= new Map()).set(id, kept)
    }
    other.#kept = null
    other.#characters = 0
    other.#successor = this
    this.#trim()
  }

  /** What it has taken over is given from `now` on: its client had no chance to ask for it before. */
  resumed (now: number): void {
    for (const kept of this.#kept?.values() ?? []) kept.at = now
  }

  /** Lets go of the answers given before `before`. What is still being done is not done a second time. */
  prune (before: number): void {
    for (const [id, { at, answer }] of this.#kept ?? []) if (answer !== null && at < before) this.#drop(id)
  }

  /** An answer is there: its length counts where it is kept. */
  #count (id: RequestId, kept: Kept): void {
    if (this.#successor !== null) return this.#successor.#count(id, kept)
    if (this.#kept?.get(id) !== kept) return
    this.#characters += lengthOf(kept)
    this.#trim()
  }

  #trim (): void {
    for (const [id, { answer }] of this.#kept ?? []) {
      if ((this.#kept?.size ?? 0) <= MAX_ANSWERS && this.#characters <= MAX_CHARACTERS) return
      if (answer !== null) this.#drop(id)
    }
  }

  #drop (id: RequestId): void {
    const kept = this.#kept?.get(id)
    if (kept === undefined) return
    this.#characters -= lengthOf(kept)
    this.#kept?.delete(id)
    if (this.#kept?.size === 0) this.#kept = null
  }
}

function lengthOf ({ answer }: Kept): number {
  if (answer === null) return 0
  return answer.op === 'reply' ? answer.payload?.text.length ?? 0 : answer.message.length + (answer.path?.length ?? 0) + (answer.room?.length ?? 0)
}
