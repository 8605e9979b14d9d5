// Starts each example as its reader would, asks it something, and ends it: `npm start` for the chat, which also builds
// them all, then node for the others.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fail, filesBelow, root } from './shared.js'

const TIMEOUT = 180_000
const CHAT = 'build/examples/chat/server.js'

await check('npm start', 'npm', ['start'])
const others = filesBelow('build/examples').filter((path) => /^build\/examples\/([^/]+|[^/]+\/server)\.js$/.test(path) && path !== CHAT)
for (const path of others) {
  const code = await check(path, process.execPath, [path])
  if (code !== 0) fail(`${path}: ended with ${code} after SIGTERM`)
}

/** The hub of each example is at /ws, where it answers a plain GET with 426. @returns the exit code after SIGTERM */
async function check (what, command, args) {
  const port = await freePort()
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

async function freePort () {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}
