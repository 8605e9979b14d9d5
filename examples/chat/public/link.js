/** Milliseconds. Before the n-th try: MIN_DELAY, and at random up to FIRST_DELAY * 2^n, at most MAX_DELAY. */
const MIN_DELAY = 500
const FIRST_DELAY = 1000
const MAX_DELAY = 20_000
/** A connection that lived this long was a good one: the next tries begin anew. */
const GOOD_AFTER = 10_000
const CONNECT_TIMEOUT = 10_000

/** Standard codes (RFC 6455 section 7.4.1) after which the same would only happen again. */
const FINAL = new Set([1000, 1002, 1003, 1007, 1008, 1009, 1010])
const ABNORMAL = 1006

/** Whether to come back after a close code: fastify-hub's 4500 to 4999 say no, 4000 to 4499 say yes. */
const mayReturn = (code) => !FINAL.has(code) && !(code >= 4500 && code <= 4999)

/** A WebSocket for JSON messages that comes back by itself, with backoff and jitter, unless it was told not to. */
export class Link {
  /** `is`: 'connecting', 'online', 'waiting' (until `retryAt`) or 'closed'; the last two with the `code` and `reason` of the end. */
  state = { is: 'closed', code: 0, reason: '' }
  #url
  #onState
  #onMessage
  #socket = null
  #timer = 0
  #tries = 0
  #onlineSince = 0

  constructor (url, { onState, onMessage }) {
    this.#url = url
    this.#onState = onState
    this.#onMessage = onMessage
  }

  /** Connects now, also before the time has come. */
  open () {
    this.#drop()
    const socket = this.#socket = new WebSocket(this.#url)
    this.#timer = setTimeout(() => { this.#lost(ABNORMAL, 'no answer') }, CONNECT_TIMEOUT)
    socket.onmessage = ({ data }) => {
      // Not before the first message: an open socket says only that the handshake went well.
      if (this.state.is === 'connecting') {
        clearTimeout(this.#timer)
        this.#onlineSince = Date.now()
        this.#set({ is: 'online' })
      }
      this.#onMessage(JSON.parse(data))
    }
    socket.onclose = ({ code, reason }) => { this.#lost(code, reason) }
    this.#set({ is: 'connecting' })
  }

  /** @returns whether it went out: nothing is kept for later */
  send (message) {
    if (this.state.is !== 'online' || this.#socket.readyState !== WebSocket.OPEN) return false
    this.#socket.send(JSON.stringify(message))
    return true
  }

  /** Gives up a connection that is dead, and tries again. */
  abandon (reason) { this.#lost(ABNORMAL, reason) }

  /** Ends it for good, and says no more. */
  close () { this.#drop() }

  #lost (code, reason) {
    this.#drop()
    if (!mayReturn(code)) {
      this.#set({ is: 'closed', code, reason })
      return
    }
    if (this.#onlineSince > 0 && Date.now() - this.#onlineSince > GOOD_AFTER) this.#tries = 0
    this.#onlineSince = 0
    const delay = MIN_DELAY + Math.random() * Math.min(MAX_DELAY, FIRST_DELAY * 2 ** this.#tries++)
    this.#timer = setTimeout(() => { this.open() }, delay)
    this.#set({ is: 'waiting', code, reason, retryAt: Date.now() + delay })
  }

  #set (state) {
    this.state = state
    this.#onState()
  }

  /** A socket whose network is gone would tell of its end minutes later: its handlers are taken off first. */
  #drop () {
    clearTimeout(this.#timer)
    if (this.#socket === null) return
    this.#socket.onmessage = this.#socket.onclose = null
    this.#socket.close(1000)
    this.#socket = null
  }
}
