import type { PresenceDiff, PresenceListener } from '../../lib/core/ports.js'

/** A hub's side of a presence, that only listens. */
export class FakePresenceListener implements PresenceListener {
  readonly heard: Array<{ room: string, diff: PresenceDiff }> = []
  /** Runs with each diff. */
  then: ((room: string, diff: PresenceDiff) => void) | null = null

  onPresence (room: string, diff: PresenceDiff): void {
    this.heard.push({ room, diff })
    this.then?.(room, diff)
  }

  /** All diffs of a room as one, in order: `+ann` and `-ann`, and `ann:typing on` and `ann:typing off`. */
  story (room: string): string[] {
    return this.heard.filter((one) => one.room === room).flatMap(({ diff: { joined, left, states } }) => [
      ...joined.map((user) => `+${user}`), ...left.map((user) => `-${user}`), ...states.map(({ user, key, active }) => `${user}:${key} ${active ? 'on' : 'off'}`)
    ])
  }
}
