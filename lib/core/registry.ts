import type { HubConnection } from './connection.js'

const NOBODY: ReadonlySet<HubConnection> = new Set()

/** The connections of this node, by id and by user. */
export class Registry {
  readonly #byId = new Map<string, HubConnection>()
  readonly #byUser = new Map<string, Set<HubConnection>>()

  get size (): number { return this.#byId.size }
  get users (): number { return this.#byUser.size }

  add (connection: HubConnection): void {
    this.#byId.set(connection.id, connection)
    if (connection.user === null) return
    const own = this.#byUser.get(connection.user)
    if (own === undefined) this.#byUser.set(connection.user, new Set([connection]))
    else own.add(connection)
  }

  remove (connection: HubConnection): void {
    this.#byId.delete(connection.id)
    if (connection.user === null) return
    const own = this.#byUser.get(connection.user)
    if (own === undefined) return
    own.delete(connection)
    if (own.size === 0) this.#byUser.delete(connection.user)
  }

  get (id: string): HubConnection | undefined { return this.#byId.get(id) }

  all (): IterableIterator<HubConnection> { return this.#byId.values() }

  ofUser (user: string): ReadonlySet<HubConnection> { return this.#byUser.get(user) ?? NOBODY }
}
