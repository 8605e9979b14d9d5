import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { Test } from 'tap'

/** `up`: from clients to the server. */
export type Direction = 'up' | 'down'

interface Pair { readonly client: Socket, readonly server: Socket, isHalfOpen: boolean, isLost: boolean }

/** The network between clients and a server on 127.0.0.1, with the faults of one, on command. What is cut or held is what there is: connections that come later pass. */
export class TcpProxy {
  readonly #server: Server
  readonly #pairs = new Set<Pair>()
  readonly #target: () => number
  readonly #from: string | undefined
  /** Connections ever. */
  opened = 0
  #isLost = false

  private constructor (target: () => number, from: string | undefined) {
    this.#target = target
    this.#from = from
    // A half that has ended is passed on, not answered.
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => { this.#join(client) })
  }

  /**
   * @param target port of the server, asked for each connection
   * @param from the address that clients have for the server: one of 127.0.0.0/8, all of which are those of a Linux machine
   */
  static async start (t: Test, target: () => number, from?: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(target, from)
    t.teardown(() => {
      proxy.#server.close()
      proxy.cut()
    })
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  get port (): number { return (this.#server.address() as AddressInfo).port }

  /** Connections that pass through it now. */
  get size (): number { return this.#pairs.size }

  /** Both ends see a reset; what was on the way is lost. */
  cut (): void {
    for (const { client, server } of this.#pairs) {
      reset(client)
      reset(server)
    }
  }

  /** Nothing passes in this direction until `release`: a network that stalls, or a peer that does not read. It is kept, here and in the sender. */
  hold (direction: Direction): void {
    for (const pair of this.#pairs) sender(pair, direction).pause()
  }

  release (direction: Direction): void {
    for (const pair of this.#pairs) sender(pair, direction).resume()
  }

  /** The client's end is reset, and the server is not told: it has a half-open connection until it finds out by itself. */
  halfOpen (): void {
    for (const pair of this.#pairs) {
      pair.isHalfOpen = true
      pair.server.pause()
      reset(pair.client)
    }
  }

  /** From now on nothing arrives on either side, new connections included, and nobody is told: as when a cable is pulled. */
  lose (): void {
    this.#isLost = true
    for (const pair of this.#pairs) pair.isLost = true
  }

  /** New connections get through; those of before do not come to life again. */
  restore (): void { this.#isLost = false }

  #join (client: Socket): void {
    this.opened++
    const server = connect({ port: this.#target(), host: '127.0.0.1', ...this.#from !== undefined && { localAddress: this.#from }, allowHalfOpen: true, noDelay: true })
    const pair = { client, server, isHalfOpen: false, isLost: this.#isLost }
    this.#pairs.add(pair)
    pass(pair, client, server)
    pass(pair, server, client)
    // A lost one, or a half-open one, has one end for longer than the other, and may be cut until then.
    const closed = ({ destroyed }: Socket): void => { if (destroyed) this.#pairs.delete(pair) }
    client.on('close', () => { closed(server) })
    server.on('close', () => { closed(client) })
  }
}

function sender ({ client, server }: Pair, direction: Direction): Socket { return direction === 'up' ? client : server }

/** At once, whatever waits to be written: `resetAndDestroy` alone would wait for that. */
function reset (socket: Socket): void {
  // libuv refuses that of one that is being ended, and Node, which does not expect it, never gets to the end of the process.
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy().destroy()
}

/** As `pipe` does, but what ends with a reset ends the other with one, too. */
function pass (pair: Pair, from: Socket, to: Socket): void {
  from.on('data', (chunk) => {
    if (pair.isLost || to.destroyed || to.write(chunk)) return
    from.pause()
    to.once('drain', () => { from.resume() })
  })
  from.on('end', () => { if (!pair.isLost) to.end() })
  from.on('error', () => {})
  from.on('close', (hadError) => {
    if (pair.isHalfOpen || pair.isLost) return
    if (hadError) reset(to)
    else to.destroySoon()
  })
}
