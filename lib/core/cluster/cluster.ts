import type { Payload } from '../../protocol/frame.js'
import type { InboxListener, Inboxes } from '../ports.js'
import type { Sessions } from '../sessions.js'
import type { ClusterStats, ClusterStatsOptions, HubStats } from '../types.js'
import { fetchForAll, sendToAll } from '../user-fan-out.js'
import type { NodeRequest } from './messages.js'
import { NodeCalls, type Answerer, type NodeCallsHost } from './node-calls.js'
import { RemoteLogins } from './remote-logins.js'
import { survey } from './survey.js'
import { UserMessages, type UserMessagesHost } from './user-messages.js'

/** What its part in a cluster needs of a hub. */
export interface ClusterHost extends Omit<NodeCallsHost, 'report'>, UserMessagesHost {
  readonly sessions: Sessions
  stats (): HubStats
  report (error: unknown, connection: Parameters<UserMessagesHost['report']>[1] | null): void
}

/** The part of this node in the cluster: what it asks other nodes, and what it does for them. */
export class Cluster {
  readonly users: UserMessages
  readonly logins: RemoteLogins
  readonly #host: ClusterHost
  readonly #calls: NodeCalls

  /** @param host its members may come later, but before the first message */
  constructor (host: ClusterHost, inboxes: (nodeId: string, listener: InboxListener) => Inboxes) {
    this.#host = host
    this.#calls = new NodeCalls(host, inboxes, (request, payload) => this.#answer(request, payload))
    this.users = new UserMessages(host, this.#calls)
    this.logins = new RemoteLogins(host.nodeId, this.#calls)
  }

  /** @throws FST_HUB_INVALID_ARGUMENT (as a rejection) */
  async survey (options: ClusterStatsOptions): Promise<ClusterStats> {
    return await survey(this.#calls, () => this.#host.stats(), options)
  }

  async close (): Promise<void> { await this.#calls.close() }

  #answer (request: NodeRequest, payload: Payload | null): ReturnType<Answerer> {
    const { registry, sessions } = this.#host
    switch (request.op) {
      case 'send': return payload === null ? 0 : sendToAll(registry.ofUser(request.user), payload, request)
      case 'fetch': return fetchForAll(registry.ofUser(request.user), (error, connection) => { this.#host.report(error, connection) })
      case 'end': return sessions.endFor(request)
      case 'there': return sessions.isThere(request.id)
      case 'stats': return this.#host.stats()
      default: return null
    }
  }
}
