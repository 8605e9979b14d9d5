import type { ClientRoom, RoomEvents } from '../../lib/client/index.js'
import { ClientRig } from './client-rig.js'

/** Everything that a room tells, as [name, ...]. */
export function record (room: ClientRoom): unknown[][] {
  const heard: unknown[][] = []
  for (const name of ['message', 'joined', 'left', 'gap', 'presence', 'error'] as Array<keyof RoomEvents>) {
    room.on(name, (...args: unknown[]) => { heard.push(name === 'message' ? [name, args[0], (args[1] as { offset: number }).offset] : [name, ...args]) })
  }
  return heard
}

/** A client in room `a` at offset 5, which tells what happens there. */
export async function inRoom (): Promise<{ rig: ClientRig, room: ClientRoom, heard: unknown[][] }> {
  const rig = new ClientRig()
  await rig.connect()
  const room = await rig.join('a', { epoch: 'e', offset: 5 })
  return { rig, room, heard: record(room) }
}

/** The connection ends, and the next one is there: `resume` is still to be answered. */
export async function cut (rig: ClientRig): Promise<void> {
  rig.socket.end()
  while (rig.client.state.is === 'waiting') await rig.time.next()
  await rig.accept()
}

export const message = (offset: number, room = 'a'): object => ({ op: 'message', room, offset, data: offset })
export const joined = (offset: number, more: object = {}): object => ({ op: 'joined', room: 'a', epoch: 'e', offset, head: offset, ...more })
