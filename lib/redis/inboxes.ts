import type { NodeMessageHead } from '../core/cluster/messages.js'
import type { Clock, InboxListener, Inboxes, Living, NodeMessage, Timer } from '../core/ports.js'
import { FST_HUB_BROKER_UNAVAILABLE } from '../errors.js'
import type { Keys } from './keys.js'
import type { RedisLink } from './link.js'
import { decodePayload, encodePayload } from './payload-codec.js'
import type { StreamListener, StreamReader } from './stream-reader.js'

/** Messages that may wait for a node, about: whoever does not read them for so long is gone, or they are. */
const MAX_WAITING = 10_000

/*
 * An entry has these fields, in this order, so that they need not be looked for: `f` the node that sends, `h` the head as JSON,
 * `p` the payload, empty where there is none. Their values:
 */
const [FROM, HEAD, PAYLOAD] = [1, 3, 5]
const NOTHING = Buffer.alloc(0)

/** How often a node sends itself an entry without a head, in milliseconds: a bus that is dead in silence is found by that. */
const PROBE_MS = 5_000
/** Milliseconds without it, after which its reader connects anew. */
const PATIENCE_MS = 15_000

/** Who lives, as the nodes of a cluster tell each other. */
export interface LivingNodes {
  /** @throws FST_HUB_BROKER_UNAVAILABLE (as a rejection) */
  living (): Promise<Living>
}

/** What Inboxes on Redis are made of. */
export interface RedisInboxesParts {
  readonly link: RedisLink
  readonly keys: Keys
  /** Of this node: its consumer group reads the inbox. */
  readonly reader: StreamReader
  readonly clock: Clock
  readonly nodes: LivingNodes
}

/** Inboxes as streams, each read by its node alone (XADD, XREADGROUP), which also removes what it has read (XTRIM). */
export class RedisInboxes implements Inboxes, StreamListener {
  readonly #parts: RedisInboxesParts
  readonly #nodeId: string
  readonly #listener: InboxListener
  /** Id of the last entry that was read and not removed; null: there is none. */
  #read: string | null = null
  /** When the first probe was sent that has not come back, in monotonic milliseconds; Infinity: all have. */
  #unansweredSince = Infinity
  #reconnectedAt = -Infinity
  #probes: Timer | null = null
  #isClosed = false

  constructor (parts: RedisInboxesParts, nodeId: string, listener: InboxListener) {
    this.#parts = parts
    this.#nodeId = nodeId
    this.#listener = listener
  }

  /** Since when what this node has sent to itself does not come: monotonic milliseconds, Infinity when it does. */
  get unansweredSince (): number { return this.#unansweredSince }

  /**
   * Makes the inbox, and begins to read it. Before other nodes see that this one lives.
   * @throws FST_HUB_BROKER_UNAVAILABLE (as a rejection)
   */
  async start (): Promise<void> {
    await this.#parts.reader.hold(this.#key, this, '0')
    if (!this.#isClosed) this.#probes ??= this.#parts.clock.every(PROBE_MS, () => { this.#probe() })
  }

  async nodes (): Promise<Living> { return await this.#parts.nodes.living() }

  async send (nodeId: string, { head, payload }: NodeMessage): Promise<boolean> {
    const { link, keys } = this.#parts
    if (this.#isClosed) throw new FST_HUB_BROKER_UNAVAILABLE('the hub has been closed')
    const fields = ['f', this.#nodeId, 'h', JSON.stringify(head), 'p', payload === null ? NOTHING : encodePayload(payload)]
    // A node that has gone would never remove an inbox that is made for it now.
    return await link.call('XADD', keys.inbox(nodeId), 'NOMKSTREAM', 'MAXLEN', '~', MAX_WAITING, '*', ...fields) !== null
  }

  /** The inbox goes, too, if Redis can be asked; else with those of nodes that have died. */
  async close (): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#probes?.cancel()
    const { reader, link } = this.#parts
    reader.drop(this.#key)
    await link.call('DEL', this.#key).catch(() => {})
  }

  /* ---- StreamListener ---- */

  onEntry (fields: readonly Buffer[], id: string): void {
    if (this.#isClosed) return
    // Behind the acknowledgement of this entry. In one go with those that come with it.
    if (this.#read === null) this.#parts.clock.defer(() => { this.#trim() })
    this.#read = id
    this.#unansweredSince = Infinity
    const [from, head, payload] = [fields[FROM], fields[HEAD], fields[PAYLOAD]] as [Buffer, Buffer, Buffer]
    if (head.length === 0) return
    this.#listener.onNodeMessage(String(from), { head: JSON.parse(String(head)) as NodeMessageHead, payload: payload.length === 0 ? null : decodePayload(payload) })
  }

  /** Whoever has asked something does not wait for ever. */
  onLost (): void {}

  onBack (): void {}

  #probe (): void {
    const { clock, link, keys, reader } = this.#parts
    const now = clock.monotonic()
    if (!link.isReady) this.#unansweredSince = Infinity
    if (now - Math.max(this.#unansweredSince, this.#reconnectedAt) >= PATIENCE_MS) {
      this.#reconnectedAt = now
      reader.reconnect()
    }
    this.#unansweredSince = Math.min(this.#unansweredSince, now)
    link.call('XADD', keys.inbox(this.#nodeId), 'MAXLEN', '~', MAX_WAITING, '*', 'f', this.#nodeId, 'h', NOTHING, 'p', NOTHING).catch(() => { this.#unansweredSince = Infinity })
  }

  get #key (): string { return this.#parts.keys.inbox(this.#nodeId) }

  #trim (): void {
    const read = this.#read
    this.#read = null
    if (read === null || this.#isClosed) return
    // MINID keeps what is not less than it.
    const [ms, number] = read.split('-') as [string, string]
    this.#parts.link.call('XTRIM', this.#key, 'MINID', `${ms}-${BigInt(number) + 1n}`).catch(() => {})
  }
}
