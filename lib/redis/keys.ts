/** Names of every key, so that no two parts of the hub can mean the same one. The tag in braces is the partition: keys of one partition are in one slot of Redis Cluster. */
export class Keys {
  readonly prefix: string
  readonly partitions: number
  /** One for all rooms; on a Redis Cluster, where no command can span slots, one for each partition. */
  readonly buses: number
  /** `<prefix>:nodes`, a sorted set: the nodes by the time of their last sign of life, below zero while somebody clears away a dead one. */
  readonly nodes: string
  /** `<prefix>:config`, a hash: what all nodes must agree upon. */
  readonly config: string

  /**
   * @param prefix of all keys. MUST NOT hold braces: they would be the tag
   * @param partitions the same on all nodes
   * @param isCluster whether it is a Redis Cluster
   */
  constructor (prefix: string, partitions: number, isCluster: boolean) {
    this.prefix = prefix
    this.partitions = partitions
    this.buses = isCluster ? partitions : 1
    this.nodes = `${prefix}:nodes`
    this.config = `${prefix}:config`
  }

  /** The partition of a room, or of a user. The same on all nodes: FNV-1a, 32 bits, over the UTF-16 code units. */
  partitionOf (name: string): number {
    let hash = 0x811c9dc5
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
    return (hash >>> 0) % this.partitions
  }

  /** The partition whose bus that of this one is. */
  busAt (partition: number): number { return this.buses === 1 ? 0 : partition }

  /** The partition whose bus a room is on. */
  busOf (room: string): number { return this.busAt(this.partitionOf(room)) }

  /** Stream: one entry per batch of publications, or of changes of presence; a consumer group per node. */
  bus (partition: number): string { return this.#key(partition, 'bus') }

  /** Hash: `#` is the number of the latest entry of the bus; by node, the number of its latest batch and the answer to it. */
  batches (partition: number): string { return this.#key(partition, 'batches') }

  /** Stream of bus entries that could not be decoded. */
  parked (partition: number): string { return this.#key(partition, 'parked') }

  /** Hash with TTL: `e` the epoch of a room, `o` the offset of its latest publication; the rest is for the next epoch (lua/epoch-shared.lua). */
  meta (room: string): string { return this.#key(this.partitionOf(room), 'meta', room) }

  /** Stream with TTL: what is kept of a room; the id of an entry is `<offset>-<milliseconds since the Unix epoch>`. */
  log (room: string): string { return this.#key(this.partitionOf(room), 'log', room) }

  /** Stream: what other nodes have to tell this one. */
  inbox (nodeId: string): string { return `${this.prefix}:{inbox:${nodeId}}` }

  /** Hash with TTL: one connection. Those without a user are spread by their id. With an empty id: what the keys of all of the partition begin with. */
  connection (user: string | null, id: string): string { return this.#key(this.partitionOf(user ?? id), 'conn', id) }

  /** Sorted set with TTL: ids of a user's connections by the time at which they are forgotten. */
  user (user: string): string { return this.#key(this.partitionOf(user), 'user', user) }

  /** String: the place of the latest step for any user of this partition. */
  fence (partition: number): string { return this.#key(partition, 'fence') }

  /** String: random, set by whoever finds none. Another one means that Redis has lost the data of this partition. */
  mark (partition: number): string { return this.#key(partition, 'mark') }

  /** String with TTL: the place of the latest kick of a user. */
  kick (user: string): string { return this.#key(this.partitionOf(user), 'kick', user) }

  /** Sorted set with TTL: the numbers under which nodes have members of rooms of this partition, by the time at which those are forgotten. */
  lives (partition: number): string { return this.#key(partition, 'lives') }

  /** Sorted set with TTL, as those that follow: who is in a room, by the number of its node. */
  presence (room: string): string { return this.#key(this.partitionOf(room), 'presence', room) }

  /** Sorted set with equal scores, so in the order of names: `c` and who is in a room, `s` and its states. Those of one user are beside each other. */
  presenceIndex (room: string): string { return this.#key(this.partitionOf(room), 'presence-index', room) }

  /** Sorted set: ephemeral states of a room, by the time at which they end. */
  states (room: string): string { return this.#key(this.partitionOf(room), 'states', room) }

  /** Sorted set: nodes that watch a room's presence, by the time at which they are forgotten. */
  watchers (room: string): string { return this.#key(this.partitionOf(room), 'watch', room) }

  /** Stream: messages that wait for a user. */
  offline (user: string): string { return this.#key(this.partitionOf(user), 'offline', user) }

  /** Sorted set: their ids by the time at which they expire. */
  offlineExpiry (user: string): string { return this.#key(this.partitionOf(user), 'offline-expiry', user) }

  #key (partition: number, kind: string, name?: string): string {
    const key = `${this.prefix}:{${partition}}:${kind}`
    return name === undefined ? key : `${key}:${name}`
  }
}
