import type { InboxListener, Inboxes, Living, NodeMessage } from '../../core/ports.js'
import { MemoryInboxes, type MemoryMesh } from '../../memory/inboxes.js'
import type { Link } from './link.js'

/** The inbox of a node, behind its link. */
export class LinkedInboxes implements Inboxes {
  readonly #link: Link
  readonly #inner: MemoryInboxes

  constructor (link: Link, mesh: MemoryMesh, nodeId: string, listener: InboxListener) {
    this.#link = link
    this.#inner = new MemoryInboxes(mesh, nodeId, {
      onNodeMessage: (from, message) => { link.arrive('inbox', () => { listener.onNodeMessage(from, message) }, false) }
    })
  }

  async nodes (): Promise<Living> {
    this.#link.check()
    return await this.#inner.nodes()
  }

  async send (nodeId: string, message: NodeMessage): Promise<boolean> {
    this.#link.check()
    return await this.#inner.send(nodeId, message)
  }

  /** The node has ended: so has its link. */
  async close (): Promise<void> {
    await this.#inner.close()
    this.#link.close()
  }
}
