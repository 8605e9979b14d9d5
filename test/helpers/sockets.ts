import type { Socket } from 'node:net'

/** Sockets of a server. */
export class Sockets {
  readonly #all = new Set<Socket>()

  /** Those that have not ended. */
  get size (): number { return [...this.#all].filter(({ destroyed }) => !destroyed).length }

  add (socket: Socket): void {
    this.#all.add(socket)
    socket.once('close', () => { this.#all.delete(socket) })
  }

  /** Resets them. */
  cut (): void { for (const socket of this.#all) socket.resetAndDestroy().destroy() }
}
