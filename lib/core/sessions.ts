import { FST_HUB_BROKER_UNAVAILABLE } from '../errors.js'
import { disconnects, type Ending } from '../protocol/disconnect.js'
import type { EndRequest } from './cluster/messages.js'
import type { RemoteLogins } from './cluster/remote-logins.js'
import type { HubConnection } from './connection.js'
import { MultiMap } from './multi-map.js'
import { Outranked } from './outranked.js'
import type { Directory, DirectoryEntry, DirectoryListener, Removal, RemovalCause, SessionScope } from './ports.js'
import { Registry } from './registry.js'
import { isThenable } from './thenable.js'
import type { Awaitable } from './types.js'

/** How many logins a user may have at once. */
export type SessionPolicy = 'many' | 'single-per-user' | 'single-per-device'

/**
 * The fence of a login that the directory could not be asked about. It is entered later, and its place then is known to the
 * directory alone: steps end it where they name it. As with 0, of one whose answer has not come.
 */
const UNRANKED = 0.5

/** A Removal, of which no more is known than who. */
interface Step extends Pick<Removal, 'fence'> { readonly removed: ReadonlyArray<{ readonly id: string }> }

interface Claim { readonly connection: HubConnection, readonly done: Promise<void> }

const SCOPES: Record<SessionPolicy, SessionScope> = { many: 'none', 'single-per-user': 'user', 'single-per-device': 'device' }

/**
 * The logins of this node: which of them a newer login, or a kick, ends. The directory puts all claims and kicks of a user
 * in one order and tells each its place, the fence. What it answers is acted upon by that place and not by the time at
 * which the answer comes: a step ends what was before it, whoever hears of it first, and nothing that was after it. So
 * an answer that is lost is made good by the next one.
 */
export class Sessions implements DirectoryListener {
  /** Accepted, but not in the registry: the claim is under way, or they end before they began. */
  readonly entering = new Registry()
  readonly directory: Directory
  readonly #registry: Registry
  readonly #remote: RemoteLogins
  readonly #scope: SessionScope
  /** Of those that enter: the highest step that ends them, should their own place turn out to be before it. */
  readonly #outranked = new Map<HubConnection, { readonly fence: number, readonly why: Ending }>()
  /** Those that steps have ended before their own place was known. */
  readonly #endedEarly = new WeakMap<HubConnection, Ending>()
  /** By user: the claims that are under way, with the word to whom they have replaced. Their connections may have ended meanwhile. */
  readonly #claims = new MultiMap<Claim>()

  /** @param registry the connections whose claim was answered */
  constructor (policy: SessionPolicy, directory: (listener: DirectoryListener) => Directory, registry: Registry, remote: RemoteLogins) {
    this.#scope = SCOPES[policy]
    this.#remote = remote
    this.#registry = registry
    this.directory = directory(this)
  }

  /**
   * Claims the place of a connection, and ends the older logins that it replaces. It may have ended itself then. It is in
   * `entering` as long as the directory, or a node that has one of those, has not answered. Where the directory is away, it is
   * let in if it takes nobody's place, and ended if it may.
   * @returns null when that is done
   * @throws what else the directory throws, or rejects with it
   */
  claim (connection: HubConnection): Promise<void> | null {
    const answer = this.directory.claim(connection, this.#scope, async (login) => await this.#isThere(login, connection))
    const claimed = isThenable(answer)
      ? Promise.resolve(answer).then(async (claim) => { await this.#claimed(connection, claim) }, (error: unknown) => { this.#unanswered(connection, error) })
      : this.#claimed(connection, answer)
    if (claimed === null) return null
    this.entering.add(connection)
    return connection.user === null ? claimed : this.#underWay(connection.user, { connection, done: claimed })
  }

  async #underWay (user: string, claim: Claim): Promise<void> {
    this.#claims.add(user, claim)
    try {
      await claim.done
    } finally {
      this.#claims.delete(user, claim)
    }
  }

  /** @returns null when nobody else has to be told */
  #claimed (connection: HubConnection, claim: Removal): Promise<void> | null {
    const { user } = connection
    const device = this.#scope === 'device' ? connection.device : undefined
    connection.fence = claim.fence
    const told: Array<Promise<unknown>> = []
    if (user !== null && this.#scope !== 'none') {
      // What has ended it is behind those, too. One that has left may be an earlier try of the same client as one of them: it has to come back.
      const why = connection.live ? disconnects.replaced : this.#endedEarly.get(connection) ?? disconnects.tryAgain
      told.push(...this.#end(user, claim, why, device).claims)
      const elsewhere = this.#remote.end(user, claim, { ...why, device, isLogin: true })
      if (elsewhere !== null) told.push(elsewhere)
    }
    this.#rank(connection)
    return told.length === 0 ? null : Promise.allSettled(told).then(() => {})
  }

  #unanswered (connection: HubConnection, error: unknown): void {
    const isOutranked = error instanceof Outranked
    if (!isOutranked && !(error instanceof FST_HUB_BROKER_UNAVAILABLE)) throw error
    // What it has been outranked by may have been before it: the directory finds out when it enters it.
    connection.fence = UNRANKED
    if (isOutranked) connection.disconnect(endOf(error.by))
    else if (this.#scope !== 'none' && connection.user !== null) connection.disconnect(disconnects.tryAgain)
  }

  /** @param own the login whose claim this is about: it may not be among those that enter yet */
  async #isThere (login: DirectoryEntry, own: HubConnection): Promise<boolean> {
    if (login.id === own.id) return await own.isThere()
    return await (login.nodeId === own.nodeId ? this.isThere(login.id) : this.#remote.isThere(login))
  }

  #rank (connection: HubConnection): void {
    const outranked = this.#outranked.get(connection)
    if (outranked !== undefined && connection.fence < outranked.fence) connection.disconnect(outranked.why)
  }

  /** Ends all logins that the user has at this moment. @returns how many this call ended, as far as their nodes say so */
  async kickUser (user: string, why: Ending): Promise<number> {
    const before = this.#ofUser(user)
    const removal = await this.directory.removeUser(user)
    // Those of which the directory could not be asked, be it meanwhile, were here before it, whatever their place will be.
    const unranked = before.filter(({ fence }) => fence === UNRANKED)
    return this.#end(user, { fence: removal.fence, removed: [...removal.removed, ...unranked] }, why).count + (await this.#remote.end(user, removal, { ...why, device: undefined, isLogin: false }) ?? 0)
  }

  /** Another node has made a step of the directory that ends logins here. @returns how many this call ended; for a login, when those they have replaced have ended, too */
  endFor ({ user, fence, ids, code, reason, device, isLogin }: EndRequest): Awaitable<number> {
    const { count, claims } = this.#end(user, { fence, removed: ids.map((id) => ({ id })) }, { code, reason }, device)
    return isLogin !== true || claims.length === 0 ? count : Promise.allSettled(claims).then(() => count)
  }

  /** Another node asks for the client of a login of this one. */
  async isThere (id: string): Promise<boolean> { return await this.#find(id)?.isThere() ?? false }

  /** It has ended. @throws what the directory rejects with, unless it is away (as a rejection): then it does that later */
  async forget (connection: HubConnection): Promise<void> {
    try {
      await this.directory.remove(connection)
    } catch (error) {
      if (!(error instanceof FST_HUB_BROKER_UNAVAILABLE)) throw error
    }
  }

  /* ---- DirectoryListener ---- */

  onRemoved (ids: readonly string[], cause: RemovalCause): void { this.#endAll(ids, endOf(cause)) }

  onLeaseLost (ids: readonly string[]): void { this.#endAll(ids, disconnects.tryAgain) }

  #endAll (ids: readonly string[], why: Ending): void {
    for (const id of ids) {
      const connection = this.#find(id)
      // What ends already has its own code, and its last messages may still be handled.
      if (connection?.live === true) connection.disconnect(why)
    }
  }

  /** It is in the registry now, or its socket has ended. */
  entered (connection: HubConnection): void {
    this.entering.remove(connection)
    this.#outranked.delete(connection)
  }

  #find (id: string): HubConnection | undefined { return this.#registry.get(id) ?? this.entering.get(id) }

  #ofUser (user: string): HubConnection[] { return [...this.#registry.ofUser(user), ...this.entering.ofUser(user)] }

  /**
   * @param device only logins of this one (null: those without one); undefined: all
   * @returns how many this ended, and the claims that are under way of those that it concerns, be it that they had ended before
   */
  #end (user: string, { fence, removed }: Step, why: Ending, device?: string | null): { count: number, claims: Array<Promise<void>> } {
    const concerns = (connection: HubConnection): boolean => device === undefined || connection.device === device
    const isBefore = (connection: HubConnection): boolean =>
      connection.fence < 1 ? removed.some(({ id }) => id === connection.id) : connection.fence < fence
    let count = 0
    for (const connection of this.#ofUser(user)) {
      if (!concerns(connection)) continue
      if (isBefore(connection)) {
        if (connection.disconnect(why)) {
          count++
          if (connection.fence === 0) this.#endedEarly.set(connection, why)
        }
      } else if (connection.fence === 0 && fence > (this.#outranked.get(connection)?.fence ?? 0)) {
        this.#outranked.set(connection, { fence, why })
      }
    }
    const claims = [...this.#claims.get(user)].filter(({ connection }) => concerns(connection) && isBefore(connection))
    return { count, claims: claims.map(({ done }) => done) }
  }
}

function endOf (cause: RemovalCause): Ending { return cause === 'login' ? disconnects.replaced : disconnects.kicked }
