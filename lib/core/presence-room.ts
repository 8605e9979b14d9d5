import type { PresenceDiff, PresenceListener } from './ports.js'

/** What a listener believes of something that has changed since it was told; null: some of its askers this, others that. */
type Belief = boolean | null

/** What has changed since a listener was told. What has changed back is found when it is told again. */
interface Changes {
  /** By user: whether it was there. */
  readonly users: Map<string, Belief>
  /** By user and key: whether the state held. */
  readonly states: Map<string, Map<string, Belief>>
}

/** Who is in one room, what they are doing, and who is told of it. Most rooms have neither states nor listeners. */
export class PresenceRoom {
  /** By user: the ids of its connections. */
  readonly #members = new Map<string, Set<string>>()
  /** By user, who is a member, and key: when it ends, in monotonic milliseconds. */
  #states: Map<string, Map<string, number>> | null = null
  #watchers: Map<PresenceListener, Changes> | null = null

  /** Whether nobody is here, and nobody watches. */
  get empty (): boolean { return this.#members.size === 0 && this.#watchers === null }

  /** Whether time will bring something: there is a change to tell, or a state that will end. */
  get pending (): boolean {
    if (this.#states !== null) return true
    for (const { users, states } of this.#watchers?.values() ?? []) if (users.size > 0 || states.size > 0) return true
    return false
  }

  enter (user: string, connectionId: string): void {
    const own = this.#members.get(user)
    if (own === undefined) {
      this.#note(user, false)
      this.#members.set(user, new Set([connectionId]))
    } else {
      own.add(connectionId)
    }
  }

  leave (user: string, connectionId: string): void {
    const own = this.#members.get(user)
    if (own?.delete(connectionId) !== true || own.size > 0) return
    for (const key of this.#states?.get(user)?.keys() ?? []) this.endState(user, key)
    this.#note(user, true)
    this.#members.delete(user)
  }

  /** @param end monotonic milliseconds */
  setState (user: string, key: string, end: number): void {
    if (!this.#members.has(user)) return
    const states = this.#states ??= new Map<string, Map<string, number>>()
    const own = states.get(user)
    if (own?.has(key) !== true) this.#noteState(user, key, false)
    if (own === undefined) states.set(user, new Map([[key, end]]))
    else own.set(key, end)
  }

  endState (user: string, key: string): void {
    const own = this.#states?.get(user)
    if (own?.delete(key) !== true) return
    this.#noteState(user, key, true)
    if (own.size === 0) this.#states?.delete(user)
    if (this.#states?.size === 0) this.#states = null
  }

  /** Ends the states whose time is over. */
  expire (now: number): void {
    for (const [user, own] of this.#states ?? []) {
      for (const [key, end] of own) if (end <= now) this.endState(user, key)
    }
  }

  /**
   * Makes it what it is elsewhere. Repeating it is harmless.
   * @param states with their ends in monotonic milliseconds @param keepsOthers whether those that are here and not there stay
   */
  replace (members: Iterable<Readonly<{ user: string, connectionId: string }>>, states: Iterable<Readonly<{ user: string, key: string, end: number }>>, keepsOthers: boolean): void {
    const there = new PairSet()
    for (const { user, connectionId } of members) {
      there.add(user, connectionId)
      this.enter(user, connectionId)
    }
    if (!keepsOthers) {
      for (const [user, own] of this.#members) for (const id of own) if (!there.has(user, id)) this.leave(user, id)
    }
    const holding = new PairSet()
    for (const { user, key, end } of states) {
      holding.add(user, key)
      this.setState(user, key, end)
    }
    if (!keepsOthers) {
      for (const [user, own] of this.#states ?? []) for (const key of own.keys()) if (!holding.has(user, key)) this.endState(user, key)
    }
  }

  /** Who asked was told that these users are here (the keys), which may be older or newer than what is here: where it differs, that is told in any case. */
  listed (asker: PresenceListener, users: ReadonlyMap<string, unknown>): void {
    const changes = this.#watchers?.get(asker)?.users
    if (changes === undefined) return
    for (const user of changes.keys()) changes.set(user, null)
    for (const user of users.keys()) if (!this.#members.has(user)) changes.set(user, null)
    for (const user of this.#members.keys()) if (!users.has(user)) changes.set(user, null)
  }

  /** The same of states. */
  statesListed (asker: PresenceListener, states: Iterable<Readonly<{ user: string, key: string }>>): void {
    const changes = this.#watchers?.get(asker)
    if (changes === undefined) return
    const doubt = (user: string, key: string): void => { beliefsOf(changes, user).set(key, null) }
    const listed = new PairSet()
    for (const { user, key } of states) {
      listed.add(user, key)
      if (this.#states?.get(user)?.has(key) !== true) doubt(user, key)
    }
    for (const own of changes.states.values()) for (const key of own.keys()) own.set(key, null)
    for (const [user, own] of this.#states ?? []) for (const key of own.keys()) if (!listed.has(user, key)) doubt(user, key)
  }

  /** @param asker sees what may change back before it is told: from here on it is told in any case */
  list (asker: PresenceListener): Array<{ user: string, connections: number }> {
    const users = this.#watchers?.get(asker)?.users
    for (const user of users?.keys() ?? []) users?.set(user, null)
    return [...this.#members].map(([user, { size }]) => ({ user, connections: size }))
  }

  /** The states that hold now. @param asker as in `list` */
  states (asker: PresenceListener, now: number): Array<{ user: string, key: string }> {
    this.expire(now)
    for (const own of this.#watchers?.get(asker)?.states.values() ?? []) for (const key of own.keys()) own.set(key, null)
    return [...this.#states ?? []].flatMap(([user, own]) => [...own.keys()].map((key) => ({ user, key })))
  }

  watch (listener: PresenceListener): void {
    this.#watchers ??= new Map<PresenceListener, Changes>()
    if (!this.#watchers.has(listener)) this.#watchers.set(listener, { users: new Map(), states: new Map() })
  }

  unwatch (listener: PresenceListener): void {
    this.#watchers?.delete(listener)
    if (this.#watchers?.size === 0) this.#watchers = null
  }

  /** For each listener what is not as it was when it was told last. From here on, that has been told. */
  take (): Array<{ listener: PresenceListener, diff: PresenceDiff }> {
    const taken = Array.from(this.#watchers ?? [], ([listener, changes]) => {
      const diff = this.#diff(changes)
      changes.users.clear()
      changes.states.clear()
      return { listener, diff }
    })
    return taken.filter(({ diff: { joined, left, states } }) => joined.length + left.length + states.length > 0)
  }

  #diff ({ users, states }: Changes): PresenceDiff {
    const diff = { joined: [] as string[], left: [] as string[], states: [] as Array<PresenceDiff['states'][number]> }
    for (const [user, before] of users) {
      const there = this.#members.has(user)
      if (there !== before) (there ? diff.joined : diff.left).push(user)
    }
    for (const [user, own] of states) {
      for (const [key, before] of own) {
        const active = this.#states?.get(user)?.has(key) === true
        if (active !== before) diff.states.push({ user, key, active })
      }
    }
    return diff
  }

  #note (user: string, before: boolean): void {
    for (const { users } of this.#watchers?.values() ?? []) if (!users.has(user)) users.set(user, before)
  }

  #noteState (user: string, key: string, before: boolean): void {
    for (const changes of this.#watchers?.values() ?? []) {
      const own = beliefsOf(changes, user)
      if (!own.has(key)) own.set(key, before)
    }
  }
}

/** By key: what is believed of the states of a user. */
function beliefsOf ({ states }: Changes, user: string): Map<string, Belief> {
  let own = states.get(user)
  if (own === undefined) states.set(user, own = new Map())
  return own
}

/** Pairs of names. */
class PairSet {
  readonly #pairs = new Map<string, Set<string>>()

  add (first: string, second: string): void {
    const own = this.#pairs.get(first)
    if (own === undefined) this.#pairs.set(first, new Set([second]))
    else own.add(second)
  }

  has (first: string, second: string): boolean { return this.#pairs.get(first)?.has(second) === true }
}
