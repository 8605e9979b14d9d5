import type { WebSocketConstructor, WebSocketLike } from '../../lib/client/platform.js'

type Handler<Event> = ((event: Event) => void) | null

/** A WebSocket that does what the test says, and nothing else. */
export class FakeWebSocket implements WebSocketLike {
  readyState = 0
  protocol = ''
  binaryType = 'blob'
  onopen: Handler<never> = null
  onmessage: Handler<never> = null
  onerror: Handler<never> = null
  onclose: Handler<never> = null
  /** What the client has sent, as it was. */
  readonly raw: Array<string | Uint8Array> = []
  closedWith: number | undefined
  /** Whether `send` and `close` throw. */
  isBroken = false
  readonly url: string
  readonly offered: string

  constructor (url: string, protocol: string) {
    this.url = url
    this.offered = protocol
  }

  /** What the client has sent, of one kind if `op` says so. */
  sent (op?: string): Array<Record<string, unknown>> {
    return this.raw.map((data) => JSON.parse(String(data)) as Record<string, unknown>).filter((message) => op === undefined || message.op === op)
  }

  send (data: string | Uint8Array): void {
    if (this.isBroken || this.readyState !== 1) throw new Error('InvalidStateError')
    this.raw.push(data)
  }

  close (code?: number): void {
    if (this.isBroken) throw new Error('InvalidStateError')
    this.readyState = 2
    this.closedWith = code
  }

  /* ---- what the server and the network do ---- */

  accept (protocol = this.offered): void {
    this.readyState = 1
    this.protocol = protocol
    this.#tell(this.onopen, {})
  }

  receive (message: object): void { this.receiveRaw(JSON.stringify(message)) }

  receiveRaw (data: unknown): void { this.#tell(this.onmessage, { data }) }

  fail (): void {
    this.readyState = 3
    this.#tell(this.onerror, {})
  }

  end (code = 1006, reason = ''): void {
    this.readyState = 3
    this.#tell(this.onclose, { code, reason })
  }

  #tell (handler: Handler<never>, event: object): void { handler?.(event as never) }
}

/** A class of them whose objects the test can see. */
export function fakeWebSockets (): { WebSocket: WebSocketConstructor, sockets: FakeWebSocket[], broken: { isConstructor: boolean } } {
  const sockets: FakeWebSocket[] = []
  const broken = { isConstructor: false }
  class WebSocket extends FakeWebSocket {
    constructor (url: string, protocol: string) {
      super(url, protocol)
      if (broken.isConstructor) throw new SyntaxError('The URL is invalid')
      sockets.push(this)
    }
  }
  return { WebSocket, sockets, broken }
}
