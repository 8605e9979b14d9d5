import { JsonText } from '../protocol/json-text.js'
import type { Broker, Clock, HistoryPolicyOf, Publication } from './ports.js'
import type { StreamPosition } from './types.js'

/** What the broker has behind a position. */
export interface LogAnswer {
  readonly position: StreamPosition
  readonly publications: readonly Publication[]
  readonly recovered: boolean
}

/** Milliseconds for which an answer is given again, and which share of the time for which publications are kept, at most. */
const KEPT_MS = 10_000
const KEPT_SHARE = 10
/** Of all answers that are kept, and what a publication takes beside its payload; about. */
const KEPT_BYTES = 16 * 1024 * 1024
const OVERHEAD_BYTES = 200

interface Kept {
  readonly answer: LogAnswer
  readonly bytes: number
  /** Monotonic milliseconds. */
  readonly until: number
}

/**
 * Questions to the broker for the log of a room: one for all who ask for the same within some seconds, as thousands do who
 * come back at once. The answer may be older than the question of one of them: it MUST go on from there.
 */
export class LogQuestions {
  readonly #broker: Broker
  readonly #clock: Clock
  readonly #policyOf: HistoryPolicyOf
  /** Under way, by room and position. */
  readonly #open = new Map<string, Promise<LogAnswer>>()
  /** Those that have been answered lately, oldest first. */
  readonly #kept = new Map<string, Kept>()
  #bytes = 0

  constructor (broker: Broker, clock: Clock, policyOf: HistoryPolicyOf) {
    this.#broker = broker
    this.#clock = clock
    this.#policyOf = policyOf
  }

  /**
   * @param room where it stands on this node
   * @param since undefined: all that is kept
   * @throws what the broker throws (as a rejection)
   */
  async ask ({ name, epoch, offset }: { readonly name: string } & Readonly<StreamPosition>, since: StreamPosition | undefined): Promise<LogAnswer> {
    const key = JSON.stringify([name, since?.offset, since?.epoch])
    const now = this.#clock.monotonic()
    this.#forgetOld(now)
    const kept = this.#kept.get(key)
    // Of a log that is about to lose what follows, it would be a beginning without its end.
    if (kept !== undefined && kept.until > now && kept.answer.position.epoch === epoch && 2 * (offset - kept.answer.position.offset) <= this.#policyOf(name).size) return kept.answer
    let question = this.#open.get(key)
    if (question === undefined) {
      question = this.#broker.history(name, since, 0)
      this.#open.set(key, question)
      question.then((answer) => {
        this.#open.delete(key)
        if (since !== undefined) this.#keep(key, name, answer)
      }, () => { this.#open.delete(key) })
    }
    return await question
  }

  /** An answer without a publication is not good for long: the next publication is behind it. */
  #keep (key: string, name: string, answer: LogAnswer): void {
    const { ttl } = this.#policyOf(name)
    const { publications, recovered } = answer
    if (!recovered || publications.length === 0) return
    const bytes = publications.reduce((sum, { payload }) => sum + bytesOf(payload), 0)
    if (bytes > KEPT_BYTES) return
    this.#forget(key)
    this.#kept.set(key, { answer, bytes, until: this.#clock.monotonic() + (ttl === 0 ? KEPT_MS : Math.min(KEPT_MS, ttl / KEPT_SHARE)) })
    this.#bytes += bytes
    for (const [oldest] of this.#kept) {
      if (this.#bytes <= KEPT_BYTES) break
      this.#forget(oldest)
    }
  }

  #forgetOld (now: number): void {
    for (const [key, { until }] of this.#kept) {
      // Those of other rooms behind it, which are good for less long, go a little later.
      if (until > now) break
      this.#forget(key)
    }
  }

  #forget (key: string): void {
    this.#bytes -= this.#kept.get(key)?.bytes ?? 0
    this.#kept.delete(key)
  }
}

function bytesOf (payload: Publication['payload']): number {
  if (typeof payload === 'string' || payload instanceof Uint8Array) return payload.length + OVERHEAD_BYTES
  // No log has the message of a peer as it came: its memory would be that of all that was read with it.
  return payload instanceof JsonText ? payload.text.length + OVERHEAD_BYTES : Infinity
}
