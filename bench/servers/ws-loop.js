// The loop that one writes by hand, over any set of WebSockets of ws.
import { BROADCAST, ECHO, JSON_OBJECT, roomOf, targetOf, toObject } from './shared.js'

/** @param everyone the set of all WebSockets */
export function wsLoop (everyone) {
  const rooms = new Map()
  const loop = (targets, data, binary) => {
    for (const client of targets) client.send(data, { binary })
  }
  return (ws, url) => {
    const room = roomOf(url)
    if (room !== null) {
      const members = rooms.get(room) ?? new Set()
      rooms.set(room, members.add(ws))
      ws.on('close', () => { members.delete(ws) })
    }
    ws.on('error', () => {})
    ws.on('message', (data, isBinary) => {
      const kind = data[0]
      if (kind === BROADCAST) loop(everyone, data, isBinary)
      else if (kind === ECHO) ws.send(data, { binary: isBinary })
      else if (kind === JSON_OBJECT) loop(everyone, JSON.stringify(toObject(data)), false)
      else loop(rooms.get(targetOf(data)), data, isBinary)
    })
  }
}
