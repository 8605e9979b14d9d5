import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import WebSocket from 'ws'
import fastifyHub from '../../lib/index.js'
import { freePort } from '../helpers/redis-server.js'
import { until } from '../helpers/until.js'

const HOST = '127.0.0.1'
const CONFIG = new URL('../../../examples/cluster/nginx.conf', import.meta.url)

async function startNode (t: Test, port: number): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  await app.register(fastifyHub, { drain: { spread: 0 } })
  app.get('/health', async () => 'ok')
  await app.listen({ host: HOST, port })
  return app
}

/** nginx as examples/cluster and docs/operations.md set it up. @returns its port */
async function startNginx (t: Test, nodes: readonly number[]): Promise<number> {
  const dir = mkdtempSync(`${tmpdir()}/fastify-hub-nginx-`)
  // Started by root, nginx does its work as another user.
  chmodSync(dir, 0o711)
  const port = await freePort()
  const ours = [port, ...nodes]
  writeFileSync(`${dir}/nginx.conf`, readFileSync(CONFIG, 'utf8').replace(/127\.0\.0\.1:300(\d)\b/g, (_, i: string) => `${HOST}:${ours[Number(i)] ?? ''}`))
  const child = spawn(process.env['NGINX'] || 'nginx', ['-p', dir, '-c', 'nginx.conf', '-e', 'stderr', '-g', 'daemon off;'], { stdio: 'ignore' })
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill()
    await ended
    rmSync(dir, { recursive: true, force: true })
  })
  while (!await fetch(`http://${HOST}:${port}/health`).then(({ ok }) => ok, () => false)) {
    if (child.exitCode !== null) throw new Error('nginx did not start')
  }
  return port
}

t.test('every node is restarted, one after the other: nginx lets everybody in at any time', async (t) => {
  const ports = [await freePort(), await freePort()]
  const [first, second] = await Promise.all(ports.map(async (port) => await startNode(t, port))) as [FastifyInstance, FastifyInstance]
  // The third is never there.
  const port = await startNginx(t, [...ports, await freePort()])
  const enter = async (count: number): Promise<void> => {
    await Promise.all(Array.from({ length: count }, async () => {
      const socket = new WebSocket(`ws://${HOST}:${port}/ws`)
      t.teardown(() => { socket.terminate() })
      await once(socket, 'open')
    }))
  }

  await enter(4)
  await first.hub.drain()
  await enter(4)
  await first.close()
  await enter(4)
  const firstAgain = await startNode(t, ports[0] as number)
  await second.hub.drain()
  await until(() => second.hub.size === 0, 'those on the second node to be gone')
  await enter(4)
  t.equal(firstAgain.hub.size, 4)
  await second.close()
  const secondAgain = await startNode(t, ports[1] as number)
  await enter(8)
  t.ok(secondAgain.hub.size >= 4, 'the one that was away for long gets more')
})
