import type { Clock } from '../ports.js'
import { Timeout, type TimingWheel } from '../timing-wheel.js'
import type { Endpoint } from './endpoint.js'
import { Session } from './session.js'
import { SessionTokens } from './session-token.js'

/** The option `resume`. */
export interface ResumeOptions {
  /** Milliseconds for which answers, and sessions whose connection has ended, are kept; 0: none can be resumed. */
  readonly ttl: number
  readonly secret: string | undefined
}

/** How often what is too old is looked for: at most, in milliseconds. */
const SWEEP_MS = 10_000

/** The sessions of this node, by what a client shows to resume one. */
export class ResumableSessions {
  readonly #options: ResumeOptions
  readonly #clock: Clock
  readonly #tokens: SessionTokens
  readonly #owners = new Map<string, { readonly session: Session, endpoint: Endpoint | null }>()
  readonly #sweep: Timeout
  readonly #every: number

  constructor (options: ResumeOptions, clock: Clock, wheel: TimingWheel) {
    this.#options = options
    this.#clock = clock
    this.#tokens = new SessionTokens(options.secret)
    this.#every = Math.min(SWEEP_MS, options.ttl)
    this.#sweep = new Timeout(wheel, () => { this.#letGo() })
  }

  /** Sessions, those included whose connection has ended. */
  get size (): number { return this.#owners.size }

  begin (endpoint: Endpoint, user: string | null): Session {
    const session = new Session(user)
    if (this.#options.ttl > 0) this.#owners.set(session.id, { session, endpoint })
    return session
  }

  token ({ id, user }: Session): string { return this.#tokens.sign(id, user) }

  /**
   * Goes on with an earlier session, once: whoever shows the same token again is refused. A connection that still has it
   * is half-open, and is ended.
   * @returns whether the token was good
   */
  resume (session: Session, token: string): boolean {
    const id = this.#tokens.verify(token, session.user)
    const owner = id === null || id === session.id ? undefined : this.#owners.get(id)
    if (owner === undefined) return false
    this.#owners.delete(owner.session.id)
    session.adopt(owner.session)
    owner.endpoint?.supersede()
    this.#plan(session)
    return true
  }

  /** The session keeps an answer. */
  kept (session: Session): void { this.#plan(session) }

  /** Its connection has ended. */
  end (session: Session): void {
    const owner = this.#owners.get(session.id)
    if (owner === undefined) return
    owner.endpoint = null
    session.endedAt = this.#clock.monotonic()
    // Nothing to be found again.
    if (session.isEmpty) this.#owners.delete(session.id)
  }

  stop (): void {
    this.#sweep.cancel()
    this.#owners.clear()
  }

  #plan (session: Session): void {
    if (!session.isEmpty && !this.#sweep.armed) this.#sweep.start(this.#every)
  }

  #letGo (): void {
    const before = this.#clock.monotonic() - this.#options.ttl
    let isAnyKept = false
    for (const { session } of this.#owners.values()) {
      session.prune(before)
      if (session.endedAt !== null && (session.isEmpty || session.endedAt <= before)) this.#owners.delete(session.id)
      else if (!session.isEmpty) isAnyKept = true
    }
    if (isAnyKept) this.#sweep.start(this.#every)
  }
}
