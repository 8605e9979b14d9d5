import { randomUUID } from 'node:crypto'
import type { RequestId, ServerMessage } from '../../protocol/hub-v1/schema.js'
import { isThenable } from '../thenable.js'
import type { Awaitable } from '../types.js'

/** Answers that one session keeps: more than a client has requests under way. */
const MAX_ANSWERS = 128

/** An answer: a reply, or an error. */
export type Answer = ServerMessage<'reply' | 'error'>

interface Kept { readonly answer: Awaitable<Answer>, readonly at: number }

/** What stays of a connection when it has ended: what it asked for lately, so that a request that is sent again is not done again. */
export class Session {
  readonly id = randomUUID()
  readonly user: string | null
  /** Monotonic milliseconds of the end of its connection; null while it lasts. */
  endedAt: number | null = null
  /** Made with the first request that has an id. */
  #answers: Map<RequestId, Kept> | null = null

  constructor (user: string | null) {
    this.user = user
  }

  /** Whether there is nothing that a resume would bring back. */
  get isEmpty (): boolean { return this.#answers === null }

  /** Does what a request asks for, unless it was done, or is being done: then the answer is that one's. */
  once (id: RequestId, now: number, run: () => Awaitable<Answer>): Awaitable<Answer> {
    const known = this.#answers?.get(id)
    if (known !== undefined) return known.answer
    const answer = run()
    const answers = this.#answers ??= new Map()
    answers.set(id, { answer, at: now })
    if (answers.size > MAX_ANSWERS) answers.delete(answers.keys().next().value as RequestId)
    if (isThenable(answer)) {
      // The answer without its promise, and in its place: a Map keeps it.
      answer.then((settled) => { if (answers.has(id)) answers.set(id, { answer: settled, at: now }) }, () => { answers.delete(id) })
    }
    return answer
  }

  /** Forgets a request: it may be tried again. */
  forget (id: RequestId): void { this.#answers?.delete(id) }

  /** Takes over what another session has. */
  adopt (other: Session): void {
    this.#answers = other.#answers
    other.#answers = null
  }

  /** Lets go of the answers of before `before`. */
  prune (before: number): void {
    if (this.#answers === null) return
    for (const [id, { at }] of this.#answers) {
      if (at > before) break
      this.#answers.delete(id)
    }
    if (this.#answers.size === 0) this.#answers = null
  }
}
