import type { Presence, PresenceDiff } from '../../lib/core/ports.js'

/** What a client makes of an answer and of the diffs after it. */
export class PresenceView {
  readonly #users: Set<string>
  readonly #states: Set<string>

  constructor (users: ReadonlyArray<{ user: string }>, states: ReadonlyArray<{ user: string, key: string }>) {
    this.#users = new Set(users.map(({ user }) => user))
    this.#states = new Set(states.map(({ user, key }) => `${user}:${key}`))
  }

  /** Asks for it. */
  static async of (presence: Presence, room: string): Promise<PresenceView> {
    // Together: of what is told between the two answers it would not know.
    const [users, states] = await Promise.all([presence.list(room), presence.states(room)])
    return new PresenceView(users, states)
  }

  apply ({ joined, left, states }: PresenceDiff): void {
    for (const user of joined) this.#users.add(user)
    for (const user of left) this.#users.delete(user)
    for (const { user, key, active } of states) this.#states[active ? 'add' : 'delete'](`${user}:${key}`)
  }

  get text (): string { return [...this.#users].sort().join() + '|' + [...this.#states].sort().join() }
}
