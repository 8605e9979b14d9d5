import { EventEmitter } from 'node:events'
import { FST_HUB_INVALID_ARGUMENT } from '../errors.js'
import { describe } from './describe.js'
import { isThenable } from './thenable.js'
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

  on<E extends keyof HubEvents> (event: E, listener: (...args: HubEvents[E]) => void): void { this.#emitter.on(checkEvent(event), checkListener(listener)) }
  once<E extends keyof HubEvents> (event: E, listener: (...args: HubEvents[E]) => void): void { this.#emitter.once(checkEvent(event), checkListener(listener)) }
  off<E extends keyof HubEvents> (event: E, listener: (...args: HubEvents[E]) => void): void { this.#emitter.off(checkEvent(event), checkListener(listener)) }

  has (event: keyof HubEvents): boolean { return this.#emitter.listenerCount(event) > 0 }

  emit<E extends keyof HubEvents> (event: E, ...args: HubEvents[E]): void {
    for (const listener of this.#emitter.rawListeners(event) as Listener[]) {
      try {
        const result = listener(...args)
        if (isThenable(result)) result.then(undefined, (error: unknown) => { this.#failed(event, error, args) })
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
    if (event !== 'error') return this.report(error, connection)
    // A failing 'error' listener must not be told of its own failure; and what it was told nobody may have heard of.
    this.#logError(args[0], connection)
    this.#logError(error, connection)
  }
}

const EVENTS: readonly unknown[] = ['connect', 'disconnect', 'overflow', 'error'] satisfies Array<keyof HubEvents>

/** @throws FST_HUB_INVALID_ARGUMENT: nobody would ever be told of another one */
function checkEvent (event: keyof HubEvents): keyof HubEvents {
  if (!EVENTS.includes(event)) throw new FST_HUB_INVALID_ARGUMENT('event', "'connect', 'disconnect', 'overflow' or 'error'", describe(event))
  return event
}

/** @throws FST_HUB_INVALID_ARGUMENT */
function checkListener (listener: unknown): Listener {
  if (typeof listener !== 'function') throw new FST_HUB_INVALID_ARGUMENT('listener', 'a function', describe(listener))
  return listener as Listener
}

function toError (value: unknown): Error {
  return value instanceof Error ? value : new Error(`A handler failed with ${describe(value)}`, { cause: value })
}
