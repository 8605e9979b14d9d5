import { ABNORMAL, disconnects, mayReconnect } from '../protocol/disconnect.js'
import type { ServerMessage } from '../protocol/hub-v1/schema.js'
import { Backoff } from './backoff.js'
import { messageOf } from './errors.js'
import { Link } from './link.js'
import { Liveness } from './liveness.js'
import type { Settings } from './options.js'
import { isOffline, watchPage } from './page.js'
import type { ClientState } from './types.js'

/** Of a client that means to come back: the server need not take it for a leave. */
const COMING_BACK = 4000
/** A connection that was open this long was a good one: what comes after it begins anew. */
const GOOD_AFTER_MS = 10_000
/** How far clients are spread when a network comes back that they share. */
const AWAKE_SPREAD_MS = 1_000

export interface SupervisorHooks {
  /** There is a socket: time for `resume`. */
  onOpen (): void
  onData (data: unknown): void
  /** That socket has ended. Once for each `onOpen`. */
  onLost (): void
  /** There will be no other one, until `open()`. */
  onClosed (reason: string): void
  onState (state: ClientState): void
  ping (): void
}

/**
 * Keeps one connection alive: tries, waits, tries again, until a close code or a limit says no. At any time exactly one thing
 * drives it on: a deadline of the present try, the watch over an open connection, or the timer of the next try.
 */
export class Supervisor {
  readonly #settings: Settings
  readonly #hooks: SupervisorHooks
  readonly #backoff: Backoff
  readonly #liveness: Liveness
  #state: ClientState = { is: 'closed', code: disconnects.normal.code, reason: 'not opened' }
  #link: Link | null = null
  /** Whether the hooks know of the link. */
  #isOpen = false
  /** Of the present try: an answer to an older one is not heard. */
  #number = 0
  #timer: unknown
  #goodTimer: unknown
  /** Whether the present connection has been open for long: its end is no failed try. */
  #isGood = false
  /** Tries in a row that failed, and the milliseconds that they and the waiting between them took. */
  #tries = 0
  #time = 0
  #triedAt = 0
  /** When the waiting began; null where it does not count: the platform is offline, or the server has asked for it. */
  #waitingSince: number | null = null
  /** What `goodbye` asked for. */
  #reconnectIn: number | null = null
  #unwatch = (): void => {}
  /** What the hooks are being told, and what has come since: a listener that acts must not overtake the others. */
  readonly #untold: ClientState[] = []

  constructor (settings: Settings, hooks: SupervisorHooks) {
    this.#settings = settings
    this.#hooks = hooks
    this.#backoff = new Backoff(settings.backoff, settings.random)
    this.#liveness = new Liveness({
      clock: settings.clock,
      pongTimeout: settings.pongTimeout,
      ping: () => { hooks.ping() },
      giveUp: (reason) => { this.#ended(ABNORMAL, reason) }
    })
  }

  get state (): ClientState { return this.#state }

  get connected (): boolean { return this.#isOpen }

  open (): void {
    if (this.#state.is !== 'closed') return
    const { page } = this.#settings
    if (page !== null) this.#unwatch = watchPage(page, { onAwake: () => { this.#awake() }, onOffline: () => { this.#liveness.check() } })
    this.#begin()
    this.#connect()
  }

  close (): void {
    if (this.#state.is !== 'closed') this.#close(disconnects.normal.code, 'closed by the client')
  }

  /** Of one that is not closed: tries now. A try that is under way goes on, its deadline is near. */
  reconnect (): void {
    if (this.#state.is === 'connecting') return
    this.#disconnect(COMING_BACK, 'reconnect')
    this.#connect()
  }

  /** Gives up this connection for another one, after a delay. */
  abandon (reason: string): void { this.#ended(ABNORMAL, reason) }

  send (data: string | Uint8Array<ArrayBuffer>): void { this.#link?.send(data) }

  /** Anything came from the server. */
  heard (): void { this.#liveness.heard() }

  hello ({ connection, user, heartbeat }: ServerMessage<'hello'>): void {
    if (this.#state.is !== 'connecting') return
    this.#settings.clock.clearTimeout(this.#timer)
    this.#liveness.start(heartbeat.interval)
    this.#set({ is: 'recovering', connection, user })
  }

  /** All that was missed is there. */
  recovered (): void {
    if (this.#state.is !== 'recovering') return
    const { connection, user } = this.#state
    this.#goodTimer = this.#settings.clock.setTimeout(() => { this.#begin() }, GOOD_AFTER_MS)
    this.#set({ is: 'open', connection, user })
  }

  goodbye (reconnectIn: number): void { this.#reconnectIn = reconnectIn }

  #connect (): void {
    const { clock, connectTimeout } = this.#settings
    const number = ++this.#number
    this.#reconnectIn = null
    this.#isGood = false
    this.#triedAt = clock.now()
    // As long as it was, and no longer than it was to be: what the machine slept through is not counted.
    if (this.#state.is === 'waiting' && this.#waitingSince !== null) this.#time += Math.max(0, Math.min(this.#triedAt, this.#state.retryAt) - this.#waitingSince)
    clock.clearTimeout(this.#timer)
    // Over all of it: whoever is asked for the url may never answer, nor a server say hello.
    this.#timer = clock.setTimeout(() => { this.#ended(ABNORMAL, `no connection within ${connectTimeout} ms`) }, connectTimeout)
    this.#address().then(
      (url) => { if (number === this.#number) this.#dial(url) },
      (error: unknown) => { if (number === this.#number) this.#ended(ABNORMAL, `no url: ${messageOf(error)}`) }
    )
    this.#set({ is: 'connecting', tries: this.#tries })
  }

  async #address (): Promise<string> {
    const { url, token } = this.#settings
    if (typeof url === 'string') return url
    return await url({ token: await token?.(), tries: this.#tries })
  }

  #dial (url: string): void {
    const { WebSocket, codec, clock } = this.#settings
    try {
      this.#link = new Link(WebSocket, url, codec.name, clock, {
        onOpen: () => {
          this.#isOpen = true
          this.#hooks.onOpen()
        },
        onData: (data) => { this.#hooks.onData(data) },
        onEnd: (code, reason) => { this.#ended(code, reason) }
      })
    } catch (error) {
      this.#ended(ABNORMAL, `no socket: ${messageOf(error)}`)
    }
  }

  /** A try has failed, or a connection has ended. */
  #ended (code: number, reason: string): void {
    const { clock, connectTimeout, maxTries, maxTime, page, backoff } = this.#settings
    this.#disconnect(COMING_BACK, '')
    if (!mayReconnect(code)) return this.#close(code, reason)
    const isAsked = this.#reconnectIn !== null
    let delay = this.#reconnectIn ?? this.#backoff.next()
    this.#waitingSince = null
    if (isOffline(page)) {
      // No try of its own fault. Still one now and then: the platform may be wrong.
      delay = Math.max(delay, backoff.max)
    } else {
      if (!this.#isGood) this.#tries++
      // A connection is no try any more. Nor is what the machine slept through.
      if (this.#state.is === 'connecting') this.#time += Math.min(connectTimeout, Math.max(0, clock.now() - this.#triedAt))
      if (!isAsked) {
        this.#waitingSince = clock.now()
        if (maxTries > 0 && this.#tries >= maxTries) return this.#close(code, reason)
        if (maxTime > 0 && this.#time + delay >= maxTime) return this.#close(code, reason)
      }
    }
    this.#wait(delay, code, reason)
  }

  #wait (delay: number, code: number, reason: string): void {
    const { clock } = this.#settings
    clock.clearTimeout(this.#timer)
    this.#timer = clock.setTimeout(() => { this.#connect() }, delay)
    this.#set({ is: 'waiting', retryAt: clock.now() + delay, code, reason, tries: this.#tries })
  }

  #close (code: number, reason: string): void {
    this.#disconnect(disconnects.normal.code, '')
    this.#unwatch()
    this.#hooks.onClosed(reason)
    this.#set({ is: 'closed', code, reason })
  }

  /** Nothing of the present try or connection is heard any more. */
  #disconnect (code: number, reason: string): void {
    const { clock } = this.#settings
    this.#number++
    clock.clearTimeout(this.#timer)
    clock.clearTimeout(this.#goodTimer)
    this.#liveness.stop()
    this.#link?.drop(code, reason)
    this.#link = null
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#hooks.onLost()
  }

  /** There may be a network again, or the machine was asleep. */
  #awake (): void {
    this.#liveness.check()
    const { clock, backoff, random } = this.#settings
    if (this.#state.is !== 'waiting' || this.#reconnectIn !== null) return
    const { code, reason, retryAt } = this.#state
    const now = clock.now()
    // Not at once after the last try: a network that comes and goes must not make a loop of them.
    const pause = Math.min(backoff.min, Math.max(0, this.#triedAt + backoff.min - now))
    const delay = pause + Math.round(random() * Math.min(AWAKE_SPREAD_MS, backoff.min))
    if (now + delay < retryAt) this.#wait(delay, code, reason)
  }

  /** Nothing has failed so far. */
  #begin (): void {
    this.#isGood = true
    this.#backoff.reset()
    this.#tries = this.#time = 0
  }

  #set (state: ClientState): void {
    this.#state = state
    if (this.#untold.push(state) > 1) return
    for (const next of this.#untold) this.#hooks.onState(next)
    this.#untold.length = 0
  }
}
