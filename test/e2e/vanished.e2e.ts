import { execFileSync } from 'node:child_process'
import t from 'tap'
import { TestApp } from '../helpers/app.js'
import { lives } from '../helpers/lives.js'
import { Program } from '../helpers/program.js'
import { until } from '../helpers/until.js'

/*
 * A network that vanishes without a FIN or a reset can not be had from a socket on 127.0.0.1. So server and client run in a
 * network namespace of their own, whose only interface is taken down under them (unshare, of util-linux, and ip, of iproute2).
 */
const IN_NAMESPACE = `
  import { execFileSync } from 'node:child_process'
  import { once } from 'node:events'
  import Fastify from 'fastify'
  import WebSocket from 'ws'
  import fastifyHub from 'fastify-hub'

  const lo = (state) => execFileSync('ip', ['link', 'set', 'lo', state])
  lo('up')
  const app = Fastify()
  let ended
  const end = new Promise((resolve) => { ended = resolve })
  await app.register(fastifyHub, { heartbeat: { interval: 300, timeout: 900 }, onDisconnect: (connection, info) => { ended({ info, silent: Date.now() - connection.lastSeen }) } })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const socket = new WebSocket('ws://127.0.0.1:' + app.server.address().port + '/ws')
  await once(socket, 'open')
  // Alive as long as the network is: it answers pings.
  await new Promise((resolve) => { setTimeout(resolve, 1500) })
  console.log('before', app.hub.size)
  lo('down')
  const { info, silent } = await end
  console.log('ended', JSON.stringify({ ...info, longEnough: silent >= 900, client: socket.readyState, size: app.hub.size }))
  process.exit()
`

t.test('36: a peer whose packets vanish is ended by the heartbeat', async (t) => {
  for (const [tool, aptPackage] of [['unshare', 'util-linux'], ['ip', 'iproute2']] as const) {
    try {
      execFileSync('sh', ['-c', `command -v ${tool}`])
    } catch {
      throw new Error(`${tool} is missing: apt install ${aptPackage}`)
    }
  }
  // Who is not root needs a user namespace, too; root may be where there are none, as in a chroot.
  const asRoot = process.getuid?.() === 0 ? [] : ['--map-root-user']
  const program = new Program(t, 'unshare', [...asRoot, '--net', process.execPath, '--input-type=module', '--eval', IN_NAMESPACE])
  const { code, stdout, stderr } = await program.ended
  t.equal(code, 0, stderr)
  t.match(stdout, 'before 1')
  const [, json = '{}'] = /ended (.*)/.exec(stdout) ?? []
  t.match(JSON.parse(json), { code: 4408, initiator: 'server', longEnough: true, client: 1, size: 0 }, 'the client knows nothing of it')
})

t.test('36: a peer whose process is stopped is ended by the heartbeat', async (t) => {
  const { ends, handlers } = lives()
  const app = await TestApp.start(t, { ...handlers, heartbeat: { interval: 300, timeout: 900 } })
  const url = `ws://127.0.0.1:${app.port}/ws`
  const program = new Program(t, process.execPath, ['--input-type=module', '--eval', `import WebSocket from 'ws'; new WebSocket('${url}').on('open', () => { console.log('open') })`])
  await program.printed(/open/)
  program.signal('SIGSTOP')
  await until(() => ends.length === 1, 'onDisconnect')
  t.match(ends, [{ code: 4408, initiator: 'server' }])
})
