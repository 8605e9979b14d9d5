// Starts each example as its reader would, asks it something, and ends it: `npm start` for the chat, which also builds
// them all, then node for the others, at the same time. Not the cluster, which needs nginx: that is for the end-to-end tests.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fail, filesBelow, root } from './shared.js'

const TIMEOUT = 180_000
const CHAT = 'build/examples/chat/server.js'

await check('npm start', 'npm', ['start'], ...await freePorts(1))
const others = filesBelow('build/examples').filter((path) => /^build\/examples\/([^/]+|[^/]+\/server)\.js$/.test(path) && path !== CHAT)
const ports = await freePorts(others.length)
await Promise.all(others.map(async (path, i) => {
  const code = await check(path, process.execPath, [path], ports[i])
  if (code !== 0) fail(`${path}: ended with ${code} after SIGTERM`)
}))

/** The hub of each example is at /ws, where it answers a plain GET with 426. @returns the exit code after SIGTERM */
async function check (what, command, args, port) {
  const origin = `http://127.0.0.1:${port}`
  // A group of its own: npm does not pass signals on to what it runs.
  const child = spawn(command, args, { cwd: root, env: { ...process.env, PORT: String(port) }, stdio: ['ignore', 'pipe', 'inherit'], detached: true })
  const exit = once(child, 'exit')
  const killGroup = (signal) => { if (child.exitCode === null) process.kill(-child.pid, signal) }
  const onExit = () => { killGroup('SIGKILL') }
  process.once('exit', onExit)
  const timer = setTimeout(() => { fail(`${what}: not done within ${TIMEOUT / 1000} s`) }, TIMEOUT)

  let output = ''
  const listening = await new Promise((resolve) => {
    child.stdout.on('data', (chunk) => {
      output += chunk
      if (output.includes(origin)) resolve(true)
    })
    exit.then(() => { resolve(false) })
  })
  if (!listening) fail(`${what}: it ended without telling its address:\n${output}`)
  const page = await fetch(`${origin}/`)
  if (page.status >= 500) fail(`${what}: GET / got ${page.status}`)
  const hub = await fetch(`${origin}/ws`)
  if (hub.status !== 426) fail(`${what}: GET /ws got ${hub.status}, 426 expected`)
  killGroup('SIGTERM')
  const [code] = await exit
  clearTimeout(timer)
  process.off('exit', onExit)
  console.log(`${what} answers on the port that PORT gives, and ends`)
  return code
}

/** Different ones: all are taken before the first is given back. */
async function freePorts (count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  return await Promise.all(servers.map(async (server) => {
    await once(server, 'listening')
    return server
  })).then(async (servers) => await Promise.all(servers.map(async (server) => {
    const { port } = server.address()
    server.close()
    await once(server, 'close')
    return port
  })))
}
