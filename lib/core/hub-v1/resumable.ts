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

interface Owner {
  readonly session: Session
  /** Grows from connection to connection. */
  readonly order: number
  /** null when its connection has ended, and has no message left. */
  endpoint: Endpoint | null
  /** Monotonic milliseconds of that moment. */
  endedAt: number
  /** Id of the session that it goes on with, as long as the client may not know that it does; or null. */
  alias: string | null
  /** Monotonic milliseconds at which it was told that it goes on with that one; Infinity: it still has to be told. */
  resumedAt: number
}

/** How often what is too old is looked for: at most, in milliseconds. */
const SWEEP_MS = 10_000

/** The sessions of this node, by what a client shows to resume one. */
export class ResumableSessions {
  readonly #options: ResumeOptions
  readonly #clock: Clock
  readonly #tokens: SessionTokens
  /** Milliseconds after which a connection of which nothing was heard is ended. */
  readonly #silence: number
  readonly #owners = new Map<string, Owner>()
  /** By the ids that are good once more. */
  readonly #aliases = new Map<string, Owner>()
  /** Those whose connection has ended, in that order. */
  readonly #ended = new Set<Owner>()
  /** Of the others, those that keep an answer. */
  readonly #keeping = new Set<Owner>()
  readonly #sweep: Timeout
  readonly #every: number
  #begun = 0

  /** @param silence milliseconds after which a connection of which nothing was heard is ended; 0: it is not */
  constructor (options: ResumeOptions, silence: number, clock: Clock, wheel: TimingWheel) {
    this.#options = options
    this.#silence = silence > 0 ? silence : options.ttl
    this.#clock = clock
    this.#tokens = new SessionTokens(options.secret)
    this.#every = Math.min(SWEEP_MS, options.ttl)
    this.#sweep = new Timeout(wheel, () => { this.#letGo() })
  }

  /** Sessions, those included whose connection has ended. */
  get size (): number { return this.#owners.size }

  begin (endpoint: Endpoint, user: string | null): Session {
    const session = new Session(user)
    if (this.#options.ttl > 0) this.#owners.set(session.id, { session, order: this.#begun++, endpoint, endedAt: 0, alias: null, resumedAt: 0 })
    return session
  }

  token ({ id, user }: Session): string { return this.#tokens.sign(id, user) }

  /**
   * Goes on with an earlier session, once: whoever shows the same token again is refused as soon as the client is known to
   * have heard that it was taken. A connection that still has the session is half-open, and is ended.
   * @param session of a connection that has not ended
   * @returns whether the token was good
   */
  resume (session: Session, token: string): boolean {
    const id = this.#tokens.verify(token, session.user)
    const own = this.#owners.get(session.id)
    const owner = id === null ? undefined : this.#owners.get(id) ?? this.#aliases.get(id)
    if (id === null || own === undefined || owner === undefined) return false
    if (owner === own) return true
    if (owner.order > own.order) {
      // The client has come back over the other one, while this one waited for its turn.
      own.endpoint?.supersede()
      return false
    }
    if (owner.alias === id && this.#hasHeard(owner)) return false
    this.#forget(owner)
    this.confirm(session)
    own.alias = id
    own.resumedAt = Infinity
    this.#aliases.set(id, own)
    session.adopt(owner.session)
    owner.endpoint?.supersede()
    this.kept(session)
    return true
  }

  /** What came of its resume, if it did resume, is on the way to the client. */
  resumed (session: Session): void {
    const owner = this.#owners.get(session.id)
    if (owner === undefined || owner.resumedAt !== Infinity) return
    owner.resumedAt = this.#clock.monotonic()
    session.resumed(owner.resumedAt)
  }

  /** The client knows of its resume: the token of before is used up. */
  confirm (session: Session): void {
    const owner = this.#owners.get(session.id)
    if (owner === undefined || owner.alias === null) return
    this.#aliases.delete(owner.alias)
    owner.alias = null
  }

  /** The session may keep an answer. */
  kept (session: Session): void {
    const owner = this.#owners.get(session.id)
    if (session.isEmpty || owner === undefined || owner.endpoint === null) return
    this.#keeping.add(owner)
    this.#plan()
  }

  /** Its connection has ended, and nothing that it sent is left to be handled. */
  end (session: Session): void {
    const owner = this.#owners.get(session.id)
    if (owner === undefined) return
    if (this.#hasHeard(owner)) this.confirm(session)
    // All that it keeps goes at once: its client may come back until then.
    this.#keeping.delete(owner)
    owner.endpoint = null
    owner.endedAt = this.#clock.monotonic()
    this.#ended.add(owner)
    this.#plan()
  }

  stop (): void {
    this.#sweep.cancel()
    this.#owners.clear()
    this.#aliases.clear()
    this.#ended.clear()
    this.#keeping.clear()
  }

  #forget (owner: Owner): void {
    this.#owners.delete(owner.session.id)
    if (owner.alias !== null) this.#aliases.delete(owner.alias)
    this.#ended.delete(owner)
    this.#keeping.delete(owner)
  }

  /** Whether its peer must have had the answer to its resume. */
  #hasHeard (owner: Owner): boolean { return owner.resumedAt < this.#heardBefore(owner) }

  /** Its peer has had what it was sent before this moment, for it was heard of after so long that it would have been given up. */
  #heardBefore ({ endpoint }: Owner): number {
    if (endpoint === null) return -Infinity
    const silentFor = this.#clock.now() - endpoint.connection.lastSeen
    return this.#clock.monotonic() - silentFor - this.#silence
  }

  #plan (): void {
    if (!this.#sweep.armed) this.#sweep.start(this.#every)
  }

  #letGo (): void {
    const before = this.#clock.monotonic() - this.#options.ttl
    for (const owner of this.#ended) {
      if (owner.endedAt > before) break
      this.#forget(owner)
    }
    for (const owner of this.#keeping) {
      if (owner.resumedAt !== Infinity) owner.session.prune(Math.min(before, this.#heardBefore(owner)))
      if (owner.session.isEmpty) this.#keeping.delete(owner)
    }
    if (this.#ended.size > 0 || this.#keeping.size > 0) this.#plan()
  }
}
