import { EventEmitter } from 'node:events'
import { describe } from './describe.js'
import type { Connection, HubEvents } from './types.js'

type Listener = (...args: unknown[]) => unknown

/** The hub's events. A listener that throws or rejects breaks neither the hub nor the other listeners. */
export class HubEmitter {
  // No warning of many listeners: a test may wait for as many peers at once as it likes.
  readonly #emitter = new EventEmitter().setMaxListeners(0)
  readonly #logError: (error: unknown, connection: Connection | null) => void

  /** @param logError gets the errors that no 'error' listener takes */
  constructor (logError: (error: unknown, connection: Connection | null) => void) {
    this.#logError = logError
  }

  on<E extends keyof HubEvents> (event: E, listener: (...args: HubEvents[E]) => void): void { this.#emitter.on(event, listener as unknown as Listener) }
  once<E extends keyof HubEvents> (event: E, listener: (...args: HubEvents[E]) => void): void { this.#emitter.once(event, listener as unknown as Listener) }
  off<E extends keyof HubEvents> (event: E, listener: (...args: HubEvents[E]) => void): void { this.#emitter.off(event, listener as unknown as Listener) }

  has (event: keyof HubEvents): boolean { return this.#emitter.listenerCount(event) > 0 }

  emit<E extends keyof HubEvents> (event: E, ...args: HubEvents[E]): void {
    for (const listener of this.#emitter.rawListeners(event) as Listener[]) {
      try {
        const result = listener(...args)
        if (result instanceof Promise) result.catch((error: unknown) => { this.#failed(event, error, args) })
      } catch (error) {
        this.#failed(event, error, args)
      }
    }
  }

  /** Something of the application failed: told to 'error' listeners, or else logged. */
  report (error: unknown, connection: Connection | null): void {
    if (this.has('error')) this.emit('error', toError(error), connection)
    else this.#logError(error, connection)
  }

  #failed (event: keyof HubEvents, error: unknown, args: readonly unknown[]): void {
    const connection = (event === 'error' ? args[1] : args[0]) as Connection | null
    // A failing 'error' listener must not be told of its own failure.
    if (event === 'error') this.#logError(error, connection)
    else this.report(error, connection)
  }
}

function toError (value: unknown): Error {
  return value instanceof Error ? value : new Error(`A handler failed with ${describe(value)}`, { cause: value })
}
