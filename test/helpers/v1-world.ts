import type { Test } from 'tap'
import { startHub, type FakeHub, type FakeHubOptions } from './fake-hub.js'
import { V1Peer } from './v1-peer.js'

export interface V1World extends FakeHub {
  /** Connects a peer that speaks hub.v1.json. */
  peer (options?: Parameters<typeof V1Peer.connect>[2]): Promise<V1Peer>
}

/** A hub on fake time, for peers that speak hub.v1; at the end of the test nothing of them may be left. */
export async function startV1 (t: Test, options: FakeHubOptions = {}): Promise<V1World> {
  const fake = await startHub({ history: { size: 100 }, ...options })
  t.teardown(async () => {
    for (const connection of fake.hub.connections()) connection.terminate()
    await fake.advance(1_000)
    if (fake.hub.size > 0 || fake.hub.rooms.size > 0) throw new Error('connections or rooms are left')
    await fake.hub.stop()
    if (fake.clock.timers > 0) throw new Error('timers are left')
  })
  return Object.assign(fake, { peer: async (options = {}) => await V1Peer.connect(fake.hub, fake.clock, options) })
}
