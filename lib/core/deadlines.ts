import { heartbeatStep, NOT_ASKED, type HeartbeatOptions, type HeartbeatStep } from './heartbeat.js'
import type { Clock } from './ports.js'
import { Deadline, within, type TimingWheel } from './timing-wheel.js'

/** Milliseconds; 0 is off. */
export interface DeadlineSettings {
  readonly heartbeat: HeartbeatOptions
  readonly deadlines: { readonly write: number, readonly handler: number, readonly close: number }
}

/** What a connection does when a deadline of its has passed. */
export interface DeadlineListener {
  /** Whether the socket is read: while it is paused, silence is ours and not the peer's. */
  readonly reading: boolean
  /** The peer was silent for the heartbeat's interval. @returns false to be asked again soon */
  onSilence (now: number): boolean
  /** The peer is to show that it is there. */
  ask (): void
  /** The credentials have expired. */
  onCredentialsExpired (): void
  /** The peer was silent for the heartbeat's timeout. */
  onExpiry (): void
  /** The handler that runs has taken too long. */
  onHandlerTimeout (): void
  /** The socket has taken too long over one write. */
  onWriteTimeout (): void
  /** The closing handshake has taken too long. */
  onCloseTimeout (): void
  /** The peer may be read again. */
  onReadAgain (): void
}

/** Nothing is under way. Like the times a small whole number: Infinity would take an object of its own in each connection. */
const IDLE = -1
/** Milliseconds after which credentials are looked at again, however long they last: the machine's clock may have been set. */
const LOOK = 30_000

/** What the deadlines of all connections of a hub have in common. */
export interface DeadlineShared {
  readonly clock: Clock
  readonly wheel: TimingWheel
  readonly settings: DeadlineSettings
}

/**
 * All deadlines of one connection behind one entry in the timing wheel: whichever is next is armed. What the peer sends
 * only moves a time; the entry finds that when it is due.
 */
export class ConnectionDeadlines extends Deadline {
  readonly #shared: DeadlineShared
  readonly #listener: DeadlineListener
  #phase: 'live' | 'closing' | 'ended' = 'live'
  /** When the peer was last heard of. Monotonic, as all times here. */
  lastSeen: number
  /** From when on its silence counts: that moment, or when it was read again. */
  #silentSince: number
  /** When the peer was asked for a sign of life: by the first ping of this silence, or by our Close frame. */
  #asked = NOT_ASKED
  /** When the running handler began, in the time for which this process has run: it is not held to what it could not do while that stood still. */
  #busySince = IDLE
  /** When the write that blocks the socket was handed over. */
  #writingSince = IDLE
  /** When a closing handshake is given up. */
  #closeBy = IDLE
  /** When a peer that was ahead of its rate is read again. */
  #readAt = IDLE
  /**
   * In milliseconds since the Unix epoch, other than all times here: a token names a moment of the wall clock, and is judged
   * by it as on every HTTP request. null is never, and takes no memory.
   */
  #expiresAt: number | null
  /** Whether the peer was ever heard of. */
  #isKnown = false
  /** Its first word, of which it was asked and which has not come: one for all who wait for it. */
  #word: { readonly heard: Promise<void>, readonly settle: () => void } | null = null

  constructor (shared: DeadlineShared, listener: DeadlineListener, expiresAt: number | null) {
    super()
    this.#shared = shared
    this.#listener = listener
    this.lastSeen = this.#silentSince = this.#clock.monotonic()
    this.#expiresAt = expiresAt
  }

  get expiresAt (): number | null { return this.#expiresAt }

  /** Whether the credentials have expired by now. */
  get expired (): boolean { return this.#expiresAt !== null && this.#clock.now() >= this.#expiresAt }

  /** New credentials. */
  expireAt (time: number | null): void {
    this.#expiresAt = time
    this.#schedule()
  }

  get #clock (): Clock { return this.#shared.clock }
  get #wheel (): TimingWheel { return this.#shared.wheel }
  get #settings (): DeadlineSettings { return this.#shared.settings }

  start (): void { this.#schedule() }

  /** Something complete came from the peer. @returns the time */
  heard (): number {
    this.readAgain()
    this.#isKnown = true
    this.#settle()
    this.lastSeen = this.#silentSince
    return this.lastSeen
  }

  /**
   * Asks the peer for a first word, unless it has said something.
   * @returns whether it has; false when it has ended before, or takes longer over that than over its answer to a Close frame may
   */
  async isKnown (): Promise<boolean> {
    if (!this.#isKnown && this.#phase === 'live') {
      await within(this.#wheel, this.#settings.deadlines.close, this.#firstWord())
    }
    return this.#isKnown
  }

  /** The peer is read again: until now, the silence was ours. */
  readAgain (): void {
    this.#silentSince = this.#clock.monotonic()
    // Nobody asks a closing peer again: its Close frame was the question.
    this.#asked = this.#phase === 'closing' ? this.#silentSince : NOT_ASKED
  }

  /** An asynchronous handler began, or ended. */
  busy (busy: boolean): void {
    const { handler } = this.#settings.deadlines
    const now = this.#clock.monotonic()
    this.#busySince = busy ? this.#awake(now) : IDLE
    if (this.#phase === 'ended' || (busy && handler > 0 && !this.#looksBefore(now + handler))) this.#schedule()
  }

  /** A write blocks the socket, or none does any more. */
  writing (writing: boolean): void {
    const { write } = this.#settings.deadlines
    this.#writingSince = writing ? this.#clock.monotonic() : IDLE
    if (this.#phase !== 'ended' && writing && write > 0 && !this.#looksBefore(this.#writingSince + write)) this.#schedule()
  }

  /** The peer is not read for so many milliseconds. */
  throttled (ms: number): void {
    this.#readAt = this.#clock.monotonic() + ms
    if (!this.#looksBefore(this.#readAt)) this.#schedule()
  }

  /** The closing handshake begins. */
  closing (): void {
    const { close } = this.#settings.deadlines
    this.#phase = 'closing'
    this.#settle()
    this.#asked = this.#clock.monotonic()
    this.#closeBy = close > 0 ? this.#asked + close : IDLE
    this.#schedule()
  }

  /** The socket is gone; only a handler may still run. */
  ended (): void {
    this.#phase = 'ended'
    this.#settle()
    this.#schedule()
  }

  override onDue (now: number): void {
    const { handler, write } = this.#settings.deadlines
    if (this.#busySince !== IDLE && handler > 0 && this.#awake(now) - this.#busySince >= handler) {
      this.#busySince = IDLE
      this.#listener.onHandlerTimeout()
    }
    if (this.#phase !== 'ended' && this.#writingSince !== IDLE && write > 0 && now - this.#writingSince >= write) {
      this.#writingSince = IDLE
      this.#listener.onWriteTimeout()
    }
    if (this.#phase !== 'ended' && this.#readAt !== IDLE && now >= this.#readAt) {
      this.#readAt = IDLE
      this.#listener.onReadAgain()
    }
    const { action } = this.#heartbeat(now)
    if (this.#phase === 'closing') {
      // Without a deadline of its own, a closing handshake ends with the peer's silence.
      if ((this.#closeBy !== IDLE && now >= this.#closeBy) || action === 'expire') this.#listener.onCloseTimeout()
    } else if (this.#phase === 'live') {
      if (this.expired) this.#listener.onCredentialsExpired()
      else if (action === 'expire') this.#listener.onExpiry()
      else if (action === 'ping' && !this.#ask(now)) return this.#wheel.arm(this, 0)
    }
    this.#schedule()
  }

  #firstWord (): Promise<void> {
    if (this.#word === null) {
      let settle = (): void => {}
      const heard = new Promise<void>((resolve) => { settle = resolve })
      this.#word = { heard, settle }
      this.#listener.ask()
    }
    return this.#word.heard
  }

  #settle (): void {
    this.#word?.settle()
    this.#word = null
  }

  #awake (now: number): number { return now - this.#wheel.delay.stalled }

  /** Whether the wheel looks soon enough anyway: then it is left alone. */
  #looksBefore (due: number): boolean { return this.#wheel.armed(this) && this.wheelDue <= due }

  #heartbeat (now: number): HeartbeatStep {
    return heartbeatStep(this.#settings.heartbeat, this.#listener.reading ? this.#silentSince : now, this.#asked, now)
  }

  /** @returns whether the ping was sent */
  #ask (now: number): boolean {
    if (!this.#listener.onSilence(now)) return false
    if (this.#asked === NOT_ASKED) this.#asked = now
    return true
  }

  #schedule (): void {
    const { handler, write } = this.#settings.deadlines
    const now = this.#clock.monotonic()
    let next = Infinity
    if (this.#busySince !== IDLE && handler > 0) next = this.#busySince + handler - this.#awake(now)
    if (this.#phase !== 'ended') {
      next = Math.min(next, this.#heartbeat(now).next)
      if (this.#writingSince !== IDLE && write > 0) next = Math.min(next, this.#writingSince + write - now)
      if (this.#readAt !== IDLE) next = Math.min(next, this.#readAt - now)
    }
    if (this.#phase === 'closing' && this.#closeBy !== IDLE) next = Math.min(next, this.#closeBy - now)
    if (this.#phase === 'live' && this.#expiresAt !== null) next = Math.min(next, this.#expiresAt - this.#clock.now(), LOOK)
    if (next === Infinity) this.#wheel.disarm(this)
    else this.#wheel.arm(this, Math.max(0, next))
  }
}
