import type { HubConnection } from './connection.js'
import { MultiMap } from './multi-map.js'

/** The connections of this node, by id and by user. */
export class Registry {
  readonly #byId = new Map<string, HubConnection>()
  readonly #byUser = new MultiMap<HubConnection>()

  get size (): number { return this.#byId.size }
  get users (): number { return this.#byUser.size }

  add (connection: HubConnection): void {
    this.#byId.set(connection.id, connection)
    if (connection.user !== null) this.#byUser.add(connection.user, connection)
  }

  remove (connection: HubConnection): void {
    this.#byId.delete(connection.id)
    if (connection.user !== null) this.#byUser.delete(connection.user, connection)
  }

  get (id: string): HubConnection | undefined { return this.#byId.get(id) }

  all (): IterableIterator<HubConnection> { return this.#byId.values() }

  ofUser (user: string): readonly HubConnection[] | ReadonlySet<HubConnection> { return this.#byUser.get(user) }
}
