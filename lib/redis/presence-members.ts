import { pack } from './presence-codec.js'
import type { Due, PresenceLane, Step } from './presence-lane.js'
import { Rota, type InTurn } from './rota.js'

/** A room in which this node has somebody, or may still have to take somebody out of. */
interface LocalRoom {
  readonly name: string
  readonly lane: PresenceLane
  /** By packed pair of user and connection. */
  readonly members: Map<string, Member>
  /** Place of the first of them in the rota, and how many there have been. */
  readonly start: number
  entered: number
}

/** A connection of this node in a room: whether it should be there, and what Redis may think of it. */
class Member implements Due, InTurn {
  readonly room: LocalRoom
  readonly pair: string
  slot = 0
  /** Whether it is in the room, or has left it. */
  isHere = false
  /** Whether Redis may have been told that it is in the room: then it has to be told when it is not. */
  isKnown = false
  /** Calls under way. */
  calls = 0
  readonly #host: MembersHost
  readonly #onDone: (member: Member) => void

  constructor (room: LocalRoom, pair: string, host: MembersHost, onDone: (member: Member) => void) {
    this.room = room
    this.pair = pair
    this.#host = host
    this.#onDone = onDone
  }

  step (): Step {
    // What is refused here and now is not sent.
    if (this.isHere) this.isKnown ||= this.#host.isReady
    return { kind: this.isHere ? 'enter' : 'leave', room: this.room.name, pair: this.pair }
  }

  done (): void { this.#onDone(this) }

  /** It is done again, whatever has become of it. */
  failed (): void {}
}

/** What the members of a node need of it. */
export interface MembersHost {
  laneOf (room: string): PresenceLane
  /** Whether Redis can be asked. */
  readonly isReady: boolean
}

/**
 * Who is in which room through this node. They are entered again now and then, so that what Redis may have lost of them does not
 * stay lost; and what Redis could not be told it is told later. Of those that have left, only those are kept that Redis may still think are there.
 */
export class PresenceMembers {
  readonly #host: MembersHost
  readonly #rooms = new Map<string, LocalRoom>()
  readonly #rota: Rota<Member>

  /** @param turns in how many parts they are entered again */
  constructor (host: MembersHost, turns: number) {
    this.#host = host
    this.#rota = new Rota(turns)
  }

  /** Connections that are kept, each once per room. */
  get size (): number {
    let size = 0
    for (const { members } of this.#rooms.values()) size += members.size
    return size
  }

  /** @throws FST_HUB_BROKER_UNAVAILABLE; it is entered when Redis can be told (as a rejection) */
  async enter (name: string, user: string, connectionId: string): Promise<void> {
    const member = this.#ensure(name, pack(user, connectionId))
    member.isHere = true
    await this.#tell(member)
  }

  /** @throws FST_HUB_BROKER_UNAVAILABLE; it leaves when Redis can be told (as a rejection) */
  async leave (name: string, user: string, connectionId: string): Promise<void> {
    const pair = pack(user, connectionId)
    const member = this.#rooms.get(name)?.members.get(pair)
    if (member === undefined) {
      // Not one of ours, or it has left: what becomes of that is not ours to remember.
      await this.#host.laneOf(name).push({ kind: 'leave', room: name, pair })
      return
    }
    member.isHere = false
    await this.#tell(member)
  }

  /** Those whose turn it is are due. */
  renewSome (): void { for (const member of this.#rota.next()) member.room.lane.add(member) }

  /** All are due, or those of one lane: nobody knows what Redis knows. */
  renewAll (only?: ReadonlySet<PresenceLane>): void {
    for (const { lane, members } of this.#rooms.values()) {
      if (only?.has(lane) === false) continue
      for (const member of members.values()) lane.add(member)
    }
  }

  /** All have left, and that is due. */
  leaveAll (): void {
    for (const { members } of this.#rooms.values()) for (const member of members.values()) member.isHere = false
    this.renewAll()
  }

  async #tell (member: Member): Promise<void> {
    const { lane } = member.room
    member.calls++
    try {
      await lane.push(member.step())
    } catch (error) {
      lane.add(member)
      throw error
    } finally {
      member.calls--
      this.#settle(member)
    }
  }

  #settle (member: Member): void {
    const { room, pair, isHere, isKnown, calls } = member
    if (isHere || calls > 0 || (isKnown && room.lane.has(member))) return
    room.lane.remove(member)
    this.#rota.delete(member)
    room.members.delete(pair)
    if (room.members.size === 0) this.#rooms.delete(room.name)
  }

  #ensure (name: string, pair: string): Member {
    let room = this.#rooms.get(name)
    if (room === undefined) {
      room = { name, lane: this.#host.laneOf(name), members: new Map(), start: this.#rota.start(), entered: 0 }
      this.#rooms.set(name, room)
    }
    let member = room.members.get(pair)
    if (member === undefined) {
      member = new Member(room, pair, this.#host, (member) => { this.#settle(member) })
      this.#rota.add(member, room.start, room.entered++)
      room.members.set(pair, member)
    }
    return member
  }
}
