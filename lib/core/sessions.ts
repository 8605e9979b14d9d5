import { disconnects, type Disconnect } from '../protocol/disconnect.js'
import type { HubConnection } from './connection.js'
import type { Directory, Removal, SessionScope } from './ports.js'
import { Registry } from './registry.js'
import { isThenable } from './thenable.js'

/** How many logins a user may have at once. */
export type SessionPolicy = 'many' | 'single-per-user' | 'single-per-device'

type Reason = Pick<Disconnect, 'code' | 'reason'>

const SCOPES: Record<SessionPolicy, SessionScope> = { many: 'none', 'single-per-user': 'user', 'single-per-device': 'device' }

/**
 * The logins of this node: which of them a newer login, or a kick, ends. The directory puts all claims and kicks of a user
 * in one order and tells each its place, the fence. What it answers is acted upon by that place and not by the time at
 * which the answer comes: a step ends what was before it, whoever hears of it first, and nothing that was after it. So
 * an answer that is lost is made good by the next one.
 */
export class Sessions {
  /** Accepted, but not in the registry: the claim is under way, or they end before they began. */
  readonly entering = new Registry()
  readonly #registry: Registry
  readonly #directory: Directory
  readonly #scope: SessionScope
  /** Of those that enter: the highest step that ends them, should their own place turn out to be before it. */
  readonly #outranked = new Map<HubConnection, { readonly fence: number, readonly why: Reason }>()

  /** @param registry the connections whose claim was answered */
  constructor (policy: SessionPolicy, directory: Directory, registry: Registry) {
    this.#scope = SCOPES[policy]
    this.#directory = directory
    this.#registry = registry
  }

  /**
   * Claims the place of a connection, and ends the older logins that it replaces. It may have ended itself then. It is in
   * `entering` as long as the directory has not answered.
   * @returns null when that is done
   * @throws what the directory throws, or rejects with it
   */
  claim (connection: HubConnection): Promise<void> | null {
    const answer = this.#directory.claim(connection, this.#scope)
    if (isThenable(answer)) {
      this.entering.add(connection)
      return Promise.resolve(answer).then((claim) => { this.#claimed(connection, claim) })
    }
    this.#claimed(connection, answer)
    return null
  }

  #claimed (connection: HubConnection, claim: Removal): void {
    const { user, device } = connection
    connection.fence = claim.fence
    if (user !== null && this.#scope !== 'none') {
      this.#end(user, claim, disconnects.replaced, (other) => this.#scope === 'user' || other.device === device)
    }
    const outranked = this.#outranked.get(connection)
    if (outranked !== undefined && claim.fence < outranked.fence) connection.disconnect(outranked.why)
  }

  /** Ends all logins that the user has at this moment. @returns how many this call ended */
  async kickUser (user: string, why: Reason): Promise<number> {
    return this.#end(user, await this.#directory.removeUser(user), why, () => true)
  }

  /** It is in the registry now, or its socket has ended. */
  entered (connection: HubConnection): void {
    this.entering.remove(connection)
    this.#outranked.delete(connection)
  }

  #end (user: string, { fence, removed }: Removal, why: Reason, concerns: (connection: HubConnection) => boolean): number {
    let ended = 0
    for (const connection of this.#registry.ofUser(user)) {
      if (connection.fence < fence && concerns(connection) && connection.disconnect(why)) ended++
    }
    for (const connection of this.entering.ofUser(user)) {
      if (!concerns(connection)) continue
      const before = connection.fence === 0 ? removed.some(({ id }) => id === connection.id) : connection.fence < fence
      if (before) {
        if (connection.disconnect(why)) ended++
      } else if (connection.fence === 0 && fence > (this.#outranked.get(connection)?.fence ?? 0)) {
        this.#outranked.set(connection, { fence, why })
      }
    }
    return ended
  }
}
