import type { Test } from 'tap'
import type { HubOptions } from '../../lib/index.js'
import { TestApp } from './app.js'
import type { RawClient } from './raw-client.js'
import { gate } from './until.js'

/** An app, and a client in the middle of `identify`, which resolves with what `answer` is called with. */
export async function inIdentify (t: Test, options: HubOptions = {}): Promise<{ app: TestApp, client: RawClient, answer: (identity: object) => void }> {
  const asked = gate()
  const answer = gate<object>()
  const app = await TestApp.start(t, {
    ...options,
    identify: async () => {
      asked.open()
      return await answer.promise
    }
  })
  const client = await app.open()
  client.sendHandshake()
  await asked.promise
  return { app, client, answer: answer.open }
}
