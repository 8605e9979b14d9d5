import { keep } from '../core/keep.js'
import type { Clock, InboxListener, Inboxes, Living, NodeMessage } from '../core/ports.js'
import { FST_HUB_BROKER_UNAVAILABLE } from '../errors.js'

/** What the hubs of one process share: who they are. */
export class MemoryMesh {
  readonly #clock: Clock
  readonly #nodes = new Map<string, InboxListener>()

  constructor (clock: Clock) {
    this.#clock = clock
  }

  /** Ids of the nodes. */
  get nodes (): string[] { return [...this.#nodes.keys()] }

  attach (nodeId: string, listener: InboxListener): void { this.#nodes.set(nodeId, listener) }

  detach (nodeId: string): void { this.#nodes.delete(nodeId) }

  has (nodeId: string): boolean { return this.#nodes.has(nodeId) }

  /** In the next turn. */
  deliver (from: string, to: string, message: NodeMessage): void {
    this.#clock.defer(() => { this.#nodes.get(to)?.onNodeMessage(from, message) })
  }
}

/** The inbox of one hub on a MemoryMesh. */
export class MemoryInboxes implements Inboxes {
  readonly #mesh: MemoryMesh
  readonly #nodeId: string

  constructor (mesh: MemoryMesh, nodeId: string, listener: InboxListener) {
    this.#mesh = mesh
    this.#nodeId = nodeId
    mesh.attach(nodeId, listener)
  }

  async nodes (): Promise<Living> {
    this.#check()
    return { ids: this.#mesh.nodes, complete: true }
  }

  async send (nodeId: string, { head, payload }: NodeMessage): Promise<boolean> {
    this.#check()
    if (!this.#mesh.has(nodeId)) return false
    this.#mesh.deliver(this.#nodeId, nodeId, { head, payload: payload === null ? null : keep(payload) })
    return true
  }

  async close (): Promise<void> { this.#mesh.detach(this.#nodeId) }

  #check (): void {
    if (!this.#mesh.has(this.#nodeId)) throw new FST_HUB_BROKER_UNAVAILABLE('the hub has been closed')
  }
}
