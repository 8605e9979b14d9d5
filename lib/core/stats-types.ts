/** Counters and gauges of one node. Counters start at 0 with the hub and only grow. */
export interface HubStats {
  nodeId: string
  /** Gauge: open connections. */
  connections: number
  /** Gauge: upgrades that wait for a slot. */
  waiting: number
  /** Gauge: rooms with a member on this node. */
  rooms: number
  /** Gauge: users with a connection on this node. */
  users: number
  /** Of the HTTP server, so the same for all its hubs. Not of the second server that Fastify opens for `localhost`. */
  sockets: {
    /** Gauge: open sockets, those included that never become a WebSocket. */
    open: number
    /** Sockets that the server closed on arrival, because as many as `limits.sockets` (its `maxConnections`) were open. */
    dropped: number
  }
  /** Upgrades that became a connection. */
  admitted: number
  /**
   * Upgrades that this hub refused, `identify` included: by code where it is one of ours, else by status.
   * Not counted: answers of the application's own hooks.
   */
  refused: Record<string, number>
  messages: {
    /** Complete messages of peers that were taken: all but those over the rate or of the wrong kind. */
    received: number
    /** Messages handed to the socket, those of hub.v1 itself included. */
    sent: number
    /** Messages that had to wait in the queue behind a blocked socket; not what a hub.v1 peer takes from a room's log instead. */
    queued: number
    /** Queued messages that were evicted, and accepted ones that an ending connection could not send, those of hub.v1 itself included. */
    dropped: number
    /** Messages that a queue refused. */
    rejected: number
    /** Queued messages whose place a newer one with the same key took. */
    replaced: number
    /** Messages of peers beyond `limits.messagesPerSecond`, which were dropped. */
    limited: number
    /** Times that a peer was not read for a while, because it was ahead of `limits.bytesPerSecond`. */
    throttled: number
  }
  /** Gauge: bytes in all queues. */
  queuedBytes: number
  /** Of hub.v1 connections. */
  recovery: {
    /** Joins with a position that got all they had missed. */
    recovered: number
    /** Joins with a position since when something is not kept any more. */
    unrecovered: number
    /** Times that a slow reader was given a room from its log. */
    behind: number
    /** Times that a connection was told that publications are lost for it. */
    gaps: number
  }
  /** Messages kept for users. */
  offline: {
    stored: number
    /** Sent to a connection, again each time. */
    delivered: number
    acknowledged: number
    /** Gone for newer ones: `offline.maxMessages`. */
    evicted: number
    /** Gone unread: `offline.ttl`. */
    expired: number
  }
  /** What nodes tell each other over Redis; zeros without it. */
  bus: {
    /** Gauge: publications that Redis has not confirmed yet. */
    waiting: number
    /** Entries that were gone before this node had read them: what the log of a room still had came from there. */
    trimmed: number
    /** Entries that this node could not handle. They are kept in Redis, for whoever looks for the cause. */
    parked: number
  }
}

/** Options of a survey of all nodes. */
export interface ClusterStatsOptions {
  cluster: true
  /** Milliseconds, at least 1, that the other nodes have to answer. Default 2,000. */
  timeout?: number | undefined
}

/** The figures of all nodes. */
export interface ClusterStats {
  /** Whether nodes may be missing: one has not answered in time, or it could not be found out which there are. */
  partial: boolean
  /** This node first. */
  nodes: HubStats[]
  /** Sums over `nodes`, with the `nodeId` `'total'`; `refused` by code. A user, or a room, counts on each node where it is. */
  total: HubStats
}
