type Listener<Args extends unknown[]> = (...args: Args) => unknown

/** Listeners by name. One that throws, or whose promise rejects, keeps neither the others nor the client from going on. */
export class Emitter<Events extends { [Name in keyof Events]: unknown[] }> {
  readonly #listeners: { [Name in keyof Events]?: Array<{ call: Listener<Events[Name]> }> } = {}
  readonly #onFailure: (error: unknown, name: keyof Events) => void

  /** @param onFailure gets what a listener throws, or its promise rejects with, and what it listens to */
  constructor (onFailure: (error: unknown, name: keyof Events) => void) {
    this.#onFailure = onFailure
  }

  /** Calls `fn` each time. The function that it returns ends that. */
  on<Name extends keyof Events> (name: Name, fn: Listener<Events[Name]>): () => void {
    const listener = { call: fn }
    this.#listeners[name] = [...(this.#listeners[name] ?? []), listener]
    return () => { this.#listeners[name] = this.#listeners[name]?.filter((other) => other !== listener) ?? [] }
  }

  has (name: keyof Events): boolean { return (this.#listeners[name]?.length ?? 0) > 0 }

  /** Calls the listeners in the order in which they came. @returns resolves once all have; with whether there was one, and none failed */
  emit<Name extends keyof Events> (name: Name, ...args: Events[Name]): Promise<boolean> {
    const listeners = this.#listeners[name] ?? []
    return Promise.all(listeners.map(async ({ call }) => {
      try {
        await call(...args)
        return true
      } catch (error) {
        this.#onFailure(error, name)
        return false
      }
    })).then((done) => done.length > 0 && !done.includes(false))
  }
}
