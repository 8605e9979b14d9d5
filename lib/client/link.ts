import { ABNORMAL } from '../protocol/disconnect.js'
import type { ClientClock, WebSocketConstructor, WebSocketLike } from './platform.js'

const OPEN = 1
/** How long the event that ends a socket may take once the socket has said that it is at its end. */
const END_GRACE_MS = 1_000

export interface LinkListener {
  onOpen (): void
  onData (data: unknown): void
  /** It is over, by the other side or by itself. At most once, and nothing after it. */
  onEnd (code: number, reason: string): void
}

/**
 * One WebSocket, whose end is told exactly once, whatever the socket does: an error without a close event, or a socket that
 * stays in CLOSING, ends after a grace.
 */
export class Link {
  readonly #socket: WebSocketLike
  readonly #clock: ClientClock
  readonly #onEnd: LinkListener['onEnd']
  #graceTimer: unknown
  #ended = false

  /** @throws what the constructor of the WebSocket throws */
  constructor (WebSocket: WebSocketConstructor, url: string, protocol: string, clock: ClientClock, listener: LinkListener) {
    this.#clock = clock
    this.#onEnd = (code, reason) => { listener.onEnd(code, reason) }
    const socket = this.#socket = new WebSocket(url, protocol)
    socket.binaryType = 'arraybuffer'
    socket.onopen = () => {
      // A browser takes a server that has chosen none. It would speak anything.
      if (socket.protocol === protocol) listener.onOpen()
      else this.#fail(`the server does not speak ${protocol}`)
    }
    socket.onmessage = ({ data }: { readonly data: unknown }) => { listener.onData(data) }
    // The close event that follows has the code. Should there be none, this is the end.
    socket.onerror = () => { this.#expectEnd('error of the socket') }
    socket.onclose = ({ code, reason }: { readonly code: number, readonly reason: string }) => {
      this.#detach()
      this.#onEnd(code, reason)
    }
  }

  /** What the socket does not take is lost. One that is at its end will tell so. */
  send (data: string | Uint8Array<ArrayBuffer>): void {
    const { readyState } = this.#socket
    if (readyState > OPEN) this.#expectEnd('no close event')
    if (readyState !== OPEN || this.#ended) return
    try {
      this.#socket.send(data)
    } catch {
      // Nobody may ever hear of it from the socket. The answer that does not come, or the silence, is what tells.
    }
  }

  /**
   * Ends it without a word to the listener: where the network is gone, the close event of the socket would come minutes later.
   * Repeating it is harmless.
   */
  drop (code: number, reason: string): void {
    if (this.#ended) return
    this.#detach()
    try {
      this.#socket.close(code, reason)
    } catch {
      // It has never been open, or is not a good socket: nothing is left to be closed.
    }
  }

  #expectEnd (reason: string): void {
    if (this.#ended) return
    this.#graceTimer ??= this.#clock.setTimeout(() => { this.#fail(reason) }, END_GRACE_MS)
  }

  #fail (reason: string): void {
    this.drop(1000, '')
    this.#onEnd(ABNORMAL, reason)
  }

  #detach (): void {
    this.#ended = true
    this.#clock.clearTimeout(this.#graceTimer)
    const socket = this.#socket
    socket.onopen = socket.onmessage = socket.onclose = null
    // Not null: the package ws throws an error that nobody hears, such as that of a close before the handshake is over.
    socket.onerror = () => {}
  }
}
