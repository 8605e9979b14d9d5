import type { HubLogger } from '../core/hub-config.js'
import type { Clock, Timer } from '../core/ports.js'
import type { RedisLink } from './link.js'

/** What Redis says when it is there, and can not do what it is asked for; other refusals are answers to questions of ours. */
const REFUSAL = /^(OOM|MISCONF|READONLY|NOREPLICAS|MASTERDOWN|BUSY|LOADING|CLUSTERDOWN|NOPERM|NOAUTH|WRONGTYPE|TOOBIG) /
/** Milliseconds for which a complaint is told, and between two lines in the log of one kind: there may be thousands. */
const TOLD_MS = 10_000
/** Milliseconds without a break after which it is back. One that takes no writes is found again and again, until the next write. */
const STEADY_MS = 5_000
/** Where in which script: another one each time. */
const PLACE = / script: .*/

/** How Redis does, for `hub.health()` and for the log, which says it in few lines however often it is noticed. */
export class Condition {
  readonly #link: Pick<RedisLink, 'isFound' | 'why'>
  readonly #clock: Clock
  readonly #log: HubLogger
  /** Since when it is away, and what the log has been told of it and when, in monotonic milliseconds; null while it is there. */
  #away: { readonly since: number, told: string, toldAt: number } | null = null
  /** Tells that it is back, unless it is lost before. */
  #steady: Timer | null = null
  /** By what is wrong: the latest time that it was, and when it was logged, in monotonic milliseconds. */
  readonly #complaints = new Map<string, { readonly why: Error, readonly at: number, readonly loggedAt: number }>()

  constructor (link: Pick<RedisLink, 'isFound' | 'why'>, clock: Clock, log: HubLogger) {
    this.#link = link
    this.#clock = clock
    this.#log = log
  }

  /** That it is away, in words for `hub.health()`; null while it is there. */
  get absence (): string | null {
    if (this.#link.isFound) return null
    const now = this.#clock.monotonic()
    return `Redis is away for ${seconds(now - (this.#away?.since ?? now))}: ${this.#link.why.message}`
  }

  /** That it does not do what it is asked for, in the same way. */
  get complaint (): string | null {
    const now = this.#clock.monotonic()
    for (const [what, { why, at }] of this.#complaints) if (now - at < TOLD_MS) return `${what}: ${why.message}`
    return null
  }

  /** It is not there at the start, for which the caller has a word of its own. */
  missed (): void {
    const now = this.#clock.monotonic()
    this.#away ??= { since: now, told: reasonOf(this.#link.why), toldAt: now }
  }

  lost (why: Error): void {
    this.#steady?.cancel()
    if (this.#away !== null) return
    this.missed()
    this.#log.error({ err: why }, 'Redis is away: nodes do not hear of each other')
  }

  /** To be called now and then: it may be away for another reason than it was lost. */
  look (): void {
    if (this.#away === null || this.#link.isFound) return
    const now = this.#clock.monotonic()
    const reason = reasonOf(this.#link.why)
    if (reason === this.#away.told || now - this.#away.toldAt < TOLD_MS) return
    Object.assign(this.#away, { told: reason, toldAt: now })
    this.#log.error({ err: this.#link.why, ms: now - this.#away.since }, 'Redis is still away')
  }

  found (): void {
    if (this.#away === null) return
    const ms = this.#clock.monotonic() - this.#away.since
    this.#steady?.cancel()
    const steady = this.#steady = this.#clock.every(STEADY_MS, () => {
      steady.cancel()
      this.#away = null
      this.#log.info({ ms }, 'Redis is back')
    })
  }

  /** It has answered with an error. */
  refused (why: Error): void { if (REFUSAL.test(why.message)) this.#complain('Redis refuses what it is asked for', why) }

  /** It has not answered. */
  unanswered (why: Error): void { this.#complain('Redis does not answer', why) }

  #complain (what: string, why: Error): void {
    const now = this.#clock.monotonic()
    const before = this.#complaints.get(what)?.loggedAt ?? -Infinity
    const isLogged = now - before >= TOLD_MS
    this.#complaints.set(what, { why, at: now, loggedAt: isLogged ? now : before })
    if (isLogged) this.#log.error({ err: why }, what)
  }

  close (): void { this.#steady?.cancel() }
}

function reasonOf (why: Error): string { return why.message.replace(PLACE, '') }

export function seconds (ms: number): string { return `${Math.round(ms / 1000)} s` }
