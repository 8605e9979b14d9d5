import t from 'tap'
import { ClientRig } from '../../helpers/client-rig.js'
import { settled } from '../../helpers/until.js'

t.test('a listener of errors that fails is told to the platform, once, and not to itself', async (t) => {
  const platform = globalThis as { reportError?: (error: unknown) => void }
  const reported: unknown[] = []
  t.teardown(() => { delete platform.reportError })
  platform.reportError = (error) => { reported.push(error) }
  for (const fail of [() => { throw new Error('sync') }, async () => { await null; throw new Error('async') }]) {
    const rig = new ClientRig()
    await rig.connect()
    // The end of the loop, should there be one.
    let calls = 0
    rig.client.on('error', async () => { if (++calls < 10) await fail() })
    rig.socket.receiveRaw('{')
    await settled()
    t.equal(calls, 1)
  }
  t.match(reported, [{ message: 'sync' }, { message: 'async' }])
})
