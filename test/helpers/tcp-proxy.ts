import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { Test } from 'tap'

/** A network between a client and a server on 127.0.0.1, which can be cut, and can swallow what it is given. */
export class TcpProxy {
  readonly #port: number
  readonly #server = createServer({ allowHalfOpen: true }, (socket) => { this.#accept(socket) })
  readonly #sockets = new Set<Socket>()
  /** Those of before a loss: nothing of them goes on, also when the network is back. */
  readonly #lost = new WeakSet<Socket>()
  #isLost = false
  /** Connections that came, ever. */
  accepted = 0

  private constructor (port: number) {
    this.#port = port
  }

  /** @param port of the server */
  static async start (t: Test, port: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(port)
    t.teardown(() => {
      proxy.#server.close()
      proxy.cut()
    })
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  get port (): number { return (this.#server.address() as AddressInfo).port }

  /** Resets all connections. */
  cut (): void { for (const socket of this.#sockets) socket.resetAndDestroy() }

  /** From now on nothing arrives, on either side, and nobody is told: as when a cable is pulled. */
  lose (): void {
    this.#isLost = true
    for (const socket of this.#sockets) this.#lost.add(socket)
  }

  /** New connections get through; those of before the loss do not come to life again. */
  restore (): void { this.#isLost = false }

  #accept (near: Socket): void {
    this.accepted++
    const far = connect(this.#port, '127.0.0.1')
    for (const [from, to] of [[near, far], [far, near]] as const) {
      this.#sockets.add(from)
      if (this.#isLost) this.#lost.add(from)
      from.on('data', (data) => { if (!this.#lost.has(from)) to.write(data) })
      from.on('end', () => { if (!this.#lost.has(from)) to.end() })
      from.on('error', () => { if (!this.#lost.has(from)) to.destroy() })
      from.on('close', () => {
        this.#sockets.delete(from)
        if (!this.#lost.has(from)) to.destroy()
      })
    }
  }
}
