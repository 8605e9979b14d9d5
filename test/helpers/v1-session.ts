import type { V1Peer } from './v1-peer.js'
import type { V1World } from './v1-world.js'

/** An event that counts what it does. */
export function countCalls (fake: V1World): unknown[] {
  const calls: unknown[] = []
  fake.hub.event('count', { handler: (_, data) => calls.push(data) })
  return calls
}

/** Connects, and resumes a session. @returns whether the server had it */
export async function back (fake: V1World, user: string | undefined, session: string): Promise<{ peer: V1Peer, isSame: unknown }> {
  const peer = await fake.peer({ user, resume: { session, id: 'resume' } })
  const reply = peer.of('reply').find(({ id }) => id === 'resume')
  return { peer, isSame: (reply?.data as { session: boolean } | undefined)?.session }
}
