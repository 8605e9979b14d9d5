import { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'

/** What libuv reads at most in one go. */
export const READ_BYTES = 64 * 1024

/** What was read is in the first `bytes` of `buffer`, until it returns. */
export type OnRead = (this: Socket, bytes: number, buffer: Buffer) => void

/** What a Socket keeps its `onread` option under. */
interface Slots { readonly buffer: symbol, readonly callback: symbol }

type Slotted = Socket & Record<symbol, unknown> & { _handle: { useUserBuffer?: unknown } | null }

/**
 * Reads into memory that all sockets share. For each read Node allocates 64 KiB, cuts it to what came, and passes it
 * through a stream, which for a message of 64 bytes is a fifth of all work on it, and for large ones feeds the
 * garbage collector. The documented remedy is the option `onread: { buffer, callback }` of net.Socket; but it is one of the
 * constructor's, and a server's sockets are made by Node. So a socket gets it later, as the constructor would set it: this
 * relies on a socket that keeps buffer and callback in two symbols of its own, looked up as late as at each read, and on
 * `useUserBuffer` of its handle. Where Node is not like this, nothing is touched, and 'data' events are as good.
 *
 * Node itself knows sockets of this kind: `pause` stops reading at once, with nothing left in the stream, and 'end',
 * 'error' and 'close' come as ever. Such a socket has no 'data' events.
 */
export class SharedRead {
  readonly #buffer: Buffer
  readonly #slots: Slots

  private constructor (buffer: Buffer, slots: Slots) {
    this.#buffer = buffer
    this.#slots = slots
  }

  /** @returns null where Node keeps `onread` in another way */
  static create (SocketClass: new (options: object) => object = Socket): SharedRead | null {
    // Not from a pool, and for as long as there are sockets: the handle has its address.
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES)
    const callback = (): void => {}
    const probe = new SocketClass({ onread: { buffer, callback } }) as Record<symbol, unknown>
    const slotOf = (value: unknown): symbol | undefined => Object.getOwnPropertySymbols(probe).find((symbol) => probe[symbol] === value)
    const slots = { buffer: slotOf(buffer), callback: slotOf(callback) }
    return slots.buffer === undefined || slots.callback === undefined ? null : new SharedRead(buffer, slots as Slots)
  }

  /**
   * Begins to read a socket this way, for good. Where nobody has read it yet, reading begins.
   * @returns false when it is not a socket for this, which is left as it is
   */
  begin (socket: Socket, onRead: OnRead): boolean {
    const { _handle: handle } = socket as Slotted
    // Of TLS, what has been decrypted would come although it is paused, into memory that may be in use; and its reads are exact.
    if (handle === null || typeof handle.useUserBuffer !== 'function' || socket instanceof TLSSocket) return false
    // In the stream already, and it must stay in order; or others read it, too, or have paused it.
    if (socket.readableLength > 0 || socket.readableFlowing === false || socket.listenerCount('data') > 0) return false
    handle.useUserBuffer(this.#buffer)
    ;(socket as Slotted)[this.#slots.callback] = onRead
    ;(socket as Slotted)[this.#slots.buffer] = this.#buffer
    socket.resume()
    return true
  }
}
