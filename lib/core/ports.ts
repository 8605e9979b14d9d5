import type { Payload } from '../protocol/frame.js'
import type { NodeMessageHead } from './cluster/messages.js'
import type { Awaitable, PublishResult, StreamPosition } from './types.js'

/*
 * What the hub needs from the outside. Every implementation of a port passes the one contract suite of that port in
 * test/contract. What a method promises MUST settle, within seconds: the hub has no deadlines of its own for them.
 */

/** A running timer of a Clock. */
export interface Timer {
  /** Ends it. Repeating it is harmless. */
  readonly cancel: () => void
}

/** Time. Tests drive their own. */
export interface Clock {
  /** Milliseconds since the Unix epoch. May jump when the machine's clock is set. */
  now (): number
  /** Whole milliseconds since some start. MUST never go back: all deadlines use it. */
  monotonic (): number
  /** Calls `fn` every `ms`. MUST NOT keep the process alive. */
  every (ms: number, fn: () => void): Timer
  /** Calls `fn` once, when this turn of the event loop has run: the flush. */
  defer (fn: () => void): void
}

/**
 * The outgoing half of one socket. Implementations own the wire, not the policy.
 * MUST NOT call its listener from within one of these methods.
 */
export interface Transport {
  /** Begins to tell the listener. Called once, in the turn of the 101. */
  attach (listener: TransportListener): void
  /** Whether so much of earlier writes waits in this process that the peer counts as slow. MUST be false again before `onDrain`. */
  readonly blocked: boolean
  /** Whether frames may still be sent: false once either side has begun to close, or the socket has gone. */
  readonly writable: boolean
  /** Whether the peer takes frames compressed with permessage-deflate (RFC 7692), each by itself, with the largest window. */
  readonly deflate: boolean
  /** One write of complete frames. MUST NOT keep the list; MUST NOT throw after the socket has gone. */
  write (chunks: readonly Buffer[]): void
  /** Sends a Ping frame, also while it is blocked. Counts as a write. */
  ping (): void
  /** Sends a Pong frame. Counts as a write: it may block the socket. */
  pong (data: Buffer): void
  /** Sends a Close frame; the socket ends when the peer's has come. */
  close (code: number, reason: string): void
  /**
   * Throws away what comes from now on, the peer's Close included, as cheaply as can be: the peer floods. After `close` the
   * socket ends without waiting for an answer (RFC 6455 section 7.1.7).
   */
  ignore (): void
  /** Destroys the socket. `onClose` follows. */
  terminate (): void
  /** Stops reading. What has been read already may still be delivered. */
  pause (): void
  resume (): void
}

/** What a Transport tells its connection. */
export interface TransportListener {
  /**
   * A complete message. The bytes are the listener's to keep and to change, and so are as many in front of them, in the same
   * memory, as `headroom` says: for a header, should the message be forwarded.
   */
  onMessage (data: Buffer, isBinary: boolean, headroom: number): void
  /** A ping or a pong came. A ping MUST NOT be answered by the transport itself. The bytes are lent: whoever keeps them copies. */
  onControl (kind: 'ping' | 'pong', data: Buffer): void
  /** `blocked` has become false. */
  onDrain (): void
  /** The peer broke the protocol, and the transport closes with `code`. */
  onError (error: Error, code: number): void
  /** Reading and writing are over. MUST come exactly once, and nothing after it. */
  onClose (code: number, reason: string): void
}

/** What goes to a room. In process it is passed on as it is. */
export interface Publication {
  /** 1 or more; 0 for an ephemeral publication, which has no place in the log. */
  readonly offset: number
  readonly payload: Payload
  readonly options: PublicationOptions
}

export interface PublicationOptions {
  /** Ids of connections that do not get it. */
  readonly except?: ReadonlySet<string> | undefined
  /** Takes the place of an older one of the room with the same key in the queue of a slow reader. */
  readonly key?: string | undefined
  readonly overflow?: 'drop-oldest' | 'reject-new' | 'disconnect' | undefined
  readonly ephemeral?: boolean | undefined
}

/** What is kept of a room's publications. */
export interface HistoryPolicy {
  /** Publications at most; 0: none. */
  readonly size: number
  /** Milliseconds after which one is not kept any longer; 0: as long as `size` allows. */
  readonly ttl: number
  /** `'log'`: whoever has missed some gets all of them, or is told that they are gone. `'cache'`: only the latest one counts. */
  readonly mode: 'log' | 'cache'
}

/** The policy of a room. The same for one name each time, and on all nodes. */
export type HistoryPolicyOf = (room: string) => HistoryPolicy

/** Connections by what became of the message, on one node. */
export interface FanOut { sent: number, queued: number, dropped: number, rejected: number }

/** What a Broker tells the hub of its node. */
export interface BrokerListener {
  /** In order of offset, without a hole, none twice. Answers what the local fan-out did. */
  onPublications (room: string, publications: readonly Publication[]): FanOut
  /** Publications from `from` to `to` are lost for this node. */
  onGap (room: string, from: StreamPosition, to: StreamPosition): void
  /** The log goes on in another epoch, with the offsets as they are: what this node has had is of it, too. */
  onEpoch (room: string, epoch: string): void
}

/** The name under which every node is subscribed for broadcasts: no room can have it, names have a byte or more. */
export const EVERYONE = ''

/**
 * Carries publications between nodes and keeps their order.
 * MUST NOT call back after `unsubscribe` has resolved; MUST NOT deliver an offset twice or out of order. Calls for one
 * room take effect in the order in which they are made, also when nobody awaits them.
 */
export interface Broker {
  /** From the position it resolves with, each later publication reaches `onPublications`. Repeating it is harmless. */
  subscribe (room: string): Promise<StreamPosition>
  unsubscribe (room: string): Promise<void>
  /**
   * Resolves after the fan-out on this node. The memory broker fans out before it returns, so that the order of
   * calls is the order of delivery. An ephemeral publication has no position. A payload that is bytes, or a message of a
   * peer, is the application's to change again when this has returned: what is kept of it longer MUST be a copy.
   * As many are kept as the room's HistoryPolicy says; its position outlives them, so that a quiet room recovers.
   */
  publish (room: string, payload: Payload, options: PublicationOptions): Promise<PublishResult>
  /**
   * Publications above `since`, oldest first, and the position of the room; without `since`, all that are kept.
   * `recovered` is whether they are complete: false for a `since` from the future, or older than what is kept, and of another epoch,
   * unless that of the room goes on from it.
   * @param limit the most to return, from the oldest on; 0: no limit
   */
  history (room: string, since: StreamPosition | undefined, limit: number): Promise<{ position: StreamPosition, publications: readonly Publication[], recovered: boolean }>
  /** Frees timers and connections. */
  close (): Promise<void>
}

/** What the directory knows of a connection. In process it is the connection itself. */
export interface DirectoryEntry {
  readonly id: string
  readonly nodeId: string
  readonly user: string | null
  readonly device: string | null
  /** As Connection has them: `connectedAt` and `lastSeen` in milliseconds since the Unix epoch, by the clock of its node. */
  readonly ip: string | null
  readonly subprotocol: string | null
  readonly connectedAt: number
  readonly lastSeen: number
}

/** By what an entry was removed. */
export type RemovalCause = 'kick' | 'login'

/** What a Directory tells the hub of its node. */
export interface DirectoryListener {
  /** Entries of this node that somebody has removed, as the directory noticed by itself: the word of the node that did it may be lost. */
  onRemoved (ids: readonly string[], cause: RemovalCause): void
  /** These could not be renewed for so long that others may have taken their place: logins, each of which may be alone. In turns of their own, so many at a time. */
  onLeaseLost (ids: readonly string[]): void
}

/** Which older logins a new one takes the place of: none, all of its user, or those of its user on its device (none is a device, too). */
export type SessionScope = 'none' | 'user' | 'device'

/** Asks the client of a login, on whatever node it is. @returns whether it has been heard of since its 101; false when that cannot be found out */
export type AskLogin = (login: DirectoryEntry) => Promise<boolean>

/** What one step of a directory did to the logins of a user. */
export interface Removal {
  /**
   * Its place in the order of all claims and removals of that user: more than that of every step before. MUST NOT go back,
   * even when the directory has lost its data.
   */
  readonly fence: number
  /** What it removed. */
  readonly removed: readonly DirectoryEntry[]
}

/**
 * Which node holds which connection of which user. Steps for one user take effect one after the other, in an order of the
 * directory's own; answers may come in any other order, or not at all. One that has its answer to a claim at once gives it
 * without a promise, and the connection is in the hub in the turn of its 101.
 */
export interface Directory {
  /**
   * Enters a connection, and removes the older logins whose place it takes: one step. An anonymous one takes nobody's. MUST NOT
   * remove a login for one whose client is not there, or that came first: its upgrade may have been read late, and the other one be
   * a later try of the same client.
   * @param isThere asks the client of a login, this one or another, which may take seconds; without it, each is there
   * @throws (as a rejection) Outranked: the user was kicked while its client was asked, or a login that came later has the place, and
   * its client is there; FST_HUB_BROKER_UNAVAILABLE: the directory cannot tell. A connection that takes nobody's place is entered
   * later then, unless it is removed first
   */
  claim (entry: DirectoryEntry, scope: SessionScope, isThere?: AskLogin): Awaitable<Removal>
  /**
   * Removes all that the user has at this moment: one step. A later claim is untouched. What was there, but could not be entered
   * yet, or was lost, is not entered any more: its node is told.
   */
  removeUser (user: string): Promise<Removal>
  /**
   * Resolves with true when this call removed the entry: two callers never both get true.
   * @throws FST_HUB_BROKER_UNAVAILABLE (as a rejection); one of this node is removed later then
   */
  remove (entry: Pick<DirectoryEntry, 'id' | 'user'>): Promise<boolean>
  /** The living connections of a user, on all nodes. */
  user (user: string): Promise<readonly DirectoryEntry[]>
  close (): Promise<void>
}

/** Changes of who is in a room, all of one interval together: who came and went again within it is not in them. */
export interface PresenceDiff {
  readonly joined: readonly string[]
  readonly left: readonly string[]
  /** Ephemeral states that began or ended. */
  readonly states: ReadonlyArray<{ user: string, key: string, active: boolean }>
}

/** What a Presence tells the hub of its node. */
export interface PresenceListener {
  /** For a room that is watched, and not more often than once per interval. Never an empty one. */
  onPresence (room: string, diff: PresenceDiff): void
}

/**
 * Who is in a room, over all nodes, and what they are doing. A user with several connections is one member. An `enter` or a
 * `leave` that rejects with FST_HUB_BROKER_UNAVAILABLE MUST be made good as soon as that is possible.
 */
export interface Presence {
  /** Repeating it for one connection is harmless. */
  enter (room: string, user: string, connectionId: string): Promise<void>
  /** Repeating it is harmless. The states of a user whose last connection leaves end with it. */
  leave (room: string, user: string, connectionId: string): Promise<void>
  list (room: string): Promise<ReadonlyArray<{ user: string, connections: number }>>
  /** An ephemeral state of a user in a room, such as typing: ends after `ttl` milliseconds, or at once with 0. Nothing for a user who is not in the room. */
  setState (room: string, user: string, key: string, ttl: number): Promise<void>
  /** The states that hold now. */
  states (room: string): Promise<ReadonlyArray<{ user: string, key: string }>>
  /** From now on the listener is told of changes; `list` and `states`, asked later, may hold some that are told again. Repeating it is harmless. */
  watch (room: string): Promise<void>
  /** MUST NOT tell the listener of this room once it has resolved. Repeating it is harmless. */
  unwatch (room: string): Promise<void>
  close (): Promise<void>
}

/** A message that waits for its user. */
export interface StoredMessage {
  /** Given by the store, in order of arrival. */
  readonly id: string
  readonly payload: Payload
}

/** What an OfflineStore tells the hub of its node. */
export interface OfflineListener {
  /** Messages that nobody has acknowledged are gone: pushed out by newer ones, or too old. Told when it is noticed. */
  onDropped (reason: 'evicted' | 'expired', count: number): void
}

/**
 * Messages for users who are offline. Delivery is at least once: what has been listed stays until it is acknowledged, so
 * only a connection whose protocol can acknowledge may be given them.
 */
export interface OfflineStore {
  /** Keeps a message for `ttl` milliseconds. Beyond the store's limit per user the oldest goes. Resolves with the id of the new one. */
  put (user: string, payload: Payload, ttl: number): Promise<string>
  /**
   * The messages that have not expired, oldest first, at most `limit` of them.
   * @param after only those that came after the one of this id, also when it has gone
   */
  list (user: string, after: string | undefined, limit: number): Promise<readonly StoredMessage[]>
  /** Forgets messages. Repeating it is harmless, and so are ids of others. Resolves with how many it has forgotten. */
  acknowledge (user: string, ids: readonly string[]): Promise<number>
  close (): Promise<void>
}

/** What one node tells another. */
export interface NodeMessage {
  readonly head: NodeMessageHead
  /** What an application sends to connections of the other node; null where it is about something else. */
  readonly payload: Payload | null
}

/** What Inboxes tell the hub of their node. */
export interface InboxListener {
  /** A message for this node. Of one sender in the order in which it has sent them; it may come twice. */
  onNodeMessage (from: string, message: NodeMessage): void
}

/** The nodes that live. */
export interface Living {
  readonly ids: readonly string[]
  /** Whether these are all, for certain. */
  readonly complete: boolean
}

/**
 * Messages from node to node: at most once, and to whom the sender says. A listener is told in a turn of its own, never
 * within a call; and MUST NOT be once `close` has resolved.
 */
export interface Inboxes {
  /**
   * Who lives, this one included.
   * @throws FST_HUB_BROKER_UNAVAILABLE (as a rejection)
   */
  nodes (): Promise<Living>
  /**
   * Puts a message into the inbox of another node: those of this node for that one are in the order of the calls. A payload that
   * is bytes, or a message of a peer, is the application's to change again when this has returned.
   * @returns whether that node has an inbox: false when it has never been, or has ended. Whether it lives to read the message is not known
   * @throws FST_HUB_BROKER_UNAVAILABLE (as a rejection)
   */
  send (nodeId: string, message: NodeMessage): Promise<boolean>
  /** Nothing comes any more, and nobody can send to this node. Repeating it is harmless. */
  close (): Promise<void>
}
