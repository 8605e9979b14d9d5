import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { RedisServer } from './redis-server.js'

/** A Redis of the test's own that loses its latest on command. */
export interface LossyRedis {
  readonly server: RedisServer
  /** Keeps what it has now. */
  readonly save: () => void
  /** It is killed, and comes back with what it had when that was kept. */
  readonly lose: () => Promise<void>
}

export async function lossyRedis (t: Test): Promise<LossyRedis> {
  const dir = mkdtempSync(join(tmpdir(), 'hub-losses-'))
  const [data, saved] = [join(dir, 'data'), join(dir, 'saved')]
  cpSync(mkdtempSync(join(dir, 'empty-')), data, { recursive: true })
  // What was added last runs first: the server has ended then.
  t.teardown(() => { rmSync(dir, { recursive: true }) })
  const server = await RedisServer.start(t, { args: ['--dir', data, '--appendonly', 'yes', '--appendfsync', 'always'] })
  return {
    server,
    save: () => { cpSync(data, saved, { recursive: true }) },
    lose: async () => {
      await server.stop('SIGKILL')
      rmSync(data, { recursive: true })
      cpSync(saved, data, { recursive: true })
      await server.start()
    }
  }
}
